"""Network flows as data: everything is denied but what is declared here, each flow with its reason.

A flow becomes one NetworkPolicy of its own, so that the reason stands beside what it allows, in the cluster too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from .errors import FlowNameClashError, FlowWithoutReasonError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from components.addresses import AnyNetwork

__all__ = [
    "ANYWHERE",
    "DEFAULT_DENY",
    "EVERY_POD",
    "Direction",
    "Flow",
    "NetworkPeer",
    "Peer",
    "PodPeer",
    "PolicyPlan",
    "Port",
    "Protocol",
    "flow_policies",
]

DEFAULT_DENY = "default-deny"
"""Name of the policy that closes a namespace in both directions."""

EVERY_POD: Mapping[str, str] = MappingProxyType({})
"""The label selector that every pod matches."""


class Direction(StrEnum):
    """Seen from the pods of the namespace."""

    INGRESS = "Ingress"
    EGRESS = "Egress"


class Protocol(StrEnum):
    """Transport protocols of a port."""

    TCP = "TCP"
    UDP = "UDP"


@dataclass(frozen=True, order=True, slots=True)
class Port:
    """A port of the pods that are reached: the container's, not the service's."""

    number: int
    protocol: Protocol = Protocol.TCP


@dataclass(frozen=True, kw_only=True)
class PodPeer:
    """Pods at the other end: of the same namespace, unless `namespace` selects others."""

    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels of the pods; empty means every pod."""
    namespace: Mapping[str, str] | None = None
    """Labels of their namespaces; None means the flow's own, empty means every namespace."""


@dataclass(frozen=True, kw_only=True)
class NetworkPeer:
    """Addresses at the other end, pods or not."""

    network: AnyNetwork
    but_not: tuple[AnyNetwork, ...] = ()
    """Networks inside it that stay denied."""
    ports: tuple[Port, ...] = ()
    """Ports of these addresses, where they are others than the flow's."""


Peer: TypeAlias = PodPeer | NetworkPeer

ANYWHERE: tuple[Peer, ...] = ()
"""No peer named: every address, every pod."""


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Connections that are allowed, and why."""

    name: str
    """Name of the policy; unique in its namespace."""
    reason: str
    """Why, in one sentence; it becomes an annotation of the policy."""
    direction: Direction
    pods: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels of the pods of the namespace that it concerns; empty means all of them."""
    peers: tuple[Peer, ...] = ANYWHERE
    ports: tuple[Port, ...] = ()
    """Ports of whoever is reached, unless a peer says its own; empty means all ports."""

    def rules(self) -> tuple[tuple[tuple[Peer, ...], tuple[Port, ...]], ...]:
        """Return the peers that are reached at the same ports together, with those ports."""
        by_ports: dict[tuple[Port, ...], list[Peer]] = {}
        for peer in self.peers:
            own = peer.ports if isinstance(peer, NetworkPeer) else ()
            by_ports.setdefault(own or self.ports, []).append(peer)
        return tuple((tuple(peers), ports) for ports, peers in by_ports.items()) or ((ANYWHERE, self.ports),)


@dataclass(frozen=True, kw_only=True)
class PolicyPlan:
    """One NetworkPolicy."""

    name: str
    reason: str
    directions: tuple[Direction, ...]
    """Directions in which the selected pods are closed but for what this and other policies allow."""
    pods: Mapping[str, str]
    allows: Flow | None
    """The flow it lets through; None for the policy that only closes."""


def flow_policies(flows: Iterable[Flow]) -> tuple[PolicyPlan, ...]:
    """Return the policies of one namespace: one that closes it in both directions, then one per flow, by name.

    Parameters
    ----------
    flows
        What is allowed, in any order.

    Raises
    ------
    FlowNameClashError
        If two flows have the same name, or one has the closing policy's.
    FlowWithoutReasonError
        If a flow gives no reason.
    """
    closing = PolicyPlan(
        name=DEFAULT_DENY,
        reason="Nothing is reached, and nothing reaches out, unless a policy beside this one says so.",
        directions=(Direction.INGRESS, Direction.EGRESS),
        pods=EVERY_POD,
        allows=None,
    )
    plans = {closing.name: closing}
    for flow in sorted(flows, key=lambda flow: flow.name):
        if flow.name in plans:
            raise FlowNameClashError(flow.name)
        if not flow.reason.strip():
            raise FlowWithoutReasonError(flow.name)
        plans[flow.name] = PolicyPlan(
            name=flow.name, reason=flow.reason, directions=(flow.direction,), pods=flow.pods, allows=flow
        )
    return tuple(plans.values())
