"""Decide what happens to each resource: pure functions on the goal, the old state and the provider's diff.

One resource's output may be another's input, so the whole plan is not known before the program has run. The decision
for *one* resource, however, is a pure function of plain data, and so is the order of the deletions at the end. The
executor (`deployment.py`) calls these while the program runs, in a preview and in an update alike.
See docs/decisions/0002-decide-per-resource.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from labctl.graph.differences import Change, differences, steps, top_level
from labctl.graph.values import Secret, as_mapping

from .providers.base import Diff, Replacement

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from labctl.graph.goal import Goal
    from labctl.graph.values import Inputs, Value

    from .state import ResourceState

__all__ = [
    "Decision",
    "Op",
    "Step",
    "component_diff",
    "decide",
    "deletion_graph",
    "effective_inputs",
    "must_go_first",
    "needed_by",
    "seal_outputs",
]


class Op(StrEnum):
    """What a step does; the words are those of ``pulumi preview --json``."""

    SAME = "same"
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    REFRESH = "refresh"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What happens to one registered resource."""

    op: Op
    changes: Mapping[str, Change] = field(default_factory=dict[str, Change])
    replace_paths: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    """Of a replacement, as Pulumi names them (``replaceReasons``)."""
    order: Replacement = Replacement.CREATE_FIRST
    detailed: bool = True


@dataclass(frozen=True, kw_only=True)
class Step:
    """One line of a plan: a decision with the states before and after it."""

    op: Op
    urn: str
    old: ResourceState | None = None
    new: ResourceState | None = None
    changes: Mapping[str, Change] = field(default_factory=dict[str, Change])
    replace_paths: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    """Of a replacement, as Pulumi names them."""
    order: Replacement = Replacement.CREATE_FIRST
    """Of a replacement: what happens first."""
    detailed: bool = True
    impossible: bool = False
    """True in a preview for what would fail."""
    hidden: bool = False
    """True for default providers, which a person neither wrote nor needs to see."""

    @property
    def former(self) -> str:
        """What the state calls the resource until now; empty where that is its name."""
        return self.old.urn if self.old is not None and self.old.urn != self.urn else ""

    @property
    def type(self) -> str:
        """Type token of the resource."""
        state = self.new or self.old
        return state.type if state else ""


SAME = Decision(op=Op.SAME)
PROVIDER: Final = frozenset({"provider"})
"""The reason when another provider, and so another cluster, will hold it (Pulumi: ``step_generator.diff``)."""


def decide(
    goal: Goal, old: ResourceState | None, diff: Diff, *, provider_replaced: bool = False, unfinished: bool = False
) -> Decision:
    """Return what happens to `goal`.

    Parameters
    ----------
    goal
        What the program wants.
    old
        The resource in the state; None: it does not exist.
    diff
        The provider's answer for `old` against the goal's checked inputs.
    provider_replaced
        Whether the provider that held `old` is not the one that will hold the goal.
    unfinished
        Whether an earlier run left `old` incomplete (initialisation errors, an update cut off).
    """
    if old is None:
        return Decision(op=Op.CREATE)
    order = diff.order
    if goal.delete_before_replace is not None:
        order = Replacement.DELETE_FIRST if goal.delete_before_replace else Replacement.CREATE_FIRST
    replace_paths = diff.replace_paths | {
        path for path in diff.changes if any(covers(pattern, path) for pattern in goal.replace_on_changes)
    }
    found = Decision(
        op=Op.REPLACE if replace_paths or provider_replaced else Op.UPDATE,
        changes=diff.changes,
        replace_paths=replace_paths,
        reasons=_reasons(goal, diff),
        order=order,
        detailed=diff.detailed,
    )
    if provider_replaced:
        return replace(found, reasons=PROVIDER, detailed=False)
    if not diff.changes:
        return Decision(op=Op.UPDATE) if unfinished else SAME
    return found


def _reasons(goal: Goal, diff: Diff) -> frozenset[str]:
    """Return what makes it a replacement: the provider's own paths, and properties that ``replace_on_changes`` names.

    A path below a property, such as the ``triggers[*]`` of every command, replaces without being a reason
    (Pulumi: ``applyReplaceOnChanges``).
    """
    named = {top_level(path) for path in diff.changes}
    return diff.replace_paths | {name for name in named if {name, "*"} & set(goal.replace_on_changes)}


def covers(pattern: str, path: str) -> bool:
    """Tell whether `pattern` (``spec``, ``triggers[*]``, ``*``) is `path` or holds it, or is held by it."""
    if pattern == "*":
        return True
    return all(want in ("*", got) for want, got in zip(steps(pattern), steps(path), strict=False))


def effective_inputs(goal: Goal, old: ResourceState | None) -> Inputs:
    """Return the goal's inputs with every ``ignore_changes`` path as it is in `old`."""
    if old is None or not goal.ignore_changes:
        return goal.inputs
    result: Value = goal.inputs
    for path in goal.ignore_changes:
        result = _reset(result, old.inputs, tuple(steps(path)))
    return as_mapping(result)


def _reset(new: Value, old: Value, keys: tuple[str, ...]) -> Value:
    """Return `new` with what lies at `keys` (``*``: at every key) as it is in `old`; a missing way is left alone.

    An element of a list can be put back, but neither added nor removed (Pulumi: ``PropertyPath.Reset``).
    """
    if not keys:
        return old
    if isinstance(new, Secret):
        return Secret(_reset(new.value, old, keys))
    if isinstance(old, Secret):
        return _reset(new, old.value, keys)
    head, rest = keys[0], keys[1:]
    if isinstance(new, dict) and isinstance(old, dict):
        changed = dict(new)
        for key in sorted(new.keys() | old.keys()) if head == "*" else [head]:
            if key in old and (key in new or not rest):
                changed[key] = _reset(new.get(key), old[key], rest)
            elif key not in old and not rest:
                changed.pop(key, None)
        return changed
    if isinstance(new, list) and isinstance(old, list):
        return [
            _reset(item, old[index], rest) if head in ("*", str(index)) and index < len(old) else item
            for index, item in enumerate(new)
        ]
    return new


def component_diff(old: Inputs, new: Inputs) -> Diff:
    """Return how a component's own inputs changed: always in place, it is only a name for its children."""
    return Diff(changes=differences(dict(old), dict(new)), detailed=False)


def seal_outputs(outputs: Inputs, names: Collection[str], seal: Callable[[Value], Value]) -> Inputs:
    """Return `outputs` with the properties of ``additional_secret_outputs`` sealed."""
    return {key: seal(value) if key in names else value for key, value in outputs.items()}


def needed_by(state: ResourceState) -> set[str]:
    """Return the URNs that must outlive `state`: its parent, provider and dependencies."""
    properties = {urn for urns in state.property_dependencies.values() for urn in urns}
    return ({state.parent, state.provider_urn, *state.dependencies} | properties) - {"", state.urn}


def must_go_first(
    states: Iterable[ResourceState], urn: str, replaces: Callable[[ResourceState, frozenset[str]], bool]
) -> list[ResourceState]:
    """Return those of `states` that cannot survive the deletion of `urn`, in the order to delete them.

    `states` are in the order of a snapshot: what is needed comes before what needs it. ``replaces(state, properties)``
    says whether the provider would replace `state` if the values of those properties changed, as they may when what
    they come from is made anew (Pulumi: ``calculateDependentReplacements``).
    """
    doomed = {urn}
    found: list[ResourceState] = []
    for state in states:
        if state.urn in doomed or not state.custom:
            continue
        touched = frozenset(name for name, urns in state.property_dependencies.items() if not doomed.isdisjoint(urns))
        if state.provider_urn in doomed or (touched and replaces(state, touched)):
            doomed.add(state.urn)
            found.append(state)
    return found[::-1]


def deletion_graph(states: Iterable[ResourceState]) -> dict[str, set[str]]:
    """Return for each URN of `states` those that must be gone before it: whoever needs it.

    States of one URN (a pending deletion beside its successor) share a place.
    """
    known = list(states)
    users: dict[str, set[str]] = {state.urn: set() for state in known}
    for state in known:
        for needed in needed_by(state):
            if needed in users:
                users[needed].add(state.urn)
    return users
