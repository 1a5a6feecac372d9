"""``labctl up``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from labctl.display.plan import print_plan
from labctl.display.summary import print_summary
from labctl.display.violations import print_violations
from labctl.display.words import DONE, counts
from labctl.doctor.beside_up import BesideUp
from labctl.engine.operations import deploy
from labctl.engine.run import Run
from labctl.engine.state import UpdateKind
from labctl.lab import open_lab
from labctl.rules import broken_rules, planned_resources, refuse_broken_rules

from .preview import plan, refreshed
from .session import (
    Asked,
    error_console,
    gate_for,
    print_json,
    progress_view,
    raise_failures,
    refuse_destruction,
    stoppable,
    teller,
)

if TYPE_CHECKING:
    from labctl.engine.report import Report
    from labctl.engine.state import Snapshot, Stack
    from labctl.graph.values import Plain
    from labctl.lab import Lab

__all__ = ["up"]


def up(  # noqa: PLR0913 - one parameter per option
    stack: str,
    *,
    yes: bool,
    refresh: bool,
    parallel: int,
    allow_destroy: tuple[str, ...],
    hub: bool,
    message: str = "",
    as_json: bool = False,
) -> None:
    """Bring the lab to what its stack file says and print what to look at; with `hub`, start its hub here."""
    lab = open_lab(stack)
    asked = Asked(message=message, as_json=as_json, yes=yes)
    done = _bring(lab, asked, refresh=refresh, parallel=parallel, allow_destroy=allow_destroy)
    if hub and lab.simulated:
        from .local_hub import start_hub  # noqa: PLC0415 - only a simulated lab pays for it

        start_hub(lab, asked.console(), error_console())
    if as_json:
        print_json(done)


def _bring(lab: Lab, asked: Asked, *, refresh: bool, parallel: int, allow_destroy: tuple[str, ...]) -> dict[str, Plain]:
    """Bring the lab there; return the result for ``--json``."""
    began = time.monotonic()
    stack = lab.stack
    lab.require_deployable()
    console, errors = asked.console(), error_console()
    if lab.simulated:
        from labctl.embedded import start  # noqa: PLC0415 - only a simulated lab pays for it

        start(lab, teller(errors))
    ready = time.monotonic()
    with lab.open(UpdateKind.UPDATE, teller(errors), message=asked.message) as state:
        old = refreshed(lab, state.snapshot) if refresh else state.snapshot
        health = BesideUp(lab, state.snapshot, errors, refreshes=refresh)
        planned = plan(lab, old).report
        gate = gate_for(lab, allow_destroy)
        if planned.failures:
            print_plan(console, planned, f"Plan for {stack}")
            refuse_destruction(gate, planned)
            raise_failures(planned, errors)
        broken = broken_rules(lab.root, stack, planned_resources(planned))
        print_violations(errors, broken)
        health.tell_before(planned)
        if _is_settled(planned, old):
            refuse_broken_rules(broken)
            _forget_gone(state, old)
            engine = time.monotonic() - ready
            console.print(f"Nothing to do: {counts(planned.summary(), DONE)} ({engine:.1f}s).")
            print_summary(console, lab, old)
            state.close(succeeded=True, changes=planned.summary())
            return asked.result(planned, began)
        print_plan(console, planned, f"Plan for {stack}", brief=True)
        refuse_destruction(gate, planned)
        refuse_broken_rules(broken)
        asked.confirm(f"Bring {stack} to this?")
        _forget_gone(state, old)
        with stoppable(errors) as cancelled, progress_view(errors, f"Bringing {stack} up") as view:
            run = Run(
                old=old,
                providers=lab.providers(),
                record=state,
                preview=False,
                gate=gate,
                listener=view,
                cancelled=cancelled,
            )
            report = deploy(lab.program(), run, parallel=parallel)
            merged = state.close(succeeded=not report.failures, changes=report.summary())
        for note in report.notes:
            console.print(f"note: {note}", style="cyan", markup=False)
        result = asked.result(report, began)
        if not cancelled.is_set():
            health.tell_after(merged)
        raise_failures(report, errors, cancelled=cancelled)
        now = time.monotonic()
        console.print(
            f"Done: {counts(report.summary(), DONE)}. Engine {now - ready:.1f}s, all {now - began:.1f}s.", style="bold"
        )
        print_summary(console, lab, merged)
        return result


def _forget_gone(state: Stack, seen: Snapshot) -> None:
    """Note which resources of `state` a look at the cluster has not found any more; without a look, none."""
    if seen is state.snapshot:
        return
    found = {(resource.urn, resource.id, resource.delete) for resource in seen.resources}
    for resource in state.snapshot.resources:
        if (resource.urn, resource.id, resource.delete) not in found:
            state.forget(resource)


def _is_settled(planned: Report, old: Snapshot) -> bool:
    """Tell whether there is nothing to do: no step, no new name, nothing left over, and the same outputs."""
    left_over = bool(old.pending_operations) or any(state.delete for state in old.resources)
    return not planned.changes() and not planned.renamed() and not left_over and old.outputs == planned.outputs
