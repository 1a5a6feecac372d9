"""Requests and limits on every container of the objects we write.

The limit is that of memory, which cannot be taken back from a process: without one a leak ends its neighbours. A limit
of CPU is not asked for: CPU is shared by the requests' weights, and a limit leaves it idle while somebody waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from labctl.graph.values import Unknown

from .model import Finding, Rule, Severity
from .pods import containers
from .reading import at, path_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.graph.values import Value

    from .model import RuledResource, Surroundings

__all__ = ["RULES"]

NEEDED: Final = (("requests", "cpu"), ("requests", "memory"), ("limits", "memory"))
"""What every container says of its resources."""


def _check(resource: RuledResource, _around: Surroundings) -> Iterator[Finding]:
    """Yield what a container does not say of its resources."""
    for path, container in containers(resource):
        whole = at(container, "resources")
        missing = [".".join(keys) for keys in NEEDED if not _is_said(at(whole, *keys))]
        if missing:
            yield Finding(
                path=path_text((*path, "resources")),
                what=f"{', '.join(missing)} of this container: not said",
                remedy="request what it uses, and limit its memory",
            )


def _is_said(value: Value) -> bool:
    return isinstance(value, Unknown) or (isinstance(value, str | int | float) and bool(value))


RULES: Final = (
    Rule(
        name="container-resources",
        description="Every container we write requests CPU and memory and limits its memory.",
        severity=Severity.MANDATORY,
        check=_check,
    ),
)
