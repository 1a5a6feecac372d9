"""Children of a parent that goes by its new name already, because an earlier run was cut off after it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labctl.engine.renames import Renames
from labctl.engine.state import ResourceState, Snapshot
from labctl.graph.aliases import Alias
from labctl.graph.goal import STACK_TYPE, Goal, make_urn

OLD, NEW, BOX = "lab:index:Old", "lab:index:New", "random:index/randomId:RandomId"
STACK_URN = make_urn(stack="dev", project="lab", parent="", type_=STACK_TYPE, name="lab-dev")


def goal(parent: str, type_: str, name: str, *aliases: Alias) -> Goal:
    urn = make_urn(stack="dev", project="lab", parent=parent, type_=type_, name=name)
    return Goal(urn=urn, type=type_, name=name, custom=False, inputs={}, parent=parent, aliases=aliases)


def state(of: Goal) -> ResourceState:
    return ResourceState(urn=of.urn, type=of.type, custom=False, parent=of.parent)


@pytest.mark.parametrize("cut_off", [False, True])
@pytest.mark.parametrize(
    ("former", "name", "aliases"),
    [
        ("hub-a", "hub-a", ()),
        ("hub-a", "hub-b", (Alias(name="hub-a"),)),
        ("b", "c", (Alias(name="x"), Alias(name="b"))),
    ],
)
def test_child_is_found_under_each_name_it_had(
    former: str, name: str, aliases: tuple[Alias, ...], *, cut_off: bool
) -> None:
    old = goal(STACK_URN, OLD, "hub")
    new = goal(STACK_URN, NEW, "hub", Alias(type=OLD))
    child = state(goal(old.urn, BOX, former))
    held = (state(new), replace(child, parent=new.urn)) if cut_off else (state(old), child)
    names = Renames(Snapshot(held), stack="dev", project="lab")
    assert names.claim(new) == (None if cut_off else old.urn)
    assert names.claim(goal(new.urn, BOX, name, *aliases)) == child.urn


def test_what_is_below_another_parent_is_not_taken() -> None:
    new, other = goal(STACK_URN, NEW, "hub", Alias(type=OLD)), goal(STACK_URN, OLD, "store")
    child = state(goal(other.urn, BOX, "a"))
    names = Renames(Snapshot((state(new), state(other), child)), stack="dev", project="lab")
    names.claim(new)
    assert names.claim(goal(new.urn, BOX, "b", Alias(name="a"))) is None
