"""The lab's table of flows, judged by the policies its stacks ask for; and what holds for every namespace they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import cast

import pytest
from lab_flows import LAB_FLOWS, LabFlow, LabWorld

from components.model import Value
from labctl.graph.goal import Goal
from labctl.graph.record import Graph, record
from labctl.graph.values import Value as GraphValue
from labctl.graph.values import as_mapping, as_text
from labctl.lab import open_lab
from labctl.network_policies.model import Direction, Policy
from labctl.network_policies.reading import read_policy
from labctl.network_policies.verdicts import Cluster, Verdict

ROOT = Path(__file__).resolve().parents[3]
STACKS = ("dev", "next", "prod", "test")
TABLE = ROOT / "docs" / "policies.md"
BEGIN, END = "<!-- the table of flows -->\n", "<!-- end of the table -->\n"
REASON = "lab.internal/reason"


@cache
def graph_of(stack: str) -> Graph:
    return record(open_lab(stack, ROOT).program())


def goals(stack: str, kind: str) -> Iterator[Goal]:
    for goal in graph_of(stack).goals:
        if goal.type.startswith("kubernetes:") and goal.type.endswith(f":{kind}"):
            yield goal


def metadata(goal: Goal) -> Mapping[str, GraphValue]:
    return as_mapping(goal.inputs["metadata"])


def policy_of(goal: Goal) -> Policy:
    return read_policy(cast("Mapping[str, Value]", goal.inputs))


@cache
def cluster_of(stack: str) -> Cluster:
    """Return what verdicts follow from, as the program asks for it, and two namespaces that are not ours."""
    namespaces: dict[str, dict[str, str]] = {name: {} for name in ("kube-system", "somebody")}
    for goal in goals(stack, "Namespace"):
        labels = as_mapping(metadata(goal).get("labels"))
        namespaces[as_text(metadata(goal)["name"])] = {key: as_text(value) for key, value in labels.items()}
    for name, labels in namespaces.items():
        labels["kubernetes.io/metadata.name"] = name
    return Cluster(namespaces=namespaces, policies=[policy_of(goal) for goal in goals(stack, "NetworkPolicy")])


@cache
def world_of(stack: str) -> LabWorld:
    return LabWorld(stack)


ROWS = [(stack, flow) for flow in LAB_FLOWS for stack in flow.stacks]


@pytest.mark.parametrize(("stack", "flow"), ROWS, ids=[f"{stack}: {flow}" for stack, flow in ROWS])
def test_the_table_is_true(stack: str, flow: LabFlow) -> None:
    world = world_of(stack)
    said, passed = world.policies_say(flow, cluster_of(stack)), world.firewalls_say(flow)
    assert (said.allowed and passed is not False) == flow.passes, f"{flow.why}: {said.why}, firewalls {passed}"


def told(said: Verdict) -> str:
    """Return what policies say of a row: which let it through, or at which end none does."""
    if said.unconditional is not None:
        return f"cannot stop it: {said.unconditional}"
    if not said.allowed:
        ends = {"out": said.egress, "in": said.ingress}
        return f"none lets it {' or '.join(way for way, side in ends.items() if not side.allows)}"
    return "<br>".join(f"`{name}`" for name in (*said.egress.allowed_by, *said.ingress.allowed_by))


def test_the_documentation_has_the_table(pytestconfig: pytest.Config) -> None:
    world, cluster = world_of("prod"), cluster_of("prod")
    lines = ["| from | to | port | | policies | host firewall | why |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for flow in world.flows:
        said, passed = world.policies_say(flow, cluster), world.firewalls_say(flow)
        firewall = "" if passed is None else ("accepts" if passed else "drops")
        cells = [
            flow.source,
            flow.target,
            f"{flow.protocol} {flow.port}",
            "passes" if flow.passes else "**stops**",
            told(said),
            firewall,
            flow.why,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    table = "\n".join(lines) + "\n"
    before, _, rest = TABLE.read_text(encoding="utf-8").partition(BEGIN)
    shown, _, after = rest.partition(END)
    if pytestconfig.getoption("--update-golden"):
        TABLE.write_text(before + BEGIN + table + END + after, encoding="utf-8")
    else:
        assert shown == table, "run this test with --update-golden"


# --- every namespace of ours -----------------------------------------------------------------------------------------


def policies_of(stack: str, namespace: str) -> list[Policy]:
    return [policy for policy in cluster_of(stack).policies if policy.namespace == namespace]


@pytest.mark.parametrize("stack", STACKS)
def test_every_namespace_is_closed_in_both_directions(stack: str) -> None:
    names = [as_text(metadata(goal)["name"]) for goal in goals(stack, "Namespace")]
    assert len(names) >= 5
    for name in names:
        closing = [policy for policy in policies_of(stack, name) if not any(policy.rules.values())]
        assert any(
            set(policy.rules) == set(Direction) and policy.pods.matches({}) and not policy.pods.requirements
            for policy in closing
        ), name


@pytest.mark.parametrize("stack", STACKS)
def test_every_policy_says_why(stack: str) -> None:
    for goal in goals(stack, "NetworkPolicy"):
        reason = as_text(as_mapping(metadata(goal).get("annotations"))[REASON])
        assert len(reason.split()) >= 4, goal.urn
        assert reason.endswith("."), goal.urn


OPEN = {"gateway/users-to-proxies", "gateway/webhook-9443", "cert-manager/webhook-10250", "metallb/webhook-9443"}
"""Policies that let anybody through: users, and webhooks that the API server calls from addresses nobody can name."""


@pytest.mark.parametrize("stack", STACKS)
def test_whoever_is_let_through_is_named(stack: str) -> None:
    opened = {
        f"{policy.namespace.removesuffix(f'-{stack}')}/{policy.name}"
        for policy in cluster_of(stack).policies
        for rules in policy.rules.values()
        for rule in rules
        if not rule.peers
    }
    assert opened <= OPEN


@pytest.mark.parametrize("stack", STACKS)
def test_what_is_let_out_has_ports_but_between_gateway_and_services(stack: str) -> None:
    unbounded = {
        policy.name
        for policy in cluster_of(stack).policies
        for rule in policy.rules.get(Direction.EGRESS, ())
        if not rule.ports
    }
    assert unbounded <= {"proxies-to-services"}


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_table_that_is_wrong_is_noticed(stack: str) -> None:
    """Without the hub's policies much of it is: the judge looks at them."""
    cluster = cluster_of(stack)
    fewer = [policy for policy in cluster.policies if not policy.namespace.startswith("hub-")]
    assert not world_of(stack).wrong(cluster)
    assert len(world_of(stack).wrong(Cluster(namespaces=cluster.namespaces, policies=fewer))) > 15
