"""The resource graph of every environment is pinned, and keeps the house rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from golden_graphs import ROOT, STACKS, graph_of

from labctl.graph.canonical import canonical, graph_json
from labctl.graph.goal import PROVIDER_PREFIX, STACK_TYPE, Goal
from labctl.graph.record import Graph
from labctl.graph.rules import from_goal
from labctl.rules import broken_rules

GOLDENS = Path(__file__).parent / "data"


@pytest.fixture(params=STACKS)
def graph(request: pytest.FixtureRequest) -> Graph:
    return graph_of(request.param)


def custom(graph: Graph) -> list[Goal]:
    return [goal for goal in graph.goals if goal.custom and not goal.type.startswith(PROVIDER_PREFIX)]


def test_the_graph_is_what_is_pinned(graph: Graph, request: pytest.FixtureRequest) -> None:
    path = GOLDENS / f"{graph.stack}.json"
    text = json.dumps(graph_json(graph), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), "run `make golden` if this change is intended, and review it"


def test_the_graph_does_not_depend_on_the_order_of_registration(graph: Graph) -> None:
    again = graph_of.__wrapped__(graph.stack)
    assert canonical(again) == canonical(graph)


def test_every_resource_has_an_owner(graph: Graph) -> None:
    known = graph.by_urn()
    for goal in graph.goals:
        if goal.type == STACK_TYPE:
            continue
        assert goal.parent in known, goal.urn
        if goal.custom and not goal.type.startswith(PROVIDER_PREFIX):
            assert known[goal.parent].type.startswith("lab:index:"), f"{goal.urn} belongs to no component"


def test_every_object_uses_the_named_provider(graph: Graph) -> None:
    for goal in custom(graph):
        if goal.package == "kubernetes":
            assert goal.provider.rsplit("::", 2)[1] == "cluster", goal.urn


def test_the_rules_are_kept(graph: Graph) -> None:
    broken = broken_rules(ROOT, graph.stack, map(from_goal, graph.goals))
    assert not broken, "docs/rules.md has the rules, and how to except something"
