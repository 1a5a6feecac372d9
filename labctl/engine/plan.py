"""Decide what happens to each resource: pure functions on the goal, the old state and the provider's diff.

One resource's output may be another's input, so the whole plan is not known before the program has run. The decision
for *one* resource, however, is a pure function of plain data, and so is the order of the deletions at the end. The
executor (`deployment.py`) calls these while the program runs, in a preview and in an update alike.
See docs/decisions/0002-decide-per-resource.md.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from labctl.graph.differences import Change, differences, steps, value_at

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
    "deletion_layers",
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
    detailed: bool = True
    hidden: bool = False
    """True for default providers, which a person neither wrote nor needs to see."""

    @property
    def type(self) -> str:
        """Type token of the resource."""
        state = self.new or self.old
        return state.type if state else ""


SAME = Decision(op=Op.SAME)


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
    if provider_replaced:
        return Decision(
            op=Op.REPLACE, changes=diff.changes, replace_paths=replace_paths, order=order, detailed=diff.detailed
        )
    if not diff.changes:
        return Decision(op=Op.UPDATE) if unfinished else SAME
    op = Op.REPLACE if replace_paths else Op.UPDATE
    return Decision(op=op, changes=diff.changes, replace_paths=replace_paths, order=order, detailed=diff.detailed)


def covers(pattern: str, path: str) -> bool:
    """Tell whether `pattern` (``spec``, ``triggers[*]``, ``*``) is `path` or holds it, or is held by it."""
    if pattern == "*":
        return True
    return all(want in ("*", got) for want, got in zip(steps(pattern), steps(path), strict=False))


def effective_inputs(goal: Goal, old: ResourceState | None) -> Inputs:
    """Return the goal's inputs with every ``ignore_changes`` path as it is in `old`."""
    if old is None or not goal.ignore_changes:
        return goal.inputs
    result = goal.inputs
    for path in goal.ignore_changes:
        keys = list(steps(path))
        result = _with_value(result, keys, value_at(old.inputs, path))
    return result


def _with_value(properties: Inputs, keys: list[str], value: Value) -> Inputs:
    """Return a copy of `properties` with `value` at `keys`; None removes it, a missing way to it is left alone."""
    head, rest = keys[0], keys[1:]
    if not rest:
        without = {key: item for key, item in properties.items() if key != head}
        return without if value is None else without | {head: value}
    inner = properties.get(head)
    if not isinstance(inner, dict):
        return properties
    changed: Inputs = {head: _with_value(inner, rest, value)}
    return properties | changed


def component_diff(old: Inputs, new: Inputs) -> Diff:
    """Return how a component's own inputs changed: always in place, it is only a name for its children."""
    return Diff(changes=differences(dict(old), dict(new)), detailed=False)


def seal_outputs(outputs: Inputs, names: Collection[str], seal: Callable[[Value], Value]) -> Inputs:
    """Return `outputs` with the properties of ``additional_secret_outputs`` sealed."""
    return {key: seal(value) if key in names else value for key, value in outputs.items()}


def needed_by(state: ResourceState) -> set[str]:
    """Return the URNs that must outlive `state`: its parent, provider and dependencies."""
    provider = {state.provider.rsplit("::", 1)[0]} if state.provider else set[str]()
    properties = {urn for urns in state.property_dependencies.values() for urn in urns}
    return ({state.parent, *state.dependencies} | provider | properties) - {"", state.urn}


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
        if state.provider.rsplit("::", 1)[0] in doomed or (touched and replaces(state, touched)):
            doomed.add(state.urn)
            found.append(state)
    return found[::-1]


def deletion_layers(states: Iterable[ResourceState]) -> list[list[ResourceState]]:
    """Return `states` in layers: everything in one layer may be deleted at once, after the layers before it.

    Whoever needs another goes before it. States of one URN (a pending deletion beside its successor) share a place.
    """
    remaining: defaultdict[str, list[ResourceState]] = defaultdict(list)
    for state in states:
        remaining[state.urn].append(state)
    users: dict[str, set[str]] = {urn: set() for urn in remaining}
    for urn, group in remaining.items():
        for needed in {item for state in group for item in needed_by(state)}:
            if needed in users:
                users[needed].add(urn)
    layers: list[list[ResourceState]] = []
    while remaining:
        free = sorted(urn for urn in remaining if not (users[urn] & remaining.keys()))
        if not free:  # a cycle can only come from a damaged state; better out of order than for ever
            free = sorted(remaining)
        layers.append([state for urn in free for state in remaining.pop(urn)])
    return layers
