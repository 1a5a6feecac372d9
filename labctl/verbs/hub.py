"""``labctl hub``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.hub.operation.plan import health_profile
from labctl.display.hub import print_report
from labctl.hub_check import Order, check_hub
from labctl.hub_check.errors import NoHubError, NoTestUserError, UnhealthyError
from labctl.hub_check.hub import Hub
from labctl.hub_check.of_lab import hub_address, hub_token
from labctl.lab import open_lab

from .session import StoppedError, error_console, output_console, stopped_in_order

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Way", "check"]


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
    token = None if tested is None else hub_token(lab, way.token_file)
    hub = Hub(way.url or hub_address(lab), token, authority=way.authority)
    order = Order(
        stack=stack,
        user=None if tested is None else tested.user,
        profile=health_profile(config) if spawn else None,
        start_seconds=config.servers.start_timeout.seconds if start_seconds is None else start_seconds,
    )
    with stopped_in_order(error_console(), "the test user's server goes first, within a minute") as cancelled:
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
