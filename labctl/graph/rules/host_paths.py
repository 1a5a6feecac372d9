"""No host path: a folder of the host is no storage, and a way onto it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from labctl.graph.values import Unknown

from .model import Finding, Rule, Severity
from .reading import at, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .model import RuledResource, Surroundings

__all__ = ["RULES"]

KEYS: Final = frozenset({"hostpath", "hostpaths"})
"""Keys of a host's folders in pods, volumes and values of charts, in lower case without underscores."""


def _check(resource: RuledResource, _around: Surroundings) -> Iterator[Finding]:
    """Yield every folder of a host that a pod or a volume shows."""
    for node in resource.nodes:
        if "".join(words(node.key)) in KEYS and node.value and not isinstance(node.value, Unknown | bool):
            yield Finding(
                path=node.place,
                what="a folder of the host is shown to a pod",
                remedy="use a claim, an emptyDir or a ConfigMap; or name an exception that says why it has to be",
            )
        elif node.key == "driver" and isinstance(node.value, str) and "hostpath" in node.value.lower():
            yield Finding(
                path=node.place,
                what="the CSI driver shows a folder of the host",
                remedy="use the lab's storage; or name an exception that says why it has to be",
            )
    if resource.kind == "PersistentVolume" and at(resource.inputs, "spec", "local") is not None:
        yield Finding(
            path="spec.local",
            what="the volume is a folder of one host",
            remedy="use the lab's storage; or name an exception that says why it has to be this host's disk",
        )


RULES: Final = (
    Rule(
        name="no-host-path",
        description="No pod, volume or chart mounts a folder of the host.",
        severity=Severity.MANDATORY,
        check=_check,
    ),
)
