"""Verdict on one connection: what the policies of a cluster let through, and which of them say so.

Pure: objects in, verdict out. A connection is let through where both ends allow it. An end that is a pod and that no
policy closes in that direction allows everything; closed, it allows what any of the policies that close it allows.
Answers to what is let through are always let through.

Two things no policy can forbid (Kubernetes, "Network Policies"): a pod reaching itself, and traffic between a pod and
the node it runs on. What a pod may do to its own host is therefore the host firewall's to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from .errors import NoCommonFamilyError, UnknownNamespaceError
from .model import AddressPeer, Direction, Pod, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.addresses import AnyAddress

    from .model import Endpoint, Peer, Policy, PortMatch, Rule

__all__ = ["Cluster", "Connection", "Side", "Unconditional", "Verdict", "verdict"]

IPV4 = 4
"""The Internet Protocol's version, asked about unless another is named."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What verdicts follow from."""

    namespaces: Mapping[str, Mapping[str, str]]
    """Labels of every namespace, by its name, ``kubernetes.io/metadata.name`` among them as the API server sets it."""
    policies: Sequence[Policy]


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Something that is opened: by whom, to whom, at which port."""

    source: Endpoint
    destination: Endpoint
    port: int
    protocol: Protocol = Protocol.TCP
    ip_version: int = IPV4


class Unconditional(StrEnum):
    """Why no policy is asked."""

    ITSELF = "a pod always reaches itself"
    OWN_NODE = "a pod and its own node always reach one another"


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one end says."""

    closed_by: tuple[str, ...] = ()
    """Policies, ``namespace/name``, that close the pod in this direction; none for an end that is no pod."""
    allowed_by: tuple[str, ...] = ()
    """Those among them that let the connection through."""

    @property
    def allows(self) -> bool:
        """Whether the connection passes this end."""
        return not self.closed_by or bool(self.allowed_by)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a connection is let through, and by whom or why not."""

    egress: Side
    ingress: Side
    unconditional: Unconditional | None = None

    @property
    def allowed(self) -> bool:
        """Whether it is let through."""
        return self.unconditional is not None or (self.egress.allows and self.ingress.allows)

    @property
    def why(self) -> str:
        """What it follows from, in one line: the policies that allow it, or those that stand in its way."""
        if self.unconditional is not None:
            return self.unconditional
        sides = {"out": self.egress, "in": self.ingress}
        if self.allowed:
            named = [f"{way}: {', '.join(side.allowed_by)}" for way, side in sides.items() if side.allowed_by]
            return "; ".join(named) or "no policy closes either end"
        return "; ".join(f"{way}: {', '.join(side.closed_by)}" for way, side in sides.items() if not side.allows)


def verdict(cluster: Cluster, connection: Connection) -> Verdict:
    """Return the verdict of a cluster's policies on a connection.

    Raises
    ------
    NoCommonFamilyError
        If one of the ends has no address of the connection's IP version.
    UnknownNamespaceError
        If a pod is in a namespace that the cluster does not describe.
    """
    source, destination = connection.source, connection.destination
    if _address(connection, source) is None or _address(connection, destination) is None:
        raise NoCommonFamilyError(source.name, destination.name, connection.ip_version)
    for end in (source, destination):
        if isinstance(end, Pod) and end.namespace not in cluster.namespaces:
            raise UnknownNamespaceError(end.name, end.namespace)
    return Verdict(
        egress=_side(cluster, connection, Direction.EGRESS),
        ingress=_side(cluster, connection, Direction.INGRESS),
        unconditional=_unconditional(source, destination),
    )


def _unconditional(source: Endpoint, destination: Endpoint) -> Unconditional | None:
    if source == destination:
        return Unconditional.ITSELF
    one_is_a_node = not (isinstance(source, Pod) and isinstance(destination, Pod))
    if one_is_a_node and source.node is not None and source.node == destination.node:
        return Unconditional.OWN_NODE
    return None


def _side(cluster: Cluster, connection: Connection, direction: Direction) -> Side:
    outgoing = direction is Direction.EGRESS
    own, other = (connection.source, connection.destination)[:: 1 if outgoing else -1]
    if not isinstance(own, Pod):
        return Side()
    closing = [
        policy
        for policy in cluster.policies
        if policy.namespace == own.namespace and direction in policy.rules and policy.pods.matches(own.labels)
    ]
    allowing = [
        policy
        for policy in closing
        if any(_lets_through(cluster, connection, policy, rule, other) for rule in policy.rules[direction])
    ]
    return Side(closed_by=_names(closing), allowed_by=_names(allowing))


def _names(policies: Sequence[Policy]) -> tuple[str, ...]:
    return tuple(sorted(f"{policy.namespace}/{policy.name}" for policy in policies))


def _lets_through(cluster: Cluster, connection: Connection, policy: Policy, rule: Rule, other: Endpoint) -> bool:
    peers = not rule.peers or any(_is_peer(cluster, connection, policy, peer, other) for peer in rule.peers)
    return peers and (not rule.ports or any(_is_port(connection, port) for port in rule.ports))


def _is_peer(cluster: Cluster, connection: Connection, policy: Policy, peer: Peer, other: Endpoint) -> bool:
    if isinstance(peer, AddressPeer):
        address = _address(connection, other)
        return address is not None and peer.holds(address)
    if not isinstance(other, Pod):
        return False
    if peer.namespaces is None:
        in_namespace = other.namespace == policy.namespace
    else:
        in_namespace = peer.namespaces.matches(cluster.namespaces[other.namespace])
    return in_namespace and peer.pods.matches(other.labels)


def _is_port(connection: Connection, match: PortMatch) -> bool:
    if match.protocol is not connection.protocol:
        return False
    if match.port is None:
        return True
    if isinstance(match.port, str):
        # A name means something only on the pod that is reached, and there only with the same protocol.
        reached = connection.destination
        named = reached.ports.get(match.port) if isinstance(reached, Pod) else None
        return named == (connection.port, connection.protocol)
    return match.port <= connection.port <= (match.port if match.last is None else match.last)


def _address(connection: Connection, end: Endpoint) -> AnyAddress | None:
    return next((address for address in end.addresses if address.version == connection.ip_version), None)
