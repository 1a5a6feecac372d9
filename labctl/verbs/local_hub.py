"""The local hub as verbs start and end it: after the lab is shown, before it is destroyed."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from components.hub.identity.config import StaticIdentity
from labctl.control_plane.errors import ControlPlaneError
from labctl.embedded import hub_of
from labctl.engine.state import UpdateKind
from labctl.local_hub.release import hub_release

from .session import teller

if TYPE_CHECKING:
    from collections.abc import Generator

    from rich.console import Console

    from components.hub.config import HubConfig
    from labctl.lab import Lab

__all__ = ["hub_out_of_the_way", "start_hub"]

SIGN_IN: Final = {
    "dummy": "{names}, with any password",
    "native": "make yourself an account on its sign-up page",
}
"""How to get in, by the kind of authentication; any other is the lab's own."""


def start_hub(lab: Lab, console: Console, errors: Console) -> None:
    """Start the hub of `lab` and print its address; where that fails, say what and where. The lab is up anyway."""
    began = time.monotonic()
    release = hub_release(lab.open(UpdateKind.PREVIEW).snapshot)
    if release is None:
        return
    try:
        url = hub_of(lab, teller(errors)).start(release)
    except (ControlPlaneError, OSError) as error:
        errors.print("warning: ", style="bold yellow", end="")
        errors.print(f"the lab is up, but its hub on this machine is not: {error}", markup=False)
        return
    section = lab.cluster.hub
    kind = "dummy" if section is None else section.authentication.kind
    way = SIGN_IN.get(kind, f"as in the cluster ({kind})").format(names=_names(section))
    console.print(
        f"\nThe hub is at {url} ({time.monotonic() - began:.1f}s). To sign in: {way}.", style="bold", markup=False
    )


def _names(section: HubConfig | None) -> str:
    """Return what the sign-in that believes everybody takes: whoever has ids of their own, where people have some."""
    if section is None or not isinstance(section.identity, StaticIdentity):
        return "any user name will do"
    own = section.health_check.user if section.health_check is not None else None
    return "as " + " or ".join(name for name in section.identity.users if name != own)


@contextmanager
def hub_out_of_the_way(lab: Lab, errors: Console) -> Generator[None]:
    """Have no server, and nothing that starts one, while the lab is destroyed; afterwards nothing of the hub runs."""
    hub = hub_of(lab, teller(errors))
    if not hub.exists:
        yield
        return
    try:
        hub.end_servers()
        yield
    finally:
        hub.stop()
