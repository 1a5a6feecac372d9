"""``ignore_changes``: which values of the old inputs win, as a table."""

import pytest

from labctl.engine.plan import effective_inputs
from labctl.engine.state import ResourceState
from labctl.graph.goal import Goal
from labctl.graph.values import Inputs, Secret

URN = "urn:pulumi:dev::lab::thing:index:Thing::a"

TABLE: dict[str, tuple[str, Inputs, Inputs, Inputs]] = {
    "a property": ("a", {"a": 1, "b": 1}, {"a": 2, "b": 2}, {"a": 1, "b": 2}),
    "a new property": ("a", {}, {"a": 2}, {}),
    "a removed property": ("a", {"a": 1}, {}, {"a": 1}),
    "a place in an object": ("a.b", {"a": {"b": 1, "c": 1}}, {"a": {"b": 2, "c": 2}}, {"a": {"b": 1, "c": 2}}),
    "a new place in an object": ("a.b", {"a": {}}, {"a": {"b": 2}}, {"a": {}}),
    "a place whose object is new": ("a.b", {}, {"a": {"b": 2}}, {"a": {"b": 2}}),
    "a place whose object is gone": ("a.b.c", {"a": {"b": {"c": 1}}}, {"a": {}}, {"a": {}}),
    "an element": ("a[1]", {"a": [1, 2]}, {"a": [1, 3, 4]}, {"a": [1, 2, 4]}),
    "an element that was not there": ("a[1]", {"a": [1]}, {"a": [1, 3]}, {"a": [1, 3]}),
    "every element": ("a[*].b", {"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": 5}, {"b": 6}]}, {"a": [{"b": 1}, {"b": 2}]}),
    "every key": ("a.*", {"a": {"x": 1}}, {"a": {"x": 2, "y": 2}}, {"a": {"x": 1}}),
    "a quoted key": ('a["x.y/z"]', {"a": {"x.y/z": 1}}, {"a": {"x.y/z": 2}}, {"a": {"x.y/z": 1}}),
    "within a secret": ("a.b", {"a": Secret({"b": 1})}, {"a": Secret({"b": 2})}, {"a": Secret({"b": 1})}),
    "a secret itself": ("a", {"a": Secret("old")}, {"a": Secret("new")}, {"a": Secret("old")}),
}


def goal_of(path: str, inputs: Inputs) -> Goal:
    return Goal(urn=URN, type="thing:index:Thing", name="a", custom=True, inputs=inputs, ignore_changes=(path,))


@pytest.mark.parametrize(("path", "old", "new", "wanted"), TABLE.values(), ids=TABLE.keys())
def test_what_is_ignored_stays_as_it_was(path: str, old: Inputs, new: Inputs, wanted: Inputs) -> None:
    state = ResourceState(urn=URN, type="thing:index:Thing", custom=True, inputs=old)
    assert effective_inputs(goal_of(path, new), state) == wanted


def test_nothing_is_ignored_when_there_was_nothing() -> None:
    assert effective_inputs(goal_of("a", {"a": 2}), None) == {"a": 2}
