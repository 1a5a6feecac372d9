"""The checker of custom resources, on a kind made up for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labctl.charts.facts import KindFacts
from labctl.charts.resources import custom_resource_findings, is_custom

TOY = KindFacts(
    group="example.org",
    kind="Toy",
    plural="toys",
    scope="Namespaced",
    version="v1",
    served=True,
    chart="toys",
    schema={
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": {"type": "integer", "minimum": 1},
                    "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                    "owner": {"type": "string", "nullable": True, "pattern": "^[a-z]+$"},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    "parts": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
                },
            }
        },
    },
)


def toy(**spec: object) -> dict[str, object]:
    return {
        "apiVersion": "example.org/v1",
        "kind": "Toy",
        "metadata": {"name": "ball", "namespace": "play", "labels": {"any": "thing"}},
        "spec": {"size": 1, **spec},
    }


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"port": 80},
        {"port": "http"},
        {"owner": None},
        {"labels": {"a": "b"}},
        {"free": {"what": {"ever": 1}}},
        {"parts": [{"name": "x"}]},
    ],
)
def test_what_the_kind_takes(spec: dict[str, object]) -> None:
    assert custom_resource_findings(toy(**spec), TOY) == []


@pytest.mark.parametrize(
    ("spec", "finding"),
    [
        ({"sise": 2}, "spec.sise: there is no such field; did you mean size?"),
        ({"size": 0}, "spec.size: 0 is less than the minimum of 1"),
        ({"size": "big"}, "spec.size: 'big' is not of type 'integer'"),
        ({"port": 1.5}, "spec.port: 1.5 is not of type 'integer', 'string'"),
        ({"owner": "ME"}, "spec.owner: 'ME' does not match '^[a-z]+$'"),
        ({"labels": {"a": 1}}, "spec.labels.a: 1 is not of type 'string'"),
        ({"parts": [{"name": "x"}, {"nam": "y"}]}, "spec.parts[1].nam: there is no such field; did you mean name?"),
    ],
)
def test_what_it_does_not_take(spec: dict[str, object], finding: str) -> None:
    assert [str(found) for found in custom_resource_findings(toy(**spec), TOY)] == [finding]


def test_a_missing_field_and_a_misplaced_one() -> None:
    resource = toy()
    resource["spec"] = {}
    resource["size"] = 1
    assert [str(found) for found in custom_resource_findings(resource, TOY)] == [
        "size: there is no such field",
        "spec: 'size' is a required property",
    ]


@pytest.mark.parametrize(
    ("scope", "namespace", "finding"),
    [("Namespaced", None, "a Toy lives in a namespace"), ("Cluster", "play", "a Toy lives in no namespace")],
)
def test_the_scope_is_part_of_it(scope: str, namespace: str | None, finding: str) -> None:
    facts = replace(TOY, scope=scope)
    resource = toy()
    resource["metadata"] = {"name": "ball"} if namespace is None else {"name": "ball", "namespace": namespace}
    assert [found.what for found in custom_resource_findings(resource, facts)] == [finding]


def test_a_version_that_is_no_longer_served() -> None:
    facts = replace(TOY, served=False)
    assert [str(found) for found in custom_resource_findings(toy(), facts)] == [
        "apiVersion: version v1 is no longer served"
    ]


def test_placeholders_are_taken_for_anything() -> None:
    placeholder = object()
    resource = toy(size=placeholder, owner=placeholder)
    assert custom_resource_findings(resource, TOY, lambda value: value is placeholder) == []


@pytest.mark.parametrize(
    ("api_version", "custom"),
    [
        ("v1", False),
        ("apps/v1", False),
        ("networking.k8s.io/v1", False),
        ("gateway.networking.k8s.io/v1", True),
        ("metallb.io/v1beta1", True),
    ],
)
def test_whose_a_kind_is(api_version: str, custom: bool) -> None:  # noqa: FBT001 - a table's column
    assert is_custom(api_version) is custom
