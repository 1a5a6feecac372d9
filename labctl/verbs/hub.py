"""``labctl hub``."""

from __future__ import annotations

import json
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.hub.operation.plan import health_profile
from labctl.display.hub import print_report
from labctl.engine.state import UpdateKind
from labctl.graph.values import as_text
from labctl.hub_check import Order, check_hub
from labctl.hub_check.errors import NoAddressError, NoHubError, NoTestUserError, NoTokenError, UnhealthyError
from labctl.hub_check.hub import Hub
from labctl.lab import open_lab
from labctl.local_hub.places import HubFolders, HubPort, address, read_ports

from .session import StoppedError, error_console, output_console

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from rich.console import Console

    from labctl.lab import Lab

__all__ = ["Way", "check"]

TOKEN_TYPE: Final = "random:index/randomPassword:RandomPassword"  # noqa: S105 - Pulumi's word for a type's name
TOKEN_NAME: Final = "hub-health"  # noqa: S105 - the resource's name
"""The health service's token in the state (`components.hub.component`)."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How the hub is reached, where not as the stack file says."""

    url: str | None = None
    authority: Path | None = None
    """Certificates its own is held against."""
    token_file: Path | None = None
    """The health service's token, where the state is not at hand."""


def check(stack: str, way: Way, *, spawn: bool, start_seconds: float | None, as_json: bool) -> None:
    """Look at the stack's hub and print what came of it.

    Raises
    ------
    UnhealthyError
        A look failed.
    StoppedError
        Somebody asked to stop; no server stays behind.
    """
    lab = open_lab(stack)
    config = lab.cluster.hub
    if config is None:
        raise NoHubError(stack)
    tested = config.health_check
    if spawn and tested is None:
        raise NoTestUserError(stack)
    token = None if tested is None else _token(lab, way.token_file)
    hub = Hub(way.url or _address(lab), token, authority=way.authority)
    order = Order(
        stack=stack,
        user=None if tested is None else tested.user,
        profile=health_profile(config) if spawn else None,
        start_seconds=config.servers.start_timeout.seconds if start_seconds is None else start_seconds,
    )
    with _stopped_in_order(error_console()) as cancelled:
        report = check_hub(hub, order, cancelled)
    console = output_console()
    if as_json:
        console.print(json.dumps(report.document(), indent=2), markup=False)
    else:
        print_report(console, report)
    message = ""
    if report.is_interrupted:
        raise StoppedError(message)
    if not report.healthy:
        raise UnhealthyError(message)


def _address(lab: Lab) -> str:
    """Return where the hub is: of a simulated lab the local one, once it was started, else its host name."""
    network = lab.cluster.network
    hostname = None if network is None else network.hostnames.get("hub")
    if lab.simulated:
        ports = read_ports(HubFolders(lab.folder / "hub").ports)
        if HubPort.PUBLIC in ports:
            return address(ports[HubPort.PUBLIC])
        raise NoAddressError(lab.stack, is_local=True)
    if hostname is None:
        raise NoAddressError(lab.stack)
    return f"https://{hostname}"


def _token(lab: Lab, file: Path | None) -> str:
    """Return the health service's token, out of the state unless a file has it."""
    if file is not None:
        token = file.read_text(encoding="utf-8").strip()
    else:
        states = lab.open(UpdateKind.PREVIEW).snapshot.live.values()
        held = [state for state in states if state.type == TOKEN_TYPE and state.urn.endswith(f"::{TOKEN_NAME}")]
        token = as_text(held[0].outputs.get("result")) if held else ""
    if not token:
        raise NoTokenError(lab.stack, file)
    return token


@contextmanager
def _stopped_in_order(console: Console) -> Generator[threading.Event]:
    """Yield an event that Ctrl-C and SIGTERM set, however often: the server is stopped before the process ends."""
    cancelled = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        cancelled.set()
        console.print("stopping: the test user's server goes first, within a minute", style="yellow")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield cancelled
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
