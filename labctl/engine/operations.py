"""The four things a stack can undergo: preview, update, refresh, destroy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import repeat
from typing import TYPE_CHECKING

from labctl.graph.differences import differences
from labctl.graph.errors import GraphError
from labctl.graph.program import DEFAULT_PARALLEL, run_program

from .deletion import Deletions
from .deployment import Deployment
from .errors import EngineError
from .plan import Op, Step
from .providers.base import Context, ProviderError
from .record import as_resource
from .report import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.graph.program import Program

    from .providers.base import Created
    from .report import Report
    from .run import Run
    from .state import ResourceState

__all__ = ["deploy", "destroy", "refresh"]


def deploy(program: Program, run: Run, *, parallel: int = DEFAULT_PARALLEL) -> Report:
    """Bring the stack to what `program` asks for, or preview that; what went wrong is in the report."""
    deployment = Deployment(program, run)
    with closing(run.providers):
        try:
            run_program(program, deployment, preview=run.preview, parallel=parallel, show=_notes(run.report))
        except GraphError as error:
            run.report.fail(Failure("", str(error), error))
        deployment.finish()
    return run.report


def destroy(run: Run) -> Report:
    """Delete everything in the state, dependents first."""
    run.providers.remember_all(run.old.resources)
    deletions = Deletions(run)
    with closing(run.providers):
        deletions.run(keep=())
        deletions.settle({item.resource.urn for item in run.old.pending_operations})
    return run.report


def refresh(run: Run) -> Report:
    """Read every resource and take over into the state what is really there."""
    run.providers.remember_all(run.old.resources)
    states = list(run.old.resources)
    with closing(run.providers), ThreadPoolExecutor(DEFAULT_PARALLEL, thread_name_prefix="refresh") as pool:
        found = list(pool.map(_read, repeat(run), states))
    for state, new in zip(states, found, strict=True):
        if new is None:
            run.record.forget(state)
            run.report.add(Step(op=Op.DELETE, urn=state.urn, old=state, detailed=False))
            continue
        changes = differences(dict(state.inputs), dict(new.inputs))
        hidden = state.is_provider and not state.parent
        op = Op.UPDATE if changes else Op.SAME
        run.report.add(Step(op=op, urn=state.urn, old=state, new=new, changes=changes, hidden=hidden))
        if not state.delete:
            run.record.register(new)
    return run.report


def _read(run: Run, state: ResourceState) -> ResourceState | None:
    """Return `state` as it really is; as it was where it cannot be read, which is reported."""
    if not state.custom or state.is_provider or state.delete or state.pending_replacement:
        return state
    try:
        read: Created | None = run.providers.get(state.provider).read(
            as_resource(state), Context(cancelled=run.cancelled)
        )
    except (ProviderError, EngineError) as error:
        run.report.fail(Failure(state.urn, str(error), error))
        return state
    if read is None:
        return None
    inputs = state.inputs if read.inputs is None else read.inputs
    return replace(state, id=read.id, inputs=inputs, outputs=read.outputs, init_errors=())


def _notes(report: Report) -> Callable[[str, str], None]:
    def show(severity: str, message: str) -> None:
        report.note(f"{severity}: {message}")

    return show
