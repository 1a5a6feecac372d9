"""The resource graph of every environment is pinned, and keeps the house rules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from golden_graphs import STACKS, graph_of

from labctl.graph.canonical import canonical, graph_json
from labctl.graph.goal import PROVIDER_PREFIX, STACK_TYPE, Goal
from labctl.graph.record import Graph
from labctl.graph.values import Secret, Value, as_mapping, as_text, contains_secret

GOLDENS = Path(__file__).parent / "data"
LONGEST_NAME = 63
"""Characters of a DNS label (RFC 1123), the strictest of the limits on names."""
CLUSTER_SCOPED = {
    "Namespace",
    "Node",
    "NodePatch",
    "PersistentVolume",
    "StorageClass",
    "PriorityClass",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    "Installation",
    "APIServer",
    "GatewayClass",
    "ClusterIssuer",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}
"""Kinds without a namespace, of those the program uses (kubectl api-resources --namespaced=false)."""
SECRET_KEYS = re.compile(r"password|token|secret(?!Name|Ref|KeyRef|s$)|private_?key|credential", re.IGNORECASE)
"""Property names whose text would be a secret."""
IMAGE = re.compile(r"^[a-z0-9.-]+(?::\d+)?(?:/[a-z0-9._-]+)+(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?$")


@pytest.fixture(params=STACKS)
def graph(request: pytest.FixtureRequest) -> Graph:
    return graph_of(request.param)


def custom(graph: Graph) -> list[Goal]:
    return [goal for goal in graph.goals if goal.custom and not goal.type.startswith(PROVIDER_PREFIX)]


def leaves(value: Value, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Value]]:
    if isinstance(value, Secret):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, str(index)))
    else:
        yield path, value


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


def test_names_fit(graph: Graph) -> None:
    for goal in custom(graph):
        name = as_text(as_mapping(goal.inputs.get("metadata")).get("name"))
        assert len(name) <= LONGEST_NAME, goal.urn
        assert goal.package != "kubernetes" or name or goal.type.endswith(":Release"), f"{goal.urn} has no fixed name"


def test_every_namespaced_object_says_its_namespace(graph: Graph) -> None:
    for goal in custom(graph):
        kind = goal.type.rsplit(":", 1)[-1]
        if goal.package != "kubernetes" or kind in CLUSTER_SCOPED:
            continue
        named = goal.inputs if kind == "Release" else as_mapping(goal.inputs.get("metadata"))
        assert as_text(named.get("namespace")), goal.urn


def test_images_are_pinned_by_digest(graph: Graph) -> None:
    for goal in custom(graph):
        for path, value in leaves(dict(goal.inputs)):
            if path[-1:] in (("image",), ("imageName",)) and isinstance(value, str) and IMAGE.match(value):
                assert "@sha256:" in value, f"{goal.urn} {'.'.join(path)}: {value}"


def test_no_secret_is_plain(graph: Graph) -> None:
    for goal in custom(graph):
        if goal.type == "kubernetes:core/v1:Secret":
            for key in ("data", "stringData"):
                assert key not in goal.inputs or contains_secret(goal.inputs[key]), goal.urn
            continue
        for path, value in leaves(dict(goal.inputs)):
            if path and SECRET_KEYS.search(path[-1]) and isinstance(value, str):
                looks_secret = re.fullmatch(r"(?=.*\d)[A-Za-z0-9+/=_-]{20,}", value)
                assert not looks_secret, f"{goal.urn} {'.'.join(path)}"


def test_releases_are_pinned(graph: Graph) -> None:
    for goal in custom(graph):
        if goal.type.endswith(":Release"):
            assert re.fullmatch(r"v?\d+\.\d+\.\d+", as_text(goal.inputs.get("version"))), goal.urn


def test_cluster_scoped_names_carry_the_stack(graph: Graph) -> None:
    shared = {"Installation", "APIServer", "NodePatch", "CustomResourceDefinition"}
    fixed = {"tigera-operator"}  # the operator's namespace has this name in its chart; one cluster has one operator
    for goal in custom(graph):
        kind = goal.type.rsplit(":", 1)[-1]
        if goal.package == "kubernetes" and kind in CLUSTER_SCOPED - shared:
            name = as_text(as_mapping(goal.inputs.get("metadata")).get("name"))
            assert name in fixed or graph.stack in name.split("-"), f"{goal.urn} is called {name}"


def test_what_holds_data_is_protected_where_the_environment_says(graph: Graph) -> None:
    holding = {"kubernetes:core/v1:PersistentVolume", "kubernetes:core/v1:PersistentVolumeClaim"}
    for goal in custom(graph):
        if goal.type in holding:
            assert goal.protect == (graph.stack in ("test", "prod")), goal.urn
