"""Verdicts beyond the matrix: ends that are no pods, both families, what no policy forbids, what it follows from."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from conformance_pods import NODE_A, PODS, STRANGER, Spec, ask, pod, policy

from labctl.network_policies.errors import MalformedPolicyError, NoCommonFamilyError, UnknownNamespaceError
from labctl.network_policies.model import Direction, Protocol
from labctl.network_policies.reading import read_policy
from labctl.network_policies.verdicts import Unconditional

SSH = (22, Protocol.TCP)
CLOSED: Spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_an_end_that_is_no_pod_is_only_ever_a_block_of_addresses() -> None:
    everybody: Spec = {"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}]}]}
    block: Spec = {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}]}
    assert not ask([policy(everybody)], STRANGER, PODS["x/a"]).allowed
    assert ask([policy(block)], STRANGER, PODS["x/a"]).allowed
    assert ask([policy({"podSelector": {}, "ingress": [{}]})], STRANGER, PODS["x/a"]).allowed


def test_a_block_of_one_family_says_nothing_of_the_other() -> None:
    spec: Spec = {
        "podSelector": {},
        "policyTypes": ["Egress"],
        "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}],
    }
    assert ask([policy(spec)], PODS["x/a"], STRANGER).allowed
    assert not ask([policy(spec)], PODS["x/a"], STRANGER, ip_version=6).allowed


def test_a_named_port_outside_the_cluster_is_none() -> None:
    spec: Spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": "serve-80-tcp"}]}]}
    assert ask([policy(spec)], PODS["x/a"], PODS["y/a"]).allowed
    assert not ask([policy(spec)], PODS["x/a"], STRANGER).allowed


def test_a_pod_reaches_itself_and_its_own_node_whatever_is_said() -> None:
    closed = [policy(CLOSED)]
    assert ask(closed, PODS["x/a"], PODS["x/a"]).unconditional is Unconditional.ITSELF
    assert ask(closed, PODS["x/a"], NODE_A, SSH).unconditional is Unconditional.OWN_NODE
    assert ask(closed, NODE_A, PODS["x/a"]).allowed, "the kubelet's probes"
    assert not ask(closed, PODS["x/b"], NODE_A, SSH).allowed
    assert not ask(closed, PODS["x/a"], replace(PODS["x/b"], node="node-a")).allowed, (
        "pods of one node are no exception"
    )


def test_a_verdict_names_what_it_follows_from() -> None:
    web: Spec = {"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"ns": "y"}}}]}]}
    policies = [policy(CLOSED, name="closed"), policy(web, name="web")]
    allowed = ask(policies, PODS["y/a"], PODS["x/a"])
    assert (allowed.allowed, allowed.why) == (True, "in: x/web")
    assert allowed.ingress.closed_by == ("x/closed", "x/web")
    denied = ask(policies, PODS["x/a"], PODS["y/a"])
    assert (denied.allowed, denied.why) == (False, "out: x/closed")
    assert ask(policies, PODS["y/a"], PODS["z/a"]).why == "no policy closes either end"


def test_only_policies_of_the_pod_s_own_namespace_concern_it() -> None:
    assert ask([policy(CLOSED, namespace="y")], PODS["z/a"], PODS["x/a"]).allowed


def test_labels_of_a_pod_decide_which_policies_close_it() -> None:
    spec: Spec = {"podSelector": {"matchExpressions": [{"key": "guarded", "operator": "Exists"}]}}
    assert not ask([policy(spec)], PODS["y/a"], pod("x", "a", guarded="yes")).allowed
    assert ask([policy(spec)], PODS["y/a"], pod("x", "a")).allowed


def test_questions_that_have_no_answer() -> None:
    with pytest.raises(NoCommonFamilyError, match="x/a and node-a do not both have an IPv6 address"):
        ask([], PODS["x/a"], NODE_A, ip_version=6)
    with pytest.raises(UnknownNamespaceError, match="nowhere"):
        ask([], replace(PODS["x/a"], namespace="nowhere"), STRANGER)


def test_reading_takes_numbers_as_a_graph_records_them_and_networks_as_the_api_server_does() -> None:
    read = policy(
        {"podSelector": {}, "ingress": [{"ports": [{"port": 80.0}], "from": [{"ipBlock": {"cidr": "10.0.1.9/24"}}]}]}
    )
    assert read.rules[Direction.INGRESS][0].ports[0].port == 80
    assert ask([read], PODS["x/b"], PODS["x/a"]).allowed
    assert ip_address("10.0.1.2") in PODS["x/b"].addresses


def test_an_object_that_names_no_namespace_is_in_the_default_one() -> None:
    assert read_policy({"metadata": {"name": "p"}, "spec": {}}).namespace == "default"


MALFORMED: list[Spec] = [
    {"policyTypes": ["Sideways"]},
    {"podSelector": []},
    {"ingress": {}},
    {"ingress": ["everybody"]},
    {"ingress": [{"from": [{}]}]},
    {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}]},
    {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/40"}}]}]},
    {"ingress": [{"ports": [{"port": 0}]}]},
    {"ingress": [{"ports": [{"port": 80.5}]}]},
    {"ingress": [{"ports": [{"protocol": "ICMP"}]}]},
    {"ingress": [{"ports": [{"endPort": 80}]}]},
    {"ingress": [{"ports": [{"port": "web", "endPort": 80}]}]},
    {"ingress": [{"ports": [{"port": 80, "endPort": 79}]}]},
    {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]}},
    {"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
    {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}},
]


@pytest.mark.parametrize("spec", MALFORMED, ids=str)
def test_what_the_api_server_refuses_is_not_guessed_at(spec: Spec) -> None:
    with pytest.raises(MalformedPolicyError, match="NetworkPolicy x/policy: spec"):
        policy(spec)
