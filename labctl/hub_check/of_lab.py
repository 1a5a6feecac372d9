"""Where the hub of a lab is, and the token to ask it with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from labctl.engine.state import UpdateKind
from labctl.graph.values import as_text
from labctl.local_hub.places import HubFolders, HubPort, address, read_ports

from .errors import NoAddressError, NoTokenError

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.engine.state import Snapshot
    from labctl.lab import Lab

__all__ = ["hub_address", "hub_token"]

TOKEN_TYPE: Final = "random:index/randomPassword:RandomPassword"  # noqa: S105 - Pulumi's word for a type's name
TOKEN_NAME: Final = "hub-health"  # noqa: S105 - the resource's name
"""The health service's token in the state (`components.hub.component`)."""


def hub_address(lab: Lab) -> str:
    """Return where the hub is: of a simulated lab the local one, once it was started, else its host name.

    Raises
    ------
    NoAddressError
        Nobody knows.
    """
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


def hub_token(lab: Lab, file: Path | None = None, snapshot: Snapshot | None = None) -> str:
    """Return the health service's token, out of the state unless a file has it.

    Parameters
    ----------
    lab
        The lab.
    file
        A file that has it; None: the state has.
    snapshot
        The state where it was read already.

    Raises
    ------
    NoTokenError
        Neither has it.
    """
    if file is not None:
        token = file.read_text(encoding="utf-8").strip()
    else:
        known = lab.open(UpdateKind.PREVIEW).snapshot if snapshot is None else snapshot
        states = known.live.values()
        held = [state for state in states if state.type == TOKEN_TYPE and state.urn.endswith(f"::{TOKEN_NAME}")]
        token = as_text(held[0].outputs.get("result")) if held else ""
    if not token:
        raise NoTokenError(lab.stack, file)
    return token
