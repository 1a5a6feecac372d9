"""Deletions: in the reverse order of need, in parallel, gated, recorded one by one."""

from __future__ import annotations

import time
from collections import defaultdict
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from labctl.graph.program import DEFAULT_PARALLEL

from .errors import EngineError, ProtectedError, UnforeseenError
from .plan import Op, Step, deletion_graph
from .providers.base import Context, Operation, ProviderError, UnfinishedError
from .record import as_resource
from .report import Failure
from .state import StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from .run import Run
    from .state import PendingOperation, ResourceState

__all__ = ["Deletions"]


class Deletions:
    """What one deployment deletes."""

    def __init__(self, run: Run, names: Mapping[str, str] | None = None) -> None:
        """Delete for `run`; `names` says what is called otherwise now, and grows while the program runs."""
        self._run = run
        self._names: Mapping[str, str] = {} if names is None else names
        self._live = [state for state in run.old.resources if not state.delete]
        self._left_behind = [state for state in run.old.resources if state.delete]
        self._replaced: list[ResourceState] = []
        self._gone: set[str] = set()

    def later(self, state: ResourceState) -> None:
        """Delete `state` after the program has run: its successor exists already."""
        self._replaced.append(state)

    def now(self, state: ResourceState) -> None:
        """Delete `state` at once, before its successor is made; raises what the provider raises."""
        self._gone.add(self._now(state.urn))
        if not self._run.preview:
            self._delete(state, replacing=True, early=True)

    def make_room(self, urn: str) -> None:
        """Delete what earlier runs left behind of `urn`: the next one may be called the same."""
        left = () if self._run.preview else [state for state in self._left_behind if self._now(state.urn) == urn]
        for state in left:
            self._left_behind.remove(state)
            self._run.gate.check(state, urn)
            self._delete(state, replacing=True)

    def run(self, keep: Collection[str]) -> None:
        """Delete every old state whose URN is not in `keep`, and what replacements left behind.

        Each goes as soon as whatever needs it has gone; what is needed by one that could not be deleted stays.
        """
        kept = {*keep, *(self._now(urn) for urn in self._gone)}
        orphans = [state for state in self._live if self._now(state.urn) not in kept]
        if self._run.preview:
            self._plan(orphans)
            return
        waiting: defaultdict[str, list[ResourceState]] = defaultdict(list)
        for state in (*orphans, *self._replaced, *self._left_behind):
            waiting[self._now(state.urn)].append(state)
        order = TopologicalSorter(
            deletion_graph([state.renamed(self._names) for states in waiting.values() for state in states])
        )
        order.prepare()
        with ThreadPoolExecutor(max_workers=DEFAULT_PARALLEL, thread_name_prefix="deletion") as pool:
            running: dict[Future[bool], str] = {}
            while True:
                if not self._run.cancelled.is_set():
                    running |= {pool.submit(self._attempt, waiting[urn]): urn for urn in order.get_ready()}
                if not running:
                    return
                for ended in wait(running, return_when=FIRST_COMPLETED).done:
                    urn = running.pop(ended)
                    if ended.result():
                        order.done(urn)

    def _plan(self, orphans: Sequence[ResourceState]) -> None:
        """Report the deletions as steps, and what would stop them."""
        states = {state.urn: state for state in orphans}
        graph = deletion_graph([state.renamed(self._names) for state in orphans])
        for urn in TopologicalSorter(graph).static_order():
            state = states[urn]
            self._run.report.add(replace(_step(state), impossible=state.protect))
            if state.protect:
                self._run.report.fail(Failure(state.urn, str(ProtectedError(state.urn)), ProtectedError(state.urn)))

    def _attempt(self, states: Sequence[ResourceState]) -> bool:
        """Delete `states`, all of one URN, and report that; False when one is still there, with the reason reported."""

        def delete() -> None:
            for state in states:
                replacing = state in self._replaced or state.delete
                self._run.gate.check(state, self._now(state.urn))
                self._delete(state, replacing=replacing)
                if not replacing:
                    self._run.report.add(_step(state))

        return self._succeeds(states[0].urn, delete)

    def _succeeds(self, urn: str, action: Callable[[], None]) -> bool:
        """Run `action` and tell whether it succeeded; why not is reported."""
        try:
            action()
        except (ProviderError, EngineError, StateError) as error:
            self._run.report.fail(Failure(urn, str(error), error))
            return False
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not lose the other resources' states
            unforeseen = UnforeseenError(error)
            self._run.report.fail(Failure(urn, str(unforeseen), unforeseen))
            return False
        return True

    def _delete(self, state: ResourceState, *, replacing: bool, early: bool = False) -> None:
        """Delete `state` and record it; `early` when its successor is still to be made."""
        if state.protect and not replacing:
            raise ProtectedError(state.urn)
        if not state.custom or state.is_provider or state.pending_replacement:
            self._run.record.forget(state)
            return
        step = _step(state)
        self._run.listener.started(step)
        began = time.monotonic()
        begun = self._run.record.begin(Operation.DELETING, state)
        try:
            if not state.retain_on_delete:
                self._provider_delete(state)
        except ProviderError as error:
            if not isinstance(error, UnfinishedError):  # that stays pending: the next run looks what became of it
                self._run.record.failed(begun)
            self._run.listener.finished(step, time.monotonic() - began, Failure(state.urn, str(error), error))
            raise
        self._run.record.done(begun, None, replacing=early)
        self._run.listener.finished(step, time.monotonic() - began, None)

    def settle(self, urns: Collection[str]) -> None:
        """Deal with what an earlier run was cut off at and this program has no more: half-made resources are deleted.

        In a preview nothing is asked: the next `up` does it.
        """
        left: Sequence[PendingOperation] = () if self._run.preview else self._run.old.pending_operations
        for pending in left:
            if self._now(pending.resource.urn) in urns and pending.operation is Operation.CREATING:
                self._succeeds(pending.resource.urn, partial(self._unmake, pending.resource))

    def _unmake(self, state: ResourceState) -> None:
        """Delete what a cut-off creation has left, if it has left anything."""
        provider = self._run.providers.get(state.provider)
        context = Context(interrupted=Operation.CREATING, cancelled=self._run.cancelled)
        found = provider.read(as_resource(state), context)
        if found is not None and found.id:
            provider.delete(as_resource(replace(state, id=found.id, outputs=found.outputs)), context)
        self._run.record.resolve(state.urn)

    def _now(self, urn: str) -> str:
        return self._names.get(urn, urn)

    def _provider_delete(self, state: ResourceState) -> None:
        timeouts = state.custom_timeouts
        context = Context(
            timeout_seconds=timeouts.delete_seconds if timeouts else None,
            report=lambda message: self._run.listener.progressed(state.urn, message),
            cancelled=self._run.cancelled,
        )
        self._run.providers.get(state.provider).delete(as_resource(state), context)


def _step(state: ResourceState) -> Step:
    hidden = state.is_provider and not state.parent
    return Step(op=Op.DELETE, urn=state.urn, old=state, detailed=False, hidden=hidden)
