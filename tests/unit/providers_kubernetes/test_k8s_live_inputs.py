from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.engine.providers.kubernetes.live import live_inputs, overlaid, same_quantity
from labctl.graph.values import Inputs, Secret, Value


@pytest.mark.parametrize(
    ("name", "wanted", "live", "seen"),
    [
        ("what others set is left out", {"a": "1"}, {"a": "1", "b": "2"}, {"a": "1"}),
        ("an edit shows", {"a": "1"}, {"a": "2"}, {"a": "2"}),
        ("a removal shows", {"a": "1", "b": "2"}, {"a": "1"}, {"a": "1"}),
        (
            "emptiness that the server omits is none",
            {"a": [], "b": {}, "c": False, "d": ""},
            {},
            {"a": [], "b": {}, "c": False, "d": ""},
        ),
        ("an empty label that is gone", {"labels": {"a": "", "b": ""}}, {"labels": {"b": ""}}, {"labels": {"b": ""}}),
        ("quantities by value", {"limits": {"cpu": "1000m"}}, {"limits": {"cpu": "1"}}, {"limits": {"cpu": "1000m"}}),
        ("quantities that differ", {"limits": {"cpu": "1000m"}}, {"limits": {"cpu": "2"}}, {"limits": {"cpu": "2"}}),
        ("no quantity elsewhere", {"x": {"cpu": "1000m"}}, {"x": {"cpu": "1"}}, {"x": {"cpu": "1"}}),
        ("storage", {"storage": "1024Mi"}, {"storage": "1Gi"}, {"storage": "1024Mi"}),
        (
            "items by their names",
            [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}],
            [{"name": "b", "image": "z", "extra": 1}, {"name": "new"}, {"name": "a", "image": "x"}],
            [{"name": "a", "image": "x"}, {"name": "b", "image": "z"}],
        ),
        ("an item that is gone", [{"name": "a"}, {"name": "b"}], [{"name": "b"}], [{"name": "b"}]),
        ("a list without names is all ours", ["a"], ["a", "b"], ["a", "b"]),
        ("and shorter", ["a", "b"], ["a"], ["a"]),
        ("rules", [{"verbs": ["get"]}], [{"verbs": ["get"]}, {"verbs": ["*"]}], [{"verbs": ["get"]}, {"verbs": ["*"]}]),
        ("another type", {"a": {"b": 1}}, {"a": "text"}, {"a": "text"}),
    ],
)
def test_live_values_of_the_fields_that_the_program_set(name: str, wanted: Value, live: Value, seen: Value) -> None:
    assert live_inputs({"spec": live}, {"spec": wanted}) == {"spec": seen}, name


def test_a_finalizer_of_somebody_else_is_no_drift() -> None:
    live: Inputs = {"metadata": {"finalizers": ["ours", "theirs"]}}

    assert live_inputs(live, {"metadata": {"finalizers": ["ours"]}}) == {"metadata": {"finalizers": ["ours"]}}


def test_secrets_stay_sealed_where_the_inputs_had_them() -> None:
    inputs: Inputs = {"data": Secret({"a": "b2xk"}), "spec": {"x": Secret("1"), "y": "2"}}
    live: Inputs = {"data": {"a": "bmV3", "b": "Yg=="}, "spec": {"x": "3", "y": "2"}}

    assert live_inputs(live, inputs) == {"data": Secret({"a": "bmV3"}), "spec": {"x": Secret("3"), "y": "2"}}


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("1", 1, True),
        ("1000m", "1", True),
        ("0.5", "500m", True),
        ("1Gi", "1024Mi", True),
        ("1G", "1000M", True),
        ("1e3", "1k", True),
        ("1Gi", "1G", False),
        ("a", "a", False),
        (True, 1, False),
        ("", "", False),
    ],
)
def test_quantities(left: Value, right: Value, *, same: bool) -> None:
    assert same_quantity(left, right) is same


@given(st.integers(min_value=0, max_value=10**12))
def test_a_quantity_in_milli_is_the_same_as_in_ones(number: int) -> None:
    assert same_quantity(f"{number * 1000}m", str(number))
    assert not same_quantity(f"{number * 1000 + 1}m", str(number))


def test_outputs_guessed_without_a_server_keep_what_it_added_and_drop_what_the_program_dropped() -> None:
    outputs: Inputs = {"metadata": {"uid": "u", "labels": {"a": "1", "b": "2", "srv": "x"}}, "spec": {"old": 1}}
    before: Inputs = {"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"old": 1}}
    after: Inputs = {"metadata": {"labels": {"a": "9"}}}

    assert overlaid(outputs, before, after) == {"metadata": {"uid": "u", "labels": {"a": "9", "srv": "x"}}}
