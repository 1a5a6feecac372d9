"""Bring the resources a program registers to their goals: decide, execute, record, one registration at a time.

The same class previews and updates. In a preview no provider changes anything and nothing is recorded.
"""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labctl.graph.goal import PROVIDER_PREFIX, STACK_TYPE, Goal
from labctl.graph.monitor import Answer, ResourceMonitor
from labctl.graph.values import UNKNOWN, UNKNOWN_WIRE, Secret, contains_unknown

from .deletion import Deletions
from .errors import CancelledError, EngineError, ProtectedError, UnforeseenError
from .plan import Decision, Op, Step, component_diff, decide, must_go_first, seal_outputs
from .providers.base import (
    Context,
    Diff,
    Operation,
    PartialFailureError,
    ProviderError,
    Replacement,
    Resource,
    UnfinishedError,
)
from .record import as_resource
from .recovery import Recovery, checked_inputs
from .renames import Renames
from .report import Failure
from .state import Begun, CustomTimeouts, ResourceState, StateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.graph.program import Program
    from labctl.graph.values import Inputs, Value

    from .providers.base import Created
    from .run import Run

__all__ = ["Deployment"]


@dataclass(frozen=True, kw_only=True)
class _Task:
    """One registration on its way: what every step of its handling needs."""

    goal: Goal
    old: ResourceState | None
    new: ResourceState
    """The state to be, without id and outputs until they are known."""
    reference: str
    context: Context


class Deployment(ResourceMonitor):
    """The monitor of the embedded engine, for one run of a program."""

    def __init__(self, program: Program, run: Run) -> None:
        super().__init__(project=program.project, stack=program.stack)
        self._run = run
        self._order = [state for state in run.old.resources if not state.delete]
        self._old = {state.urn: state for state in self._order}
        self._new: dict[str, ResourceState] = {}
        self._blocked: set[str] = set()
        self._deleted_early: dict[str, ResourceState] = {}
        self._provider_lock = threading.RLock()
        run.providers.remember_all(run.old.resources)
        self._renames = Renames(run.old, stack=program.stack, project=program.project)
        self._names = self._renames.names
        self._deletions = Deletions(run, self._names)
        self._recovery = Recovery(run, self._deletions, self._names)

    # -- what the program asks ------------------------------------------------------------------------------------

    def register(self, goal: Goal) -> Answer:
        """Answer one registration: the resource exists as asked when this returns, or is reported as failed."""
        if self._run.cancelled.is_set():
            return self._refuse(goal, None)
        if self._is_blocked(goal):
            return self._refuse(goal, None)
        try:
            self._carry_over(goal)
            if goal.is_provider:
                return self._provider(goal)
            return self._custom(goal) if goal.custom else self._component(goal)
        except (ProviderError, EngineError, StateError) as error:
            return self._refuse(goal, error)
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not lose the other resources' states
            return self._refuse(goal, UnforeseenError(error))

    def register_outputs(self, urn: str, outputs: Inputs) -> None:
        """Store what a component or the stack exports; what is unknown because something failed is left as it was."""
        state = self._new.get(urn)
        if state is None:
            return
        if not self._run.preview and contains_unknown(dict(outputs)):
            before = self._old[urn].outputs if urn in self._old else {}
            left = {key: before[key] for key in outputs.keys() & before.keys()}
            outputs = left | {key: value for key, value in outputs.items() if not contains_unknown(value)}
        with self._lock:
            self._new[urn] = replace(state, outputs=outputs)
        self._run.record.outputs(urn, outputs)
        if state.type == STACK_TYPE:
            self._run.report.outputs = outputs

    def finish(self) -> None:
        """Delete what the program no longer registers and what replacements left behind; only after a clean run."""
        if not self._run.report.failures and not self._run.cancelled.is_set():
            self._deletions.settle(self._recovery.urns - self._new.keys())
            self._deletions.run(keep=self._new.keys())
        elif self._run.cancelled.is_set():
            self._run.report.fail(Failure("", str(CancelledError())))

    # -- the three sorts of registrations -------------------------------------------------------------------------

    def _component(self, goal: Goal) -> Answer:
        old = self._old.get(goal.urn)
        decision = decide(goal, old, component_diff(old.inputs, goal.inputs) if old else Diff())
        outputs = old.outputs if old else {}
        new = replace(self._state_of(goal, goal.inputs, ""), outputs=outputs)
        self._announce(decision, old, new)
        self._keep(new)
        return Answer(outputs=goal.inputs)

    def _provider(self, goal: Goal) -> Answer:
        """Make the provider known; it is a resource of the state, but only a name and a configuration."""
        factory = self._run.providers.factory(goal.package)
        checked = factory.check_config(goal.inputs)
        inputs = checked | ({"version": goal.version} if goal.version else {})
        old = self._old.get(goal.urn)
        diff = factory.diff_config(old.inputs, inputs) if old else Diff()
        decision = decide(goal, old, diff)
        if decision.op is Op.REPLACE and old is not None and old.protect:
            raise ProtectedError(old.urn)
        fresh = old is None or decision.op is Op.REPLACE
        identity = (UNKNOWN_WIRE if self._run.preview else str(uuid.uuid4())) if fresh else _id(old)
        outputs = {key: value for key, value in inputs.items() if key != "__internal"}
        new = replace(self._state_of(goal, inputs, ""), id=identity, outputs=outputs)
        with self._provider_lock:
            self._run.providers.remember(f"{goal.urn}::{identity}", inputs)
        if old is not None and decision.op is Op.REPLACE:
            self._deletions.later(old)
        self._announce(decision, old, new, hidden=not goal.parent)
        if fresh:  # an old one stays in the state until nothing in there refers to it
            self._run.record.done(self._run.record.begin(Operation.CREATING, new), new)
        self._keep(new)
        return Answer(outputs=outputs, id="" if identity == UNKNOWN_WIRE else identity)

    def _custom(self, goal: Goal) -> Answer:
        reference = goal.provider or self._default_provider(goal)
        provider = self._run.providers.get(reference)
        old = self._surviving(goal)
        inputs = checked_inputs(goal, old, provider)
        new = self._state_of(goal, inputs, reference)
        task = _Task(goal=goal, old=old, new=new, reference=reference, context=self._context(goal))
        diff = provider.diff(as_resource(old), inputs, task.context) if old else Diff()
        decision = decide(
            goal,
            old,
            diff,
            provider_replaced=self._provider_replaced(old, reference, goal.package),
            unfinished=old is not None and (bool(old.init_errors) or goal.urn in self._recovery.urns),
        )
        early = self._deleted_early.get(goal.urn)
        if early is not None:
            decision = Decision(op=Op.REPLACE, detailed=False, order=Replacement.DELETE_FIRST)
        step = _step(decision, goal.urn, old or early, new)
        if decision.op is Op.SAME and old is not None:
            return self._same(task, old, step)
        return self._change(task, decision, step)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _same(self, task: _Task, old: ResourceState, step: Step) -> Answer:
        kept = replace(task.new, id=old.id, outputs=old.outputs, created=old.created, modified=old.modified)
        self._run.report.add(replace(step, new=kept))
        self._keep(kept)
        return _answer(kept)

    def _change(self, task: _Task, decision: Decision, step: Step) -> Answer:
        """Do what `decision` says and answer with what exists then."""
        if self._run.preview:
            try:
                new = self._execute(task, decision)
            except (ProviderError, EngineError, StateError):
                self._run.report.add(replace(step, impossible=True))
                raise
            self._run.report.add(replace(step, new=new))
            return _answer(new)
        self._run.listener.started(step)
        began = time.monotonic()
        try:
            new = self._execute(task, decision)
        except (ProviderError, EngineError, StateError) as error:
            self._run.listener.finished(step, time.monotonic() - began, Failure(task.goal.urn, str(error), error))
            raise
        self._run.report.add(replace(step, new=new))
        self._run.listener.finished(step, time.monotonic() - began, None)
        return _answer(new)

    def _execute(self, task: _Task, decision: Decision) -> ResourceState:
        """Do what `decision` says through the provider and return what exists then."""
        provider = self._run.providers.get(task.reference)
        old = task.old
        if decision.op is Op.UPDATE and old is not None:
            known = as_resource(old)
            return self._operate(
                task, Operation.UPDATING, lambda: provider.update(known, task.new.inputs, task.context)
            )
        if decision.op is Op.REPLACE and old is not None:
            if old.protect:
                raise ProtectedError(task.goal.urn)
            self._gate_unless_preview(old, task.goal.urn)
            if decision.order is Replacement.DELETE_FIRST:
                self._delete_first(old)
            else:
                self._deletions.later(old)
        self._deletions.make_room(task.goal.urn)
        resource = Resource(urn=task.goal.urn, type=task.goal.type, inputs=task.new.inputs)
        return self._operate(task, Operation.CREATING, lambda: provider.create(resource, task.context))

    def _operate(self, task: _Task, operation: Operation, action: Callable[[], Created]) -> ResourceState:
        """Run `action` between a begin and an end in the record; a partial failure is recorded before it is raised."""
        begun = self._run.record.begin(operation, task.new)
        try:
            made = action()
        except PartialFailureError as error:
            outputs = seal_outputs(error.outputs, task.goal.additional_secret_outputs, _seal)
            self._made(begun, replace(task.new, id=error.resource_id, outputs=outputs, init_errors=error.reasons))
            raise
        except UnfinishedError:  # it stays pending: the next run looks what has become of it
            raise
        except ProviderError:
            self._run.record.failed(begun)
            raise
        outputs = seal_outputs(made.outputs, task.goal.additional_secret_outputs, _seal)
        return self._made(begun, replace(task.new, id=made.id, outputs=outputs))

    def _made(self, begun: Begun, state: ResourceState) -> ResourceState:
        self._run.record.done(begun, state)
        with self._lock:
            self._new[state.urn] = state
        return state

    def _delete_first(self, old: ResourceState) -> None:
        """Delete `old` now, after the dependents that cannot outlive it."""
        order = [state.renamed(self._names) for state in self._order]
        first = must_go_first(order, old.renamed(self._names).urn, self._would_replace)
        for state in first:
            self._gate_unless_preview(state, state.urn)
            if state.protect:
                raise ProtectedError(state.urn)
        for state in first:
            self._deletions.now(state)
            self._deleted_early[state.urn] = state
        self._deletions.now(old)

    # -- questions ------------------------------------------------------------------------------------------------

    def _would_replace(self, state: ResourceState, properties: frozenset[str]) -> bool:
        """Tell whether unknown values in `properties` would replace `state`."""
        provider = self._run.providers.get(state.provider)
        inputs: Inputs = {key: UNKNOWN if key in properties else value for key, value in state.inputs.items()}
        diff = provider.diff(as_resource(state), inputs, Context(preview=True))
        goal = Goal(
            urn=state.urn,
            type=state.type,
            name="",
            custom=True,
            inputs=inputs,
            replace_on_changes=state.replace_on_changes,
        )
        return decide(goal, state, diff).op is Op.REPLACE

    def _provider_replaced(self, old: ResourceState | None, reference: str, package: str) -> bool:
        if old is None or old.renamed(self._names).provider == reference:
            return False
        before, after = self._run.providers.inputs(old.provider), self._run.providers.inputs(reference)
        return bool(self._run.providers.factory(package).diff_config(before, after).replace_paths)

    def _default_provider(self, goal: Goal) -> str:
        """Return the reference of the package's default provider, registered when first needed."""
        name = "default_" + goal.version.replace(".", "_").replace("-", "_") if goal.version else "default"
        type_ = f"{PROVIDER_PREFIX}{goal.package}"
        urn = f"urn:pulumi:{self._stack}::{self._project}::{type_}::{name}"
        with self._provider_lock:
            if urn not in self._new:
                self._provider(Goal(urn=urn, type=type_, name=name, custom=True, inputs={}, version=goal.version))
            return f"{urn}::{self._new[urn].id}"

    def _carry_over(self, goal: Goal) -> None:
        """Let `goal` go on with what the state has under an earlier name of it, if it has that."""
        former = self._renames.claim(goal)
        if former is None:
            return
        with self._lock:
            if former in self._old:
                self._old[goal.urn] = self._old[former]
            if former in self._deleted_early:
                self._deleted_early[goal.urn] = self._deleted_early.pop(former)
        self._recovery.rename(former, goal.urn)
        if goal.is_provider and former in self._old:
            old = self._old[former]
            self._run.providers.remember(f"{goal.urn}::{old.id}", old.inputs)
        self._run.record.renamed(former, goal.urn)

    def _surviving(self, goal: Goal) -> ResourceState | None:
        """Return the old state of `goal`, or None when there is nothing behind it (any more)."""
        if goal.urn in self._deleted_early:
            return None
        old = self._old.get(goal.urn)
        return self._recovery.surviving(goal, None if old is None or old.pending_replacement else old)

    def _is_blocked(self, goal: Goal) -> bool:
        """Tell whether something `goal` needs has failed."""
        provider = goal.provider.rsplit("::", 1)[0]
        return not self._blocked.isdisjoint({goal.parent, provider, *goal.dependencies})

    def _context(self, goal: Goal) -> Context:
        old = goal.urn in self._old
        return Context(
            preview=self._run.preview,
            timeout_seconds=goal.timeouts.update if old else goal.timeouts.create,
            report=lambda message: self._run.listener.progressed(goal.urn, message),
            cancelled=self._run.cancelled,
        )

    def _gate_unless_preview(self, state: ResourceState, urn: str) -> None:
        if not self._run.preview:
            self._run.gate.check(state, urn)

    # -- records --------------------------------------------------------------------------------------------------

    def _state_of(self, goal: Goal, inputs: Inputs, reference: str) -> ResourceState:
        return ResourceState(
            urn=goal.urn,
            type=goal.type,
            custom=goal.custom,
            inputs=inputs,
            parent=goal.parent,
            dependencies=goal.dependencies,
            property_dependencies=goal.property_dependencies,
            provider=reference,
            protect=goal.protect,
            retain_on_delete=goal.retain_on_delete,
            ignore_changes=goal.ignore_changes,
            replace_on_changes=goal.replace_on_changes,
            additional_secret_outputs=goal.additional_secret_outputs,
            custom_timeouts=CustomTimeouts(
                create_seconds=goal.timeouts.create,
                update_seconds=goal.timeouts.update,
                delete_seconds=goal.timeouts.delete,
            ),
        )

    def _announce(
        self, decision: Decision, old: ResourceState | None, new: ResourceState, *, hidden: bool = False
    ) -> None:
        step = replace(_step(decision, new.urn, old, new), hidden=hidden)
        self._run.report.add(step)
        if decision.op is not Op.SAME and not hidden and not self._run.preview:
            self._run.listener.started(step)
            self._run.listener.finished(step, 0.0, None)

    def _keep(self, state: ResourceState) -> None:
        with self._lock:
            self._new[state.urn] = state
        self._run.record.register(state)

    def _refuse(self, goal: Goal, error: Exception | None) -> Answer:
        """Leave the resource as it was, and with it all that needs it."""
        with self._lock:
            self._blocked.add(goal.urn)
        if error is not None:
            self._run.report.fail(Failure(goal.urn, str(error), error))
        return Answer(outputs={}, failed=True)


def _step(decision: Decision, urn: str, old: ResourceState | None, new: ResourceState) -> Step:
    return Step(
        op=decision.op,
        urn=urn,
        old=old,
        new=new,
        changes=decision.changes,
        replace_paths=decision.replace_paths,
        reasons=decision.reasons,
        order=decision.order,
        detailed=decision.detailed,
    )


def _answer(state: ResourceState) -> Answer:
    """Return what the program sees of `state`: its outputs without the provider's own notes."""
    outputs = {key: value for key, value in state.outputs.items() if not key.startswith("__")}
    return Answer(outputs=outputs, id="" if state.id == UNKNOWN_WIRE else state.id)


def _seal(value: Value) -> Value:
    return value if isinstance(value, Secret) else Secret(value)


def _id(state: ResourceState | None) -> str:
    return state.id if state else ""
