"""Commands on hosts: at the machine that was meant, and changed in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .model import Finding, Rule, Severity
from .reading import at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .model import RuledResource, Surroundings

__all__ = ["RULES"]

REMOTE: Final = "command:remote:"
"""Type tokens of what runs on a host begin with this."""
ACTIONS: Final = ("create", "update", "delete", "remotePath")
"""What has a connection used; a command of a machine that is lost has none."""


def _authenticated(resource: RuledResource, _around: Surroundings) -> Iterator[Finding]:
    """Yield a connection that would take any machine for the host, and give it what the command is given."""
    if not resource.type.startswith(REMOTE) or not any(resource.inputs.get(key) for key in ACTIONS):
        return
    if at(resource.inputs, "connection", "hostKey") in (None, ""):
        yield Finding(path="connection", what="the host is not authenticated", remedy="set hostKey of the connection")
    proxy = at(resource.inputs, "connection", "proxy")
    if proxy is not None and at(proxy, "hostKey") in (None, ""):
        yield Finding(path="connection", what="the proxy host is not authenticated", remedy="set hostKey of the proxy")


def _in_place(resource: RuledResource, _around: Surroundings) -> Iterator[Finding]:
    """Yield a command that a changed trigger replaces: its new apply runs first, and the old undo on top of it."""
    if resource.type.startswith(REMOTE) and at(resource.inputs, "triggers") not in (None, []):
        yield Finding(path="triggers", what="a change replaces the step: the undo runs last", remedy="pass it by stdin")


RULES: Final = (
    Rule(
        name="host-authenticated",
        description="Every command on a host names the host's key.",
        severity=Severity.MANDATORY,
        check=_authenticated,
    ),
    Rule(
        name="host-step-in-place",
        description="No command on a host has triggers, which would undo a step after it was applied.",
        severity=Severity.MANDATORY,
        check=_in_place,
    ),
)
