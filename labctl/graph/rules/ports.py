"""No NodePort: a port on every host is past the gateway, its TLS and its sign-in.

A load balancer's Service opens one on every host too, unless it is told not to; MetalLB needs none. The port of its
health check (``healthCheckNodePort``) comes with ``externalTrafficPolicy: Local``, and answers with a number only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .model import Finding, Rule, Severity
from .reading import mapping, opened, sequence, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.graph.values import Value

    from .model import RuledResource, Surroundings

__all__ = ["RULES"]

PORT_KEYS: Final = frozenset({"nodeport", "nodeports"})
"""Keys of a Service's ports on hosts, in objects and in values of charts, in lower case."""
ALLOCATE: Final = "allocateLoadBalancerNodePorts"
"""Switch of a Service of type LoadBalancer (API reference of Kubernetes; true by default)."""
EXTERNAL: Final = "externalIPs"
"""Addresses that every host's kube-proxy takes for a Service, whatever its type (API reference of Kubernetes)."""


def _check(resource: RuledResource, _around: Surroundings) -> Iterator[Finding]:
    """Yield every Service, or setting of one, that opens a port on every host."""
    for node in resource.nodes:
        if node.value == "NodePort" and words(node.key)[-1:] == ("type",):
            what = "a Service of type NodePort opens a port on every host"
            yield Finding(path=node.place, what=what, remedy="use ClusterIP, and a route of the gateway")
        elif node.key == "type" and node.value == "LoadBalancer" and opened(node.siblings.get(ALLOCATE)) is not False:
            what = "a Service of type LoadBalancer opens a port on every host as well"
            yield Finding(path=node.place, what=what, remedy=f"set {ALLOCATE}: false")
        elif node.key == EXTERNAL and sequence(node.value):
            what = "every host takes these addresses for its own, past the gateway"
            yield Finding(path=node.place, what=what, remedy=f"leave {EXTERNAL} out")
        elif "".join(words(node.key)) in PORT_KEYS and _is_set(node.value):
            what = "a port of every host is named"
            yield Finding(path=node.place, what=what, remedy=f"leave {node.key} out")


def _is_set(value: Value) -> bool:
    """Tell whether `value` names a port: charts write ``""``, 0 or an empty mapping for none."""
    if isinstance(opened(value), dict | list):
        return any(_is_set(item) for item in [*mapping(value).values(), *sequence(value)])
    return isinstance(opened(value), int | str) and bool(opened(value))


RULES: Final = (
    Rule(
        name="no-node-port",
        description="No Service opens a port on every host; a load balancer's opens none beside its address.",
        severity=Severity.MANDATORY,
        check=_check,
    ),
)
