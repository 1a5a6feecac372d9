"""NetworkPolicy objects, recorded or live, read into `labctl.network_policies.model`."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, NoReturn

from .errors import MalformedPolicyError
from .model import AddressPeer, Direction, Operator, PodPeer, Policy, PortMatch, Protocol, Requirement, Rule, Selector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.addresses import AnyNetwork
    from components.model import Value

    from .model import Peer

__all__ = ["DEFAULT_NAMESPACE", "read_policy"]

DEFAULT_NAMESPACE = "default"
"""Namespace of an object that names none."""
LARGEST_PORT = 65535
"""Of TCP, UDP and SCTP: ports have 16 bits."""


def read_policy(item: Mapping[str, Value]) -> Policy:
    """Return what a NetworkPolicy says, with the API server's defaults for what it leaves out.

    Parameters
    ----------
    item
        The object as JSON: ``metadata`` with name and namespace, ``spec``. Everything else is not looked at.

    Raises
    ------
    MalformedPolicyError
        If a field has a value that the API server refuses.
    """
    return _Reader(item).policy()


class _Reader:
    """Reads one object; its name is in every complaint."""

    def __init__(self, item: Mapping[str, Value]) -> None:
        metadata = item.get("metadata")
        known = metadata if isinstance(metadata, dict) else {}
        self._name = str(known.get("name") or "")
        self._namespace = str(known.get("namespace") or DEFAULT_NAMESPACE)
        self._spec = self._mapping(item.get("spec"), "spec")

    def policy(self) -> Policy:
        spec = self._spec
        rules = {
            Direction.INGRESS: self._rules(spec.get("ingress"), "from", "spec.ingress"),
            Direction.EGRESS: self._rules(spec.get("egress"), "to", "spec.egress"),
        }
        return Policy(
            namespace=self._namespace,
            name=self._name,
            pods=self._selector(spec.get("podSelector"), "spec.podSelector"),
            rules={direction: rules[direction] for direction in self._directions()},
        )

    def _directions(self) -> list[Direction]:
        """Return what the policy closes: unless it says so, ingress always and egress where it has rules for it."""
        said = self._list(self._spec.get("policyTypes"), "spec.policyTypes")
        if not said:
            return [Direction.INGRESS, *([Direction.EGRESS] if self._spec.get("egress") else [])]
        known = {str(direction): direction for direction in Direction}
        for name in said:
            if name not in known:
                self._refuse("spec.policyTypes", name)
        return [known[str(name)] for name in said]

    def _rules(self, value: Value, peers: str, field: str) -> tuple[Rule, ...]:
        rules: list[Rule] = []
        for index, entry in enumerate(self._list(value, field)):
            where = f"{field}[{index}]"
            rule = self._mapping(entry, where)
            rules.append(
                Rule(
                    peers=tuple(
                        self._peer(peer, f"{where}.{peers}") for peer in self._list(rule.get(peers), f"{where}.{peers}")
                    ),
                    ports=tuple(
                        self._port(port, f"{where}.ports") for port in self._list(rule.get("ports"), f"{where}.ports")
                    ),
                )
            )
        return tuple(rules)

    def _peer(self, value: Value, field: str) -> Peer:
        peer = self._mapping(value, field)
        block, pods, namespaces = peer.get("ipBlock"), peer.get("podSelector"), peer.get("namespaceSelector")
        if block is not None:
            if pods is not None or namespaces is not None:
                self._refuse(field, "an ipBlock beside a selector")
            inner = self._mapping(block, f"{field}.ipBlock")
            exceptions = self._list(inner.get("except"), f"{field}.ipBlock.except")
            return AddressPeer(
                network=self._network(inner.get("cidr"), f"{field}.ipBlock.cidr"),
                but_not=tuple(self._network(entry, f"{field}.ipBlock.except") for entry in exceptions),
            )
        if pods is None and namespaces is None:
            self._refuse(field, "a peer that selects nothing")
        return PodPeer(
            pods=self._selector(pods, f"{field}.podSelector"),
            namespaces=None if namespaces is None else self._selector(namespaces, f"{field}.namespaceSelector"),
        )

    def _port(self, value: Value, field: str) -> PortMatch:
        entry = self._mapping(value, field)
        said = entry.get("protocol")
        try:
            protocol = Protocol.TCP if said is None else Protocol(str(said))
        except ValueError:
            self._refuse(f"{field}.protocol", said)
        first, last = entry.get("port"), entry.get("endPort")
        port = first if isinstance(first, str) else self._number(first, f"{field}.port")
        end = self._number(last, f"{field}.endPort")
        if end is not None and (not isinstance(port, int) or end < port):
            self._refuse(f"{field}.endPort", end)
        return PortMatch(protocol=protocol, port=port, last=end)

    def _number(self, value: Value, field: str) -> int | None:
        if value is None:
            return None
        # Recorded numbers may be floats: Protocol Buffers' Struct has no other.
        if not isinstance(value, int | float) or int(value) != value or not 1 <= value <= LARGEST_PORT:
            self._refuse(field, value)
        return int(value)

    def _selector(self, value: Value, field: str) -> Selector:
        selector = self._mapping(value, field)
        labels = self._mapping(selector.get("matchLabels"), f"{field}.matchLabels")
        requirements = [Requirement(key, Operator.IN, frozenset([str(label)])) for key, label in labels.items()]
        field = f"{field}.matchExpressions"
        requirements += [
            self._requirement(entry, field) for entry in self._list(selector.get("matchExpressions"), field)
        ]
        return Selector(tuple(requirements))

    def _requirement(self, value: Value, field: str) -> Requirement:
        entry = self._mapping(value, field)
        try:
            operator = Operator(str(entry.get("operator")))
        except ValueError:
            self._refuse(field, entry.get("operator"))
        values = frozenset(str(label) for label in self._list(entry.get("values"), field))
        if bool(values) != (operator in (Operator.IN, Operator.NOT_IN)):
            self._refuse(f"{field}.values", sorted(values))
        return Requirement(str(entry.get("key")), operator, values)

    def _network(self, value: Value, field: str) -> AnyNetwork:
        try:
            # The API server takes a network with bits beyond its prefix, and means the network.
            return ip_network(str(value), strict=False)
        except ValueError:
            self._refuse(field, value)

    def _mapping(self, value: Value, field: str) -> Mapping[str, Value]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._refuse(field, value)
        return value

    def _list(self, value: Value, field: str) -> Sequence[Value]:
        if value is None:
            return ()
        if not isinstance(value, list | tuple):
            self._refuse(field, value)
        return value

    def _refuse(self, field: str, found: object) -> NoReturn:
        raise MalformedPolicyError(self._namespace, self._name, field, found) from None
