"""Verdicts against a second, naive reading of the same text: no classes, no reading step, one loop per sentence."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from conformance_pods import NAMESPACES, NODE_A, PODS, PORTS, STRANGER, ask
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.network_policies.model import Endpoint, Pod, Protocol
from labctl.network_policies.reading import read_policy

Json = dict[str, Any]


def selected(selector: Json, labels: dict[str, str]) -> bool:
    for key, value in selector.get("matchLabels", {}).items():
        if key not in labels or labels[key] != value:
            return False
    for entry in selector.get("matchExpressions", []):
        key, operator, values = entry["key"], entry["operator"], entry.get("values", [])
        if operator == "In" and not (key in labels and labels[key] in values):
            return False
        if operator == "NotIn" and key in labels and labels[key] in values:
            return False
        if operator == "Exists" and key not in labels:
            return False
        if operator == "DoesNotExist" and key in labels:
            return False
    return True


def peer_is(peer: Json, own_namespace: str, other: Endpoint, version: int) -> bool:
    if "ipBlock" in peer:
        address = next(str(address) for address in other.addresses if address.version == version)
        if ip_address(address) not in ip_network(peer["ipBlock"]["cidr"]):
            return False
        return all(ip_address(address) not in ip_network(one) for one in peer["ipBlock"].get("except", []))
    if not isinstance(other, Pod):
        return False
    if "namespaceSelector" in peer and not selected(peer["namespaceSelector"], dict(NAMESPACES[other.namespace])):
        return False
    if "namespaceSelector" not in peer and other.namespace != own_namespace:
        return False
    return "podSelector" not in peer or selected(peer["podSelector"], dict(other.labels))


def port_is(entry: Json, target: Endpoint, port: int, protocol: str) -> bool:
    if entry.get("protocol", "TCP") != protocol:
        return False
    if "port" not in entry:
        return True
    if isinstance(entry["port"], str):
        if not isinstance(target, Pod):
            return False
        return target.ports.get(entry["port"]) == (port, protocol)
    if "endPort" in entry:
        return port in range(entry["port"], entry["endPort"] + 1)
    return entry["port"] == port


def closes(item: Json, direction: str, own: Pod) -> bool:
    spec = item["spec"]
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    if item["metadata"]["namespace"] != own.namespace or direction not in types:
        return False
    return selected(spec.get("podSelector", {}), dict(own.labels))


def naive(objects: list[Json], source: Endpoint, target: Endpoint, at: tuple[int, str], version: int) -> bool:
    if source is target:
        return True
    if isinstance(source, Pod) != isinstance(target, Pod) and source.node and source.node == target.node:
        return True
    ways = (("Egress", source, target, "egress", "to"), ("Ingress", target, source, "ingress", "from"))
    for direction, own, other, rules, peers in ways:
        closing = [item for item in objects if isinstance(own, Pod) and closes(item, direction, own)]
        opened = False
        for rule in [rule for item in closing for rule in item["spec"].get(rules, [])]:
            some_peer, some_port = not rule.get(peers), not rule.get("ports")
            for peer in rule.get(peers, []):
                some_peer = some_peer or peer_is(peer, own.namespace if isinstance(own, Pod) else "", other, version)
            for entry in rule.get("ports", []):
                some_port = some_port or port_is(entry, target, *at)
            opened = opened or (some_peer and some_port)
        if closing and not opened:
            return False
    return True


def comparing(key: str, operator: str, *values: str) -> Json:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def in_namespace(namespace: str, spec: Json) -> Json:
    return {"metadata": {"name": "p", "namespace": namespace}, "spec": spec}


def requirements(key: str, values: str) -> st.SearchStrategy[Json]:
    some = st.sampled_from(values)
    with_values = st.builds(comparing, st.just(key), st.sampled_from(["In", "NotIn"]), some, some)
    without = st.builds(comparing, st.sampled_from([key, "absent"]), st.sampled_from(["Exists", "DoesNotExist"]))
    return with_values | without


def selectors(key: str, values: str) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(
        {},
        optional={
            "matchLabels": st.dictionaries(st.just(key), st.sampled_from(values), max_size=1),
            "matchExpressions": st.lists(requirements(key, values), max_size=2),
        },
    )


POD_SELECTORS, NAMESPACE_SELECTORS = selectors("pod", "abc"), selectors("ns", "xyz")
BLOCKS = st.sampled_from(
    [
        {"cidr": "0.0.0.0/0"},
        {"cidr": "10.0.0.0/8", "except": ["10.0.2.0/24"]},
        {"cidr": "10.0.1.0/24", "except": ["10.0.1.1/32", "10.0.1.2/31"]},
        {"cidr": "192.0.2.0/24"},
        {"cidr": "203.0.113.7/32"},
        {"cidr": "::/0", "except": ["fd00::2:0/112"]},
        {"cidr": "2001:db8::/32"},
    ]
)
PEERS = (
    st.fixed_dictionaries({"ipBlock": BLOCKS})
    | st.fixed_dictionaries({"podSelector": POD_SELECTORS})
    | st.fixed_dictionaries({"namespaceSelector": NAMESPACE_SELECTORS}, optional={"podSelector": POD_SELECTORS})
)
PROTOCOLS = st.sampled_from(["TCP", "UDP", "SCTP"])
PORT_ENTRIES = (
    st.fixed_dictionaries({}, optional={"protocol": PROTOCOLS})
    | st.fixed_dictionaries({"port": st.sampled_from([79, 80, 81])}, optional={"protocol": PROTOCOLS})
    | st.fixed_dictionaries({"port": st.sampled_from([1, 80]), "endPort": st.sampled_from([80, 81])})
    | st.fixed_dictionaries(
        {"port": st.sampled_from(["serve-80-tcp", "serve-81-udp", "other"])}, optional={"protocol": PROTOCOLS}
    )
)


def rules(peers: str) -> st.SearchStrategy[list[Json]]:
    entry = st.fixed_dictionaries(
        {}, optional={peers: st.lists(PEERS, max_size=3), "ports": st.lists(PORT_ENTRIES, max_size=3)}
    )
    return st.lists(entry, max_size=2)


SPECS = st.fixed_dictionaries(
    {"podSelector": POD_SELECTORS},
    optional={
        "policyTypes": st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"], []]),
        "ingress": rules("from"),
        "egress": rules("to"),
    },
)
OBJECTS = st.lists(st.builds(in_namespace, st.sampled_from("xy"), SPECS), max_size=4)
ENDS = st.sampled_from([*PODS.values(), STRANGER, NODE_A])


@settings(max_examples=600, deadline=None)
@given(objects=OBJECTS, source=ENDS, target=ENDS, at=st.sampled_from(PORTS), version=st.sampled_from([4, 6]))
def test_two_readings_agree(
    objects: list[Json], source: Endpoint, target: Endpoint, at: tuple[int, Protocol], version: int
) -> None:
    if NODE_A in (source, target):
        version = 4
    found = ask([read_policy(item) for item in objects], source, target, at, ip_version=version)
    assert found.allowed == naive(objects, source, target, (at[0], at[1].value), version), found.why


@given(objects=OBJECTS, more=OBJECTS, source=ENDS, target=ENDS, at=st.sampled_from(PORTS))
def test_among_closed_pods_more_policies_only_allow_more(
    objects: list[Json], more: list[Json], source: Endpoint, target: Endpoint, at: tuple[int, Protocol]
) -> None:
    closed = [
        {"metadata": {"name": "closed", "namespace": name}, "spec": {"policyTypes": ["Ingress", "Egress"]}}
        for name in NAMESPACES
    ]
    before = ask([read_policy(item) for item in [*closed, *objects]], source, target, at)
    after = ask([read_policy(item) for item in [*closed, *objects, *more]], source, target, at)
    assert after.allowed or not before.allowed
