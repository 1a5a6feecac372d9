"""Pods without the host's rights, and namespaces that refuse those that ask for them.

What is allowed here is what the level ``baseline`` of the Pod Security Standards allows, less its additional
capabilities but one. https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from labctl.graph.values import Unknown

from .model import Finding, Rule, Severity
from .reading import at, mapping, opened, path_text, sequence, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.graph.values import Value

    from .model import RuledResource, Surroundings
    from .reading import Node

__all__ = ["RULES"]

SWITCHES: Final = {
    "privileged": "a privileged container is root on its node",
    "hostnetwork": "a pod in the host's network is past every network policy",
    "hostpid": "a pod that sees the host's processes can end and read them",
    "hostipc": "a pod in the host's IPC reads other processes' memory",
    "allowprivilegeescalation": "a process may gain more rights than its parent has",
    "hostprocess": "a process of the host",
}
"""Switches of pods and containers, their keys in lower case without underscores, and what each means. Charts and
KubeSpawner use the same names."""
CAPABILITIES: Final = ("NET_BIND_SERVICE",)
"""What a container may add: the one that the level ``restricted`` lets be added."""
PROFILES: Final = {"seccompprofile": "Unconfined", "apparmorprofile": "Unconfined"}
"""Profiles by key, and the type that switches each off."""
ENFORCE: Final = "pod-security.kubernetes.io/enforce"
"""Label of a namespace: what its pods must keep."""
LEVELS: Final = ("restricted", "baseline")
"""Levels that keep pods off the host."""


def _privileges(resource: RuledResource, _around: Surroundings) -> Iterator[Finding]:
    """Yield what gives a pod rights over its host."""
    for node in resource.nodes:
        key = "".join(words(node.key))
        if key in SWITCHES and node.value is True:
            yield Finding(path=node.place, what=SWITCHES[key], remedy=f"leave {node.key} out, or name an exception")
        elif key == "capabilities":
            yield from _capabilities(node)
        elif key in PROFILES and at(node.value, "type") == PROFILES[key]:
            yield Finding(path=node.place, what="the profile is Unconfined", remedy="use RuntimeDefault")
        elif key == "procmount" and node.value == "Unmasked":
            yield Finding(path=node.place, what="all of /proc is shown", remedy=f"leave {node.key} out")
        elif key == "hostport" and _is_port(node.value):
            yield Finding(
                path=node.place,
                what="a port of the host is open past every Service and network policy",
                remedy="publish it by a Service behind the gateway",
            )


def _is_port(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _capabilities(node: Node) -> Iterator[Finding]:
    for item in sequence(mapping(node.value).get("add")):
        capability = opened(item)
        if isinstance(capability, Unknown) or capability in CAPABILITIES:
            continue
        shown = capability if isinstance(capability, str) and capability == item and not node.sealed else "[secret]"
        yield Finding(
            path=f"{node.place}.add" if not node.sealed else node.place,
            what=f"the capability {shown} is added",
            remedy=f"add none, or of {', '.join(CAPABILITIES)}; or name an exception",
        )


def _pod_security(resource: RuledResource, _around: Surroundings) -> Iterator[Finding]:
    """Yield a namespace whose pods may ask for the host's rights."""
    if resource.kind != "Namespace" or not resource.is_object:
        return
    level = at(resource.inputs, "metadata", "labels", ENFORCE)
    if isinstance(level, Unknown) or level in LEVELS:
        return
    yield Finding(
        path=path_text(("metadata", "labels", ENFORCE)),
        what="pods with rights over the host are let in" if level else "no level of Pod Security is enforced",
        remedy="label it restricted or baseline; or name an exception that says which pods need more",
    )


RULES: Final = (
    Rule(
        name="no-privileges",
        description="No pod has rights over its host: privileged, host namespaces and ports, capabilities.",
        severity=Severity.MANDATORY,
        check=_privileges,
    ),
    Rule(
        name="pod-security",
        description="Every namespace enforces the Pod Security level restricted or baseline.",
        severity=Severity.MANDATORY,
        check=_pod_security,
    ),
)
