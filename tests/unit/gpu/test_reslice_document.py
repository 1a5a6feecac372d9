"""The plan on standard input, and the two ConfigMaps that several groups' commands write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from reslice_world import FORMER, LAYOUT, NEW, OLD, SHARING, record

from components.gpu.change_config import ChangeConfig
from components.gpu.plan import MIG_LAYOUTS, plan
from components.gpu.plan import SHARING as SHARING_MAP
from components.gpu.reslice.__main__ import Exit, exit_code, summary
from components.gpu.reslice.document import ReslicePlan, parse, plans, render
from components.gpu.reslice.errors import DamagedMapError, DocumentError
from components.gpu.reslice.maps import CLAIMS, Content, claimed, released, used_entries
from components.gpu.reslice.objects import ConfigMapObject, NodeObject
from components.gpu.reslice.record import ANNOTATION, Phase
from components.gpu.reslice.steps import Outcome, Report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpu_labs import Gpus

    from components.gpu.config import GpuConfig


@pytest.fixture
def documents(mixed_lab: GpuConfig, mixed_hosts: dict[str, Gpus | None]) -> Mapping[str, ReslicePlan]:
    planned = plan(mixed_lab, mixed_hosts)
    return plans(planned, ChangeConfig(), stack="test", namespace="gpu-operator-test")


def kept(content: Content) -> ConfigMapObject:
    """Return what the API server would hold after a write."""
    metadata = {"name": "m", "annotations": {CLAIMS: content.annotation}}
    return ConfigMapObject.model_validate({"metadata": metadata, "data": dict(content.data)})


def entries(content: Content) -> set[str]:
    return set(json.loads(content.data["config.yaml"])["mig-configs"])


def test_each_group_has_its_own_nodes_and_entries(documents: Mapping[str, ReslicePlan]) -> None:
    assert set(documents) == {"dedicated", "teaching", "cut", "half"}
    cut = documents["cut"]
    assert set(cut.nodes) == {"gpu1", "gpu2"}
    assert cut.elsewhere == ("gpu3", "t4", "whole1")
    assert cut.manager == "reslice-test-cut"
    (layout,) = {goal.labels[LAYOUT] for goal in cut.nodes.values()}
    assert set(cut.mig_layouts) == {"all-disabled", layout}
    assert set(cut.sharing) == {"exclusive"}
    assert set(documents["teaching"].sharing) == {"exclusive", documents["teaching"].nodes["t4"].labels[SHARING]}


def test_the_text_is_read_back_and_is_one_line_per_value(documents: Mapping[str, ReslicePlan]) -> None:
    for document in documents.values():
        text = render(document)
        assert parse(text) == document
        assert render(parse(text)) == text
        assert max(map(len, text.splitlines())) < 200


@pytest.mark.parametrize(
    ("text", "place"),
    [("", "its beginning"), ("[]", "its beginning"), ('{"group": 1}', "group"), ('{"unknown": 1}', "unknown")],
)
def test_anything_else_is_refused_by_place(text: str, place: str) -> None:
    with pytest.raises(DocumentError, match=f"wrong at .*{place}|wrong at "):
        parse(text)


def test_groups_add_to_one_map_and_take_nothing_from_each_other(documents: Mapping[str, ReslicePlan]) -> None:
    cut, half = documents["cut"], documents["half"]
    first = claimed(MIG_LAYOUTS, None, cut, None)
    both = claimed(MIG_LAYOUTS, kept(first), half, frozenset())
    assert entries(both) == {*cut.mig_layouts, *half.mig_layouts}
    assert set(both.claims) == {cut.manager, half.manager}
    again = claimed(MIG_LAYOUTS, kept(both), half, frozenset())
    assert (again.data, again.annotation) == (both.data, both.annotation)
    gone = released(MIG_LAYOUTS, kept(both), half, frozenset())
    assert entries(gone) == set(cut.mig_layouts)


def test_a_former_entry_stays_until_no_node_uses_it(documents: Mapping[str, ReslicePlan]) -> None:
    cut = documents["cut"]
    older = cut.model_copy(update={"mig_layouts": {"all-disabled": [], "cut-older": [{"devices": "all"}]}})
    before = kept(claimed(MIG_LAYOUTS, None, older, None))
    assert "cut-older" in entries(claimed(MIG_LAYOUTS, before, cut, None))
    assert "cut-older" in entries(claimed(MIG_LAYOUTS, before, cut, frozenset({"cut-older"})))
    assert entries(claimed(MIG_LAYOUTS, before, cut, frozenset())) == set(cut.mig_layouts)


def test_files_of_the_device_plugin_are_a_key_each(
    documents: Mapping[str, ReslicePlan], mixed_lab: GpuConfig, mixed_hosts: dict[str, Gpus | None]
) -> None:
    planned = plan(mixed_lab, mixed_hosts)
    teaching = documents["teaching"]
    written = claimed(SHARING_MAP, None, teaching, None).data
    assert set(written) == set(teaching.sharing) == {"exclusive", teaching.nodes["t4"].labels[SHARING]}
    assert written == {name: planned.sharing[name] for name in sorted(written)}


def test_entries_in_use_are_those_of_labels_and_of_nodes_under_change() -> None:
    def node(name: str, **metadata: object) -> NodeObject:
        return NodeObject.model_validate({"metadata": {"name": name, **metadata}})

    nodes = [
        node("at-rest", labels={LAYOUT: "a", SHARING: "b", "zone": "c"}),
        node("under-change", annotations={ANNOTATION: record(Phase.CUTTING).render()}),
        node("damaged", annotations={ANNOTATION: "?"}, labels={LAYOUT: "d"}),
    ]
    assert used_entries(nodes) == {"a", "b", "d", *FORMER.labels.values(), *NEW.labels.values()}
    assert OLD.labels[LAYOUT] in used_entries(nodes)


@pytest.mark.parametrize(
    ("data", "annotations"),
    [({"config.yaml": "mig-configs: {}"}, {}), ({"config.yaml": "{}"}, {}), ({"other": "x"}, {}), ({}, {CLAIMS: "?"})],
)
def test_somebody_elses_map_is_not_overwritten(
    documents: Mapping[str, ReslicePlan], data: dict[str, str], annotations: dict[str, str]
) -> None:
    found = ConfigMapObject.model_validate(
        {"metadata": {"name": MIG_LAYOUTS, "annotations": annotations}, "data": data}
    )
    with pytest.raises(DamagedMapError, match="gpu-operator-test/mig-layouts is not as this command writes it"):
        claimed(MIG_LAYOUTS, found, documents["cut"], None)


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([Outcome.UNCHANGED, Outcome.CHANGED], Exit.OK),
        ([Outcome.CHANGED, Outcome.BUSY], Exit.BUSY),
        ([Outcome.NOT_REACHED], Exit.BUSY),
        ([Outcome.BUSY, Outcome.ROLLED_BACK], Exit.ROLLED_BACK),
        ([Outcome.NOT_AS_PLANNED], Exit.ROLLED_BACK),
        ([Outcome.NOT_REFRESHED], Exit.ROLLED_BACK),
        ([Outcome.ROLLED_BACK, Outcome.STUCK, Outcome.CHANGED], Exit.STUCK),
    ],
)
def test_the_worst_outcome_is_the_exit_code(outcomes: list[Outcome], code: Exit) -> None:
    reports = {f"gpu-{index}": Report(outcome=outcome, reason="") for index, outcome in enumerate(outcomes)}
    assert exit_code(reports) is code


def test_the_last_line_is_the_same_whether_there_was_something_to_do_or_not() -> None:
    lines = [
        summary("a100", {"gpu-1": Report(outcome=outcome, reason="")})
        for outcome in (Outcome.CHANGED, Outcome.UNCHANGED)
    ]
    assert lines[0][-1] == lines[1][-1] == '{"group": "a100", "nodes": {"gpu-1": "as planned"}}'
    assert lines[0][0] == "gpu-1: changed"


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"busy": "evict"}, "without hosts"),
        ({"hosts": ["gpu-1"]}, "and names hosts"),
        ({"busy": "evict", "hosts": ["gpu-1"], "notice": "4h"}, "the notice .4h. is not shorter than the deadline"),
        ({"batch": 0}, "greater than or equal to 1"),
    ],
)
def test_policies_that_say_two_things_at_once_are_refused(section: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChangeConfig.model_validate(section)
