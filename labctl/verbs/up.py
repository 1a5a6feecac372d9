"""``labctl up``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from labctl.display.plan import print_plan
from labctl.display.summary import print_summary
from labctl.display.words import DONE, counts
from labctl.engine.operations import deploy
from labctl.engine.run import Run
from labctl.engine.state import UpdateKind
from labctl.lab import open_lab

from .preview import plan, refreshed
from .session import (
    confirm,
    error_console,
    gate_for,
    output_console,
    progress_view,
    raise_failures,
    refuse_destruction,
    stoppable,
    teller,
)

if TYPE_CHECKING:
    import threading

    from labctl.engine.report import Report
    from labctl.engine.state import Snapshot, Stack
    from labctl.lab import Lab

__all__ = ["up"]


def up(stack: str, *, yes: bool, refresh: bool, parallel: int, allow_destroy: tuple[str, ...]) -> None:
    """Bring the lab to what its stack file says and print what to look at."""
    began = time.monotonic()
    lab = open_lab(stack)
    console, errors = output_console(), error_console()
    if lab.simulated:
        from labctl.embedded import start  # noqa: PLC0415 - only a simulated lab pays for it

        start(lab, teller(errors))
    ready = time.monotonic()
    with lab.open(UpdateKind.UPDATE, teller(errors)) as state:
        planned = plan(lab, refreshed(lab, state.snapshot) if refresh else state.snapshot).report
        raise_failures(planned, errors)
        if _is_settled(planned, state.snapshot):
            engine = time.monotonic() - ready
            console.print(f"Nothing to do: {counts(planned.summary(), DONE)} ({engine:.1f}s).")
            print_summary(console, lab, state.snapshot)
            return
        print_plan(console, planned, f"Plan for {stack}", brief=True)
        refuse_destruction(gate_for(lab, allow_destroy), planned)
        confirm(f"Bring {stack} to this?", yes=yes)
        with stoppable(errors) as cancelled:
            report = _apply(lab, state, parallel=parallel, allow_destroy=allow_destroy, cancelled=cancelled)
            merged = state.close(succeeded=not report.failures, changes=report.summary())
        for note in report.notes:
            console.print(f"note: {note}", style="cyan", markup=False)
        raise_failures(report, errors, cancelled=cancelled)
        now = time.monotonic()
        console.print(
            f"Done: {counts(report.summary(), DONE)}. Engine {now - ready:.1f}s, all {now - began:.1f}s.", style="bold"
        )
        print_summary(console, lab, merged)


def _apply(
    lab: Lab, state: Stack, *, parallel: int, allow_destroy: tuple[str, ...], cancelled: threading.Event
) -> Report:
    with progress_view(error_console(), f"Bringing {lab.stack} up") as view:
        run = Run(
            old=state.snapshot,
            providers=lab.providers(),
            record=state,
            preview=False,
            gate=gate_for(lab, allow_destroy),
            listener=view,
            cancelled=cancelled,
        )
        return deploy(lab.program(), run, parallel=parallel)


def _is_settled(planned: Report, old: Snapshot) -> bool:
    """Tell whether there is nothing to do: no step, nothing left over, and the outputs are what they were."""
    left_over = bool(old.pending_operations) or any(state.delete for state in old.resources)
    return not planned.changes() and not left_over and old.outputs == planned.outputs
