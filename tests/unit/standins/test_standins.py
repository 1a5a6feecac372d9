"""Stand-in definitions: of the real kinds' shape, narrower than they are, wide enough for every stack."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from components.standins.component import STAND_IN_LABEL, StandIns, StandInsArgs
from components.standins.plan import HelmOwner, stand_in_kinds
from labctl.charts.facts import FACTS_VARIABLE, KindFacts, UpstreamFacts, facts_folder
from labctl.charts.graphs import is_placeholder, recorded_resources
from labctl.charts.resources import custom_resource_findings
from labctl.graph.program import Program, script
from labctl.graph.record import record
from stacks.loading import load_stack_file
from stacks.project import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.standins.plan import StandInKind, StandInSchema
    from labctl.graph.goal import Goal

ROOT = Path(__file__).parents[3]
KINDS = stand_in_kinds()
IDS = [kind.name for kind in KINDS]


def definitions(args: StandInsArgs) -> list[Goal]:
    def entry() -> None:
        StandIns("stand-ins", args)

    graph = record(Program(project="p", stack="dev", entry=entry))
    return [goal for goal in graph.goals if goal.type.endswith(":CustomResourceDefinition")]


@pytest.fixture(scope="module")
def facts() -> UpstreamFacts:
    folder = facts_folder(ROOT)
    if folder is None:
        if os.environ.get(FACTS_VARIABLE):
            pytest.fail(f"{FACTS_VARIABLE} names no folder of facts")
        pytest.skip("no folder of facts of upstream charts beside the project")
    return UpstreamFacts(folder)


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_names_scope_and_version_are_the_real_ones(facts: UpstreamFacts, kind: StandInKind) -> None:
    real = facts.kind(kind.api_version, kind.kind)
    assert (kind.plural, str(kind.scope), real.served) == (real.plural, real.scope, True)


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_every_field_is_a_real_one_of_the_same_type(facts: UpstreamFacts, kind: StandInKind) -> None:
    real = facts.kind(kind.api_version, kind.kind)
    spec = cast("Mapping[str, Mapping[str, object]]", real.schema["properties"])["spec"]
    assert list(_differences(kind.spec, spec, "spec")) == []


def _differences(schema: StandInSchema, real: Mapping[str, object], place: str) -> Iterator[str]:
    """Yield fields that are not in the real schema, or of another type there, or need what is not needed there."""
    types = {"integer", "string"} if real.get("x-kubernetes-int-or-string") else {real.get("type")}
    if schema.type not in types:
        yield f"{place}: {schema.type} here, {types} there"
    allowed = real.get("enum")
    if isinstance(allowed, list) and schema.enum and not set(schema.enum) <= set(cast("list[object]", allowed)):
        yield f"{place}: {schema.enum} here, {allowed} there"
    properties = cast("Mapping[str, Mapping[str, object]]", real.get("properties") or {})
    for name, inner in schema.properties.items():
        if name not in properties:
            yield f"{place}.{name}: not there"
        else:
            yield from _differences(inner, properties[name], f"{place}.{name}")
    yield from (f"{place}.{name}: required there" for name in cast("list[str]", real.get("required") or [])
                if name not in schema.required)  # fmt: skip
    for inner, key in ((schema.items, "items"), (schema.additional_properties, "additionalProperties")):
        if inner is not None:
            yield from _differences(inner, cast("Mapping[str, object]", real.get(key) or {}), f"{place}[]")


def test_every_definition_says_that_it_stands_in() -> None:
    made = definitions(StandInsArgs(stack="dev"))
    assert len(made) == len(KINDS) >= 11
    for goal in made:
        metadata = cast("Mapping[str, Mapping[str, str]]", goal.inputs["metadata"])
        kind = next(kind for kind in KINDS if kind.name == cast("object", metadata["name"]))
        assert metadata["labels"][STAND_IN_LABEL] == kind.chart
        assert "app.kubernetes.io/managed-by" not in metadata["labels"]
        approved = "api-approved.kubernetes.io" in metadata.get("annotations", {})
        assert approved is kind.group.endswith(".k8s.io")


def test_a_release_may_take_its_kinds_over() -> None:
    owner = HelmOwner(release_name="metallb-dev", namespace="metallb-dev")
    made = definitions(StandInsArgs(stack="dev", owners={"metallb": owner}))
    owned = [goal for goal in made if "meta.helm.sh/release-name" in str(goal.inputs["metadata"])]
    assert {goal.name.rsplit(".", 2)[-2] for goal in owned} == {"metallb"}
    for goal in owned:
        metadata = cast("Mapping[str, Mapping[str, str]]", goal.inputs["metadata"])
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "Helm"
        assert metadata["annotations"]["meta.helm.sh/release-namespace"] == "metallb-dev"


def test_no_field_is_free_of_form() -> None:
    """Strict field validation has to mean something: an object declares its fields, or a type for all of them."""

    def formless(schema: StandInSchema, place: str) -> Iterator[str]:
        if schema.type == "array" and schema.items is None:
            yield place
        for name, inner in schema.properties.items():
            yield from formless(inner, f"{place}.{name}")
        if schema.items is not None:
            yield from formless(schema.items, f"{place}[]")

    assert [place for kind in KINDS for place in formless(kind.spec, kind.kind)] == []
    for goal in definitions(StandInsArgs(stack="dev")):
        assert "preserve" not in str(goal.inputs)


@pytest.mark.parametrize("stack", sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml")))
def test_every_stack_s_resources_are_taken(stack: str) -> None:
    config, _ = load_stack_file(ROOT / f"Pulumi.{stack}.yaml").program_config(unseal=None)
    entry = script(ROOT / "__main__.py")
    graph = record(Program(project=PROJECT, stack=stack, entry=entry, config=config, root=ROOT))
    stand_ins = {
        (kind.api_version, kind.kind): KindFacts(
            group=kind.group,
            kind=kind.kind,
            plural=kind.plural,
            scope=str(kind.scope),
            version=kind.version,
            served=True,
            chart=kind.chart,
            schema={
                "type": "object",
                "properties": {"spec": kind.spec.model_dump(by_alias=True, exclude_defaults=True)},
            },
        )
        for kind in KINDS
    }
    resources = list(recorded_resources(graph))
    assert resources
    wrong = {
        resource.urn: [str(found) for found in findings]
        for resource in resources
        if (
            findings := custom_resource_findings(
                resource.body, stand_ins[resource.api_version, resource.kind], is_placeholder
            )
        )
    }
    assert wrong == {}
