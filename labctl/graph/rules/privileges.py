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
OLD_APPARMOR: Final = "containerapparmorsecuritybetakubernetesio"
"""Annotation of a container's AppArmor profile before Kubernetes 1.30, as a key in lower case."""
SELINUX_TYPES: Final = (None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
"""Types of SELinux that the level ``baseline`` lets be set."""
SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
"""Settings of the kernel that a pod has of its own, which the level ``baseline`` lets be set."""
ENFORCE: Final = "pod-security.kubernetes.io/enforce"
"""Label of a namespace: what its pods must keep."""
LEVELS: Final = ("restricted", "baseline")
"""Levels that keep pods off the host."""


def _privileges(resource: RuledResource, _around: Surroundings) -> Iterator[Finding]:
    """Yield what gives a pod rights over its host."""
    for node in resource.nodes:
        key = "".join(words(node.key))
        if key in SWITCHES and _is_on(node.value):
            yield Finding(path=node.place, what=SWITCHES[key], remedy=f"leave {node.key} out, or name an exception")
        elif key == "capabilities":
            yield from _capabilities(node)
        elif key in PROFILES and at(node.value, "type") == PROFILES[key]:
            yield Finding(path=node.place, what="the profile is Unconfined", remedy="use RuntimeDefault")
        elif key == "selinuxoptions":
            yield from _selinux(node)
        elif key == "sysctls":
            yield from _sysctls(node)
        elif key.startswith(OLD_APPARMOR) and node.value == "unconfined":
            yield Finding(path=node.place, what="the profile is Unconfined", remedy="use runtime/default")
        elif key == "procmount" and node.value == "Unmasked":
            yield Finding(path=node.place, what="all of /proc is shown", remedy=f"leave {node.key} out")
        elif key == "hostport" and _is_port(node.value):
            yield Finding(
                path=node.place,
                what="a port of the host is open past every Service and network policy",
                remedy="publish it by a Service behind the gateway",
            )


def _is_on(value: Value) -> bool:
    """Tell whether a switch is on: a chart's template writes the text ``true`` as the switch itself."""
    return value is True or (isinstance(value, str) and value.lower() == "true")


def _selinux(node: Node) -> Iterator[Finding]:
    """Yield a label of SELinux that is not a container's."""
    options = mapping(node.value)
    kind = opened(options.get("type"))
    if not isinstance(kind, Unknown) and kind not in SELINUX_TYPES:
        yield Finding(path=node.place, what="the type of SELinux is not a container's", remedy="leave type out")
    if any(opened(options.get(key)) not in (None, "") for key in ("user", "role")):
        yield Finding(path=node.place, what="user or role of SELinux is set", remedy="leave user and role out")


def _sysctls(node: Node) -> Iterator[Finding]:
    """Yield a setting of the kernel that is not the pod's own."""
    for item in sequence(node.value):
        name = at(item, "name")
        if not isinstance(name, Unknown) and name not in SYSCTLS:
            shown = name if isinstance(name, str) and not node.sealed else "[secret]"
            what = f"the setting {shown} of the kernel is not the pod's own"
            yield Finding(path=node.place, what=what, remedy="leave it out, or name an exception")


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
