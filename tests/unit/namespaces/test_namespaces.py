"""Namespaces as this program makes them."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, cast

import pytest

from components.namespaces.component import LabNamespace, LabNamespaceArgs, PriorityClasses, PriorityClassesArgs
from components.namespaces.errors import FlowNameClashError, FlowWithoutReasonError
from components.namespaces.flows import Direction, Flow, NetworkPeer, PodPeer, Port, Protocol, flow_policies
from components.namespaces.plan import (
    ContainerDefaults,
    NamespacePlan,
    PodSecurity,
    namespace_labels,
    priority_classes,
    scoped,
)
from labctl.graph.program import Program
from labctl.graph.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.graph.goal import Goal

WEB = Flow(name="web", reason="People look at it.", direction=Direction.INGRESS, ports=(Port(80),))


def goals(plan: NamespacePlan, *, protect: bool = False) -> Mapping[str, Goal]:
    def entry() -> None:
        LabNamespace("ns", LabNamespaceArgs(plan=plan, protect=protect))
        PriorityClasses("priorities", PriorityClassesArgs(stack="dev"))

    graph = record(Program(project="p", stack="dev", entry=entry))
    return {goal.name: goal for goal in graph.goals if goal.custom}


def test_a_plain_namespace_is_restricted_and_closed() -> None:
    made = goals(NamespacePlan(name="play", stack="dev"))
    namespace = made["ns"].inputs["metadata"]
    assert namespace == {
        "name": "play",
        "labels": {
            "lab.internal/stack": "dev",
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/audit": "restricted",
            "pod-security.kubernetes.io/warn": "restricted",
        },
    }
    assert made["ns-default-deny"].inputs["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert not {"ns-quota", "ns-defaults"} & made.keys()


@pytest.mark.parametrize(
    ("level", "warned"),
    [
        (PodSecurity.PRIVILEGED, "privileged"),
        (PodSecurity.BASELINE, "restricted"),
        (PodSecurity.RESTRICTED, "restricted"),
    ],
)
def test_what_is_between_a_level_and_restricted_is_warned_about(level: PodSecurity, warned: str) -> None:
    labels = namespace_labels(NamespacePlan(name="play", stack="dev", pod_security=level))
    assert labels["pod-security.kubernetes.io/enforce"] == level
    assert labels["pod-security.kubernetes.io/warn"] == warned


def test_labels_of_one_s_own_do_not_undo_the_rest() -> None:
    plan = NamespacePlan(
        name="play",
        stack="dev",
        gateway="gateway-dev.lab",
        labels={"team": "a", "pod-security.kubernetes.io/enforce": "privileged"},
    )
    labels = namespace_labels(plan)
    assert labels["team"] == "a"
    assert labels["lab.internal/gateway"] == "gateway-dev.lab"
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_quota_and_defaults() -> None:
    made = goals(
        NamespacePlan(
            name="play",
            stack="dev",
            quota={"requests.nvidia.com/gpu": "2"},
            defaults=ContainerDefaults(requests={"cpu": "100m"}, limits={"memory": "1Gi"}),
        )
    )
    assert made["ns-quota"].inputs["spec"] == {"hard": {"requests.nvidia.com/gpu": "2"}}
    assert made["ns-defaults"].inputs["spec"] == {
        "limits": [{"type": "Container", "defaultRequest": {"cpu": "100m"}, "default": {"memory": "1Gi"}}]
    }


SPECS: list[tuple[Flow, dict[str, object]]] = [
    (
        WEB,
        {
            "podSelector": {},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [{"port": 80, "protocol": "TCP"}]}],
        },
    ),
    (
        Flow(
            name="web",
            reason="It is needed.",
            direction=Direction.EGRESS,
            pods={"app": "x"},
            peers=(
                NetworkPeer(network=ip_network("0.0.0.0/0"), but_not=(ip_network("10.0.0.0/8"),)),
                PodPeer(namespace={"team": "a"}, labels={"app": "y"}),
                PodPeer(namespace={}),
                PodPeer(labels={"app": "z"}),
            ),
            ports=(Port(53, Protocol.UDP),),
        ),
        {
            "podSelector": {"matchLabels": {"app": "x"}},
            "policyTypes": ["Egress"],
            "egress": [
                {
                    "to": [
                        {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}},
                        {
                            "namespaceSelector": {"matchLabels": {"team": "a"}},
                            "podSelector": {"matchLabels": {"app": "y"}},
                        },
                        {"namespaceSelector": {}},
                        {"podSelector": {"matchLabels": {"app": "z"}}},
                    ],
                    "ports": [{"port": 53, "protocol": "UDP"}],
                }
            ],
        },
    ),
    (
        Flow(
            name="web",
            reason="Two addresses, each with its port.",
            direction=Direction.EGRESS,
            peers=(
                NetworkPeer(network=ip_network("10.96.0.1/32"), ports=(Port(443),)),
                NetworkPeer(network=ip_network("192.0.2.0/24")),
                NetworkPeer(network=ip_network("10.96.0.2/32"), ports=(Port(443),)),
            ),
            ports=(Port(6443),),
        ),
        {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [
                {
                    "to": [{"ipBlock": {"cidr": "10.96.0.1/32"}}, {"ipBlock": {"cidr": "10.96.0.2/32"}}],
                    "ports": [{"port": 443, "protocol": "TCP"}],
                },
                {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 6443, "protocol": "TCP"}]},
            ],
        },
    ),
]


@pytest.mark.parametrize(("flow", "spec"), SPECS)
def test_a_flow_is_a_policy(flow: Flow, spec: dict[str, object]) -> None:
    policy = goals(NamespacePlan(name="play", stack="dev", flows=(flow,)))["ns-web"]
    assert policy.inputs["spec"] == spec
    metadata = cast("Mapping[str, object]", policy.inputs["metadata"])
    assert metadata["namespace"] == "play"
    assert metadata["annotations"] == {"lab.internal/reason": flow.reason}


def test_the_order_of_flows_changes_nothing() -> None:
    other = Flow(name="api", reason="It asks.", direction=Direction.EGRESS)
    assert flow_policies([WEB, other]) == flow_policies([other, WEB])
    assert [policy.name for policy in flow_policies([WEB, other])] == ["default-deny", "api", "web"]


@pytest.mark.parametrize("name", ["web", "default-deny"])
def test_one_policy_never_replaces_another(name: str) -> None:
    twin = Flow(name=name, reason="Another.", direction=Direction.EGRESS)
    with pytest.raises(FlowNameClashError, match=name):
        flow_policies([WEB, twin])


def test_a_flow_has_to_give_its_reason() -> None:
    with pytest.raises(FlowWithoutReasonError, match="silent"):
        flow_policies([Flow(name="silent", reason=" ", direction=Direction.EGRESS)])


def test_protection_is_the_namespace_s_alone() -> None:
    made = goals(NamespacePlan(name="play", stack="dev", flows=(WEB,)), protect=True)
    assert [name for name, goal in made.items() if goal.protect] == ["ns"]


def test_priorities_are_ordered_and_never_the_default() -> None:
    plans = priority_classes("dev")
    values = [plan.value for plan in plans]
    assert values == sorted(values, reverse=True)
    assert max(values) < 1_000_000_000
    made = [goal for name, goal in goals(NamespacePlan(name="play", stack="dev")).items() if "priorities" in name]
    assert all(goal.inputs["globalDefault"] is False for goal in made)
    policies = {str(goal.inputs["description"]): goal.inputs["preemptionPolicy"] for goal in made}
    assert policies == {plan.description: "PreemptLowerPriority" if plan.preempts else "Never" for plan in plans}


def test_names_carry_the_stack() -> None:
    assert scoped("gateway", "prod") == "gateway-prod"
    assert not {plan.name for plan in priority_classes("a")} & {plan.name for plan in priority_classes("b")}
