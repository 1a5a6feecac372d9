"""NetworkPolicies (networking.k8s.io/v1) as data, and what they are asked about.

Semantics follow the API's own documentation (``k8s.io/api/networking/v1``) and Kubernetes' page "Network Policies".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.addresses import AnyAddress, AnyNetwork

__all__ = [
    "AddressPeer",
    "Direction",
    "Endpoint",
    "Operator",
    "Outside",
    "Peer",
    "Pod",
    "PodPeer",
    "Policy",
    "PortMatch",
    "Protocol",
    "Requirement",
    "Rule",
    "Selector",
]


class Direction(StrEnum):
    """Seen from the pods a policy selects."""

    INGRESS = "Ingress"
    EGRESS = "Egress"


class Protocol(StrEnum):
    """Transport protocols policies know."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


class Operator(StrEnum):
    """How a label is compared (``LabelSelectorRequirement``)."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on labels."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels meet it; one that is absent is in no set of values, and so is ``NotIn`` each."""
        match self.operator:
            case Operator.IN:
                return labels.get(self.key) in self.values
            case Operator.NOT_IN:
                return labels.get(self.key) not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case Operator.DOES_NOT_EXIST:
                return self.key not in labels


@dataclass(frozen=True, slots=True)
class Selector:
    """A label selector: all of its requirements; without any, everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels meet every requirement."""
        return all(requirement.matches(labels) for requirement in self.requirements)


@dataclass(frozen=True, slots=True)
class AddressPeer:
    """Addresses, pods' or not (``ipBlock``)."""

    network: AnyNetwork
    but_not: tuple[AnyNetwork, ...] = ()

    def holds(self, address: AnyAddress) -> bool:
        """Tell whether the address is one of them."""
        return address in self.network and not any(address in network for network in self.but_not)


@dataclass(frozen=True, slots=True)
class PodPeer:
    """Pods by their labels and their namespace's."""

    pods: Selector = Selector()
    namespaces: Selector | None = None
    """None means the policy's own namespace alone."""


Peer: TypeAlias = AddressPeer | PodPeer


@dataclass(frozen=True, slots=True)
class PortMatch:
    """Ports of one protocol."""

    protocol: Protocol = Protocol.TCP
    port: int | str | None = None
    """A number; the name of a port of the pod that is reached; None for every port of the protocol."""
    last: int | None = None
    """Last number of a range that begins with `port` (``endPort``), itself included."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What one entry of a policy lets through: any of the peers at any of the ports; empty means all."""

    peers: tuple[Peer, ...] = ()
    ports: tuple[PortMatch, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One NetworkPolicy."""

    namespace: str
    name: str
    pods: Selector
    rules: Mapping[Direction, tuple[Rule, ...]]
    """What it allows, by direction. A direction that is there is closed but for its rules; others are not touched."""


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod on the pod network; one on its host's network is `Outside` to policies."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    addresses: tuple[AnyAddress, ...]
    """At most one of each family."""
    ports: Mapping[str, tuple[int, Protocol]] = field(default_factory=dict[str, tuple[int, Protocol]])
    """Its containers' ports that have names."""
    node: str | None = None
    """Name of its node, where the verdict may depend on it."""


@dataclass(frozen=True, kw_only=True)
class Outside:
    """Whatever is no pod: a host, a service's virtual address, a machine of the internet."""

    name: str
    addresses: tuple[AnyAddress, ...]
    node: str | None = None
    """Name of the node it is, if it is one."""


Endpoint: TypeAlias = Pod | Outside
