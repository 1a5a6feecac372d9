"""The cases of Kubernetes' own tests of network policies, each over every pair of pods and every port."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import pytest
from conformance_pods import PODS, PORTS, Spec, ask, policy

from labctl.network_policies.model import Pod, Protocol


class Attempt(NamedTuple):
    """A pod tries to reach another."""

    source: Pod
    target: Pod
    port: int
    protocol: Protocol


class Seen(NamedTuple):
    """An attempt as the closed pod sees it."""

    other: Pod
    at: tuple[int, Protocol]


Expected = Callable[[Attempt], bool]
"""Whether the attempt succeeds."""

A = {"podSelector": {"matchLabels": {"pod": "a"}}}
IN = ["Ingress"]
OUT = ["Egress"]
TCP, UDP = Protocol.TCP, Protocol.UDP


def into(namespace: str, name: str | None, allows: Callable[[Seen], bool]) -> Expected:
    """Return what is expected where these pods (all of the namespace without a name) are closed from outside."""

    def expected(by: Attempt) -> bool:
        closed = by.target.namespace == namespace and name in (None, by.target.labels["pod"])
        return by.source == by.target or not closed or allows(Seen(by.source, (by.port, by.protocol)))

    return expected


def out_of(namespace: str, name: str | None, allows: Callable[[Seen], bool]) -> Expected:
    """Return what is expected where these pods are closed to the outside."""

    def expected(by: Attempt) -> bool:
        closed = by.source.namespace == namespace and name in (None, by.source.labels["pod"])
        return by.source == by.target or not closed or allows(Seen(by.target, (by.port, by.protocol)))

    return expected


def nobody(_by: Seen) -> bool:
    return False


def anybody(_by: Seen) -> bool:
    return True


def ingress(*rules: Spec, **select: object) -> Spec:
    return {"podSelector": {}, "policyTypes": IN, "ingress": list(rules), **select}


def egress(*rules: Spec, **select: object) -> Spec:
    return {"podSelector": {}, "policyTypes": OUT, "egress": list(rules), **select}


def labelled(key: str, *values: str, operator: str = "In") -> Spec:
    entry: Spec = {"key": key, "operator": operator}
    return {"matchExpressions": [entry | ({"values": list(values)} if values else {})]}


def namespace(*names: str) -> Spec:
    return {"namespaceSelector": labelled("ns", *names)}


def pods(*names: str) -> Spec:
    return {"podSelector": labelled("pod", *names)}


CASES: list[tuple[str, Sequence[Spec], Expected]] = [
    ("nothing declared", [], lambda _: True),
    ("deny all ingress", [ingress()], into("x", None, nobody)),
    ("deny all egress", [egress()], out_of("x", None, nobody)),
    (
        "deny all",
        [{"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}],
        lambda by: by.source == by.target or "x" not in (by.source.namespace, by.target.namespace),
    ),
    ("an empty spec denies ingress alone", [{"podSelector": {}}], into("x", None, nobody)),
    ("allow all ingress", [ingress({})], lambda _: True),
    ("allow all egress", [egress({})], lambda _: True),
    (
        "pods of the own namespace by label",
        [ingress({"from": [pods("b")]}, **A)],
        into("x", "a", lambda by: by.other.name == "x/b"),
    ),
    (
        "every pod of the own namespace",
        [ingress({"from": [{"podSelector": {}}]}, **A)],
        into("x", "a", lambda by: by.other.namespace == "x"),
    ),
    (
        "every pod of every namespace",
        [ingress({"from": [{"namespaceSelector": {}}]}, **A)],
        into("x", "a", anybody),
    ),
    (
        "namespaces by label",
        [ingress({"from": [{"namespaceSelector": {"matchLabels": {"ns": "y"}}}]}, **A)],
        into("x", "a", lambda by: by.other.namespace == "y"),
    ),
    (
        "pods by expression, NotIn",
        [ingress({"from": [{"podSelector": labelled("pod", "b", operator="NotIn")}]}, **A)],
        into("x", "a", lambda by: by.other.namespace == "x" and by.other.name != "x/b"),
    ),
    (
        "NotIn takes those without the label",
        [ingress({"from": [{"podSelector": labelled("colour", "red", operator="NotIn")}]}, **A)],
        into("x", "a", lambda by: by.other.namespace == "x"),
    ),
    (
        "Exists",
        [ingress({"from": [{"podSelector": labelled("pod", operator="Exists")}]}, **A)],
        into("x", "a", lambda by: by.other.namespace == "x"),
    ),
    (
        "DoesNotExist",
        [ingress({"from": [{"podSelector": labelled("pod", operator="DoesNotExist")}]}, **A)],
        into("x", "a", nobody),
    ),
    (
        "namespaces by expression, NotIn",
        [ingress({"from": [{"namespaceSelector": labelled("ns", "x", operator="NotIn")}]}, **A)],
        into("x", "a", lambda by: by.other.namespace != "x"),
    ),
    (
        "a pod selector or a namespace selector",
        [ingress({"from": [pods("b"), namespace("y")]}, **A)],
        into("x", "a", lambda by: by.other.name == "x/b" or by.other.namespace == "y"),
    ),
    (
        "a pod selector and a namespace selector",
        [ingress({"from": [pods("b") | namespace("y")]}, **A)],
        into("x", "a", lambda by: by.other.name == "y/b"),
    ),
    (
        "several of both",
        [ingress({"from": [pods("b", "c") | namespace("y", "z")]}, **A)],
        into("x", "a", lambda by: by.other.namespace in "yz" and by.other.labels["pod"] in "bc"),
    ),
    (
        "every pod of other namespaces",
        [ingress({"from": [{"podSelector": {}} | namespace("y", "z")]}, **A)],
        into("x", "a", lambda by: by.other.namespace in "yz"),
    ),
    (
        "one port from anybody",
        [ingress({"ports": [{"port": 81, "protocol": "TCP"}]}, **A)],
        into("x", "a", lambda by: by.at == (81, TCP)),
    ),
    (
        "a port without a protocol is TCP",
        [ingress({"ports": [{"port": 80}]}, **A)],
        into("x", "a", lambda by: by.at == (80, TCP)),
    ),
    (
        "a protocol without a port",
        [ingress({"ports": [{"protocol": "UDP"}]}, **A)],
        into("x", "a", lambda by: by.at[1] is UDP),
    ),
    (
        "SCTP is neither TCP nor UDP",
        [ingress({"ports": [{"port": 80, "protocol": "SCTP"}]}, **A)],
        into("x", "a", nobody),
    ),
    (
        "a range of ports",
        [ingress({"ports": [{"port": 1, "endPort": 80}]}, **A)],
        into("x", "a", lambda by: by.at == (80, TCP)),
    ),
    (
        "a range of ports holds both ends",
        [ingress({"ports": [{"port": 80, "endPort": 81, "protocol": "UDP"}]}, **A)],
        into("x", "a", lambda by: by.at[1] is UDP),
    ),
    (
        "a port by name, from a namespace",
        [ingress({"from": [namespace("y")], "ports": [{"port": "serve-81-tcp"}]}, **A)],
        into("x", "a", lambda by: by.other.namespace == "y" and by.at == (81, TCP)),
    ),
    (
        "a name of another protocol is no port",
        [ingress({"ports": [{"port": "serve-81-udp", "protocol": "TCP"}]}, **A)],
        into("x", "a", nobody),
    ),
    (
        "out at a port by name of whoever is reached",
        [egress({"ports": [{"port": "serve-80-tcp"}]}, **A)],
        out_of("x", "a", lambda by: by.at == (80, TCP)),
    ),
    (
        "out to pods of another namespace",
        [egress({"to": [pods("b") | namespace("y")]}, **A)],
        out_of("x", "a", lambda by: by.other.name == "y/b"),
    ),
    (
        "out to a block of addresses",
        [egress({"to": [{"ipBlock": {"cidr": "10.0.3.2/32"}}]}, **A)],
        out_of("x", "a", lambda by: by.other.name == "z/b"),
    ),
    (
        "out to a block without some",
        [egress({"to": [{"ipBlock": {"cidr": "10.0.3.0/24", "except": ["10.0.3.2/32"]}}]}, **A)],
        out_of("x", "a", lambda by: by.other.namespace == "z" and by.other.name != "z/b"),
    ),
    (
        "one policy's exception is no other's",
        [
            egress({"to": [{"ipBlock": {"cidr": "10.0.3.0/24", "except": ["10.0.3.2/32"]}}]}, **A),
            egress({"to": [{"ipBlock": {"cidr": "10.0.3.2/32"}}]}, **A),
        ],
        out_of("x", "a", lambda by: by.other.namespace == "z"),
    ),
    (
        "policies add up, never subtract",
        [ingress(**A), ingress({"from": [namespace("y")]}), ingress({"from": [namespace("z")]}, **A)],
        lambda by: (
            by.source == by.target
            or by.target.namespace != "x"
            or by.source.namespace == "y"
            or (by.source.namespace == "z" and by.target.name == "x/a")
        ),
    ),
    (
        "egress rules without types close both ways",
        [{**A, "egress": [{"to": [namespace("y")]}]}],
        lambda by: (
            by.source == by.target
            or (by.target.name != "x/a" and (by.source.name != "x/a" or by.target.namespace == "y"))
        ),
    ),
    (
        "rules of a direction that is not named mean nothing",
        [{"podSelector": {}, "policyTypes": IN, "ingress": [{}], "egress": [{"to": [namespace("y")]}]}],
        lambda _: True,
    ),
]


@pytest.mark.parametrize(("specs", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_every_pair_of_pods(specs: Sequence[Spec], expected: Expected) -> None:
    policies = [policy(spec, name=f"p{number}") for number, spec in enumerate(specs)]
    wrong = [
        f"{source.name} -> {target.name}:{port}/{protocol} ({found.why})"
        for source, target in product(PODS.values(), repeat=2)
        for port, protocol in PORTS
        for found in [ask(policies, source, target, (port, protocol))]
        if found.allowed != expected(Attempt(source, target, port, protocol))
    ]
    assert not wrong


def test_the_client_s_side_denies_whatever_the_server_allows() -> None:
    policies = [policy(ingress({}), namespace="x"), policy(egress(), namespace="y", name="out")]
    found = ask(policies, PODS["y/a"], PODS["x/a"])
    assert not found.allowed
    assert (found.ingress.allows, found.egress.allows) == (True, False)
    assert found.why == "out: y/out"
