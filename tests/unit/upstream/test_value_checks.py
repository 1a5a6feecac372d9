"""The checker of Helm values, on charts made up for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.charts.errors import MalformedFactsError, UnknownChartError, UnknownKindError
from labctl.charts.facts import FACTS_VARIABLE, ChartFacts, UpstreamFacts, facts_folder
from labctl.charts.values import unknown_value_keys, value_findings

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.charts.facts import JsonSchema, KeyTree

TREE: KeyTree = {
    "replicas": "number",
    "image": {"tag": "string", "pull": "any"},
    "labels": "map",
    "args": "list",
    "metrics": {"enabled": "boolean"},
}


def chart(keys: KeyTree = TREE, schema: JsonSchema | None = None) -> ChartFacts:
    return ChartFacts(chart="made-up", version="1.0.0", keys=keys, schema=schema)


@pytest.mark.parametrize(
    ("values", "unknown"),
    [
        ({}, []),
        ({"replicas": 2, "image": {"tag": "v1"}, "labels": {"any": {"thing": 1}}}, []),
        ({"replica": 2}, [("replica",)]),
        ({"image": {"tags": "v1"}}, [("image", "tags")]),
        ({"metrics": {"enabled": True, "port": 1}}, [("metrics", "port")]),
        ({"image": {"pull": {"secret": "x"}}}, []),
    ],
)
def test_keys_the_defaults_do_not_declare(values: dict[str, object], unknown: list[tuple[str, ...]]) -> None:
    assert unknown_value_keys(values, chart()) == unknown


def test_a_key_read_elsewhere_is_taken_with_all_below() -> None:
    values = {"image": {"mirror": {"host": "x"}}, "typo": 1}
    assert unknown_value_keys(values, chart(), [("image", "mirror")]) == [("typo",)]


def test_a_chart_without_values_takes_none() -> None:
    assert unknown_value_keys({"anything": 1}, chart(keys="map")) == [("anything",)]


@pytest.mark.parametrize(
    ("values", "finding"),
    [
        ({"replicas": "2"}, "replicas: the chart has a number here, not a string"),
        ({"replicas": True}, "replicas: the chart has a number here, not a boolean"),
        ({"metrics": {"enabled": "true"}}, "metrics.enabled: the chart has a boolean here, not a string"),
        ({"image": "v1"}, "image: the chart has a map here, not a string"),
        ({"args": {"a": 1}}, "args: the chart has a list here, not a map"),
        ({"imag": {"tag": "v1"}}, "imag: the chart declares no such key; did you mean image?"),
    ],
)
def test_what_is_found_says_where_and_what(values: dict[str, object], finding: str) -> None:
    assert [str(found) for found in value_findings(values, chart())] == [finding]


def test_placeholders_and_nulls_have_no_type() -> None:
    placeholder = object()
    values = {"replicas": placeholder, "image": None}
    assert value_findings(values, chart(), unknown=lambda value: value is placeholder) == []


SCHEMA: JsonSchema = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "$ref": "#/$defs/values",
    "$defs": {
        "values": {
            "type": "object",
            "additionalProperties": False,
            "required": ["mode"],
            "properties": {
                "mode": {"enum": ["on", "off"]},
                "extra": {"type": ["object", "null"], "properties": {"name": {"type": "string"}}},
                "config": {"type": "object", "patternProperties": {"^[A-Z]": {"type": "object"}}},
                "free": {"type": "object"},
                "port": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            },
        }
    },
}


@pytest.mark.parametrize(
    ("values", "unknown"),
    [
        ({"extra": {"name": "x"}, "free": {"a": {"b": 1}}, "port": 80}, []),
        ({"extra": {"nam": "x"}}, [("extra", "nam")]),
        ({"config": {"JupyterHub": {"anything": 1}}}, []),
        ({"config": {"jupyterHub": {}}}, [("config", "jupyterHub")]),
        ({"prot": 80}, [("prot",)]),
    ],
)
def test_what_only_the_schema_declares(values: dict[str, object], unknown: list[tuple[str, ...]]) -> None:
    assert unknown_value_keys(values, chart(keys={"mode": "string"}, schema=SCHEMA)) == unknown


def test_the_schema_judges_what_is_there_and_not_what_the_defaults_add() -> None:
    facts = chart(keys={"mode": "string"}, schema=SCHEMA)
    assert value_findings({"port": 80}, facts) == []
    (found,) = value_findings({"mode": "sometimes"}, facts)
    assert found.place == ("mode",)
    assert "sometimes" in found.what


leaves = st.sampled_from(["boolean", "number", "string", "list", "map", "any"])
trees = st.recursive(leaves, lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, min_size=1))
SAMPLES: dict[str, object] = {"boolean": True, "number": 1, "string": "x", "list": [], "map": {"k": 1}, "any": {"k": 1}}


def values_of(tree: KeyTree) -> object:
    """Values that set every key of a tree."""
    return SAMPLES[tree] if isinstance(tree, str) else {key: values_of(inner) for key, inner in tree.items()}


@given(tree=st.dictionaries(st.text("abc", min_size=1, max_size=3), trees, min_size=1))
def test_values_made_from_the_tree_are_taken(tree: dict[str, KeyTree]) -> None:
    assert value_findings(cast("dict[str, object]", values_of(tree)), chart(keys=tree)) == []


def test_facts_are_found_by_the_chart_s_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "values").mkdir()
    (tmp_path / "crds").mkdir()
    document = {"chart": "made-up", "version": "1.0.0", "keys": TREE}
    (tmp_path / "values" / "of-another-name.json").write_text(json.dumps(document))
    kind: dict[str, object] = {"chart": "made-up", "scope": "Cluster", "plural": "toys", "versions": []}
    (tmp_path / "crds" / "example.org.json").write_text(json.dumps({"Toy": kind}))
    monkeypatch.setenv(FACTS_VARIABLE, str(tmp_path))
    folder = facts_folder(tmp_path / "elsewhere")
    assert folder == tmp_path
    facts = UpstreamFacts(tmp_path)
    assert facts.chart("made-up").keys == TREE
    with pytest.raises(UnknownChartError, match="of chart other"):
        facts.chart("other")
    for api_version, name in (("example.org/v1", "Toy"), ("example.org/v1", "Game"), ("other.org/v1", "Toy")):
        with pytest.raises(UnknownKindError, match=name):
            facts.kind(api_version, name)


def test_no_facts_and_broken_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FACTS_VARIABLE, raising=False)
    assert facts_folder(tmp_path / "project") is None
    (tmp_path / "values").mkdir()
    (tmp_path / "values" / "broken.json").write_text('{"chart": "broken", "version": "1"}')
    with pytest.raises(MalformedFactsError, match=r"broken\.json: there is no tree of keys"):
        UpstreamFacts(tmp_path)
