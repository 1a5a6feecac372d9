"""What an earlier run was cut off at, looked into before anything new is decided about the same resource."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from .plan import Op, decide, effective_inputs
from .providers.base import Context, Operation, Resource
from .record import as_resource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from labctl.graph.goal import Goal
    from labctl.graph.values import Inputs

    from .deletion import Deletions
    from .providers.base import Created, Provider
    from .run import Run
    from .state import ResourceState

__all__ = ["Recovery", "checked_inputs"]


def checked_inputs(goal: Goal, old: ResourceState | None, provider: Provider) -> Inputs:
    """Return the inputs of `goal` as they would be stored, ``ignore_changes`` applied."""
    resource = Resource(urn=goal.urn, type=goal.type, inputs=effective_inputs(goal, old))
    return provider.check(resource, as_resource(old) if old else None)


class Recovery:
    """The pending operations of the state that a run begins with."""

    def __init__(self, run: Run, deletions: Deletions, names: Mapping[str, str]) -> None:
        self._run = run
        self._deletions = deletions
        self._names = names
        self._pending: defaultdict[str, dict[Operation, ResourceState]] = defaultdict(dict)
        for item in run.old.pending_operations:
            self._pending[item.resource.urn][item.operation] = item.resource

    @property
    def urns(self) -> AbstractSet[str]:
        """URNs of resources that an earlier run was cut off at."""
        return self._pending.keys()

    def rename(self, former: str, urn: str) -> None:
        """Go on under `urn` with what an earlier run was cut off at under `former`."""
        if former in self._pending:
            self._pending[urn] |= self._pending.pop(former)

    def surviving(self, goal: Goal, old: ResourceState | None) -> ResourceState | None:
        """Return what is behind `goal` now; `old` is what the state says."""
        pending = self._pending.get(goal.urn, {})
        if old is not None and Operation.DELETING in pending and self._read(old, Operation.DELETING) is None:
            self._run.record.forget(old)
            old = None
        if Operation.CREATING not in pending:
            return old
        half_made = pending[Operation.CREATING]
        return self._half_made(half_made) if old is None else self._better(goal, old, half_made)

    def _better(self, goal: Goal, old: ResourceState, half_made: ResourceState) -> ResourceState:
        """Choose between `old` and the successor that an earlier run was cut off at, and drop the other.

        The successor is worth keeping only where it is what the program still wants.
        """
        if self._replaces(goal, old) and not self._replaces(goal, half_made):
            made = self._half_made(half_made)
            if made is not None:
                self._deletions.later(old)
                return made
        self._deletions.settle({goal.urn})
        return old

    def _replaces(self, goal: Goal, state: ResourceState) -> bool:
        provider = self._run.providers.get(state.provider)
        inputs = checked_inputs(goal, state, provider)
        return decide(goal, state, provider.diff(as_resource(state), inputs, Context(preview=True))).op is Op.REPLACE

    def _half_made(self, state: ResourceState) -> ResourceState | None:
        """Return what a creation that was cut off has left, recorded as unfinished; None if it left nothing."""
        found = self._read(state, Operation.CREATING)
        if found is None or not found.id:
            return None
        reason = "an earlier run was cut off while creating it"
        state = state.renamed(self._names)
        made = replace(state, id=found.id, outputs=found.outputs, init_errors=(reason,))
        self._run.record.done(self._run.record.begin(Operation.CREATING, state), made)
        return made

    def _read(self, state: ResourceState, interrupted: Operation) -> Created | None:
        context = Context(preview=self._run.preview, interrupted=interrupted, cancelled=self._run.cancelled)
        return self._run.providers.get(state.provider).read(as_resource(state), context)
