"""``labctl destroy``."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from labctl import run_log
from labctl.display.plan import print_plan
from labctl.display.words import DONE, counts
from labctl.engine.operations import destroy as destroy_stack
from labctl.engine.report import Report
from labctl.engine.run import Run
from labctl.engine.state import UpdateKind
from labctl.lab import open_lab
from labctl.tenants import require_no_tenants

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
    from contextlib import AbstractContextManager

    from rich.console import Console

    from labctl.graph.values import Plain
    from labctl.lab import Lab

__all__ = ["destroy"]


def destroy(stack: str, *, yes: bool, allow_destroy: tuple[str, ...], message: str = "", as_json: bool = False) -> None:
    """Delete everything of the stack."""
    lab = open_lab(stack)
    asked = Asked(message=message, as_json=as_json, yes=yes)
    result = _destroy(lab, asked, allow_destroy)
    if as_json:
        print_json(result)


def _destroy(lab: Lab, asked: Asked, allow_destroy: tuple[str, ...]) -> dict[str, Plain]:
    began, stack = time.monotonic(), lab.stack
    console, errors = asked.console(), error_console()
    gate = gate_for(lab, allow_destroy)
    with lab.open(UpdateKind.DESTROY, teller(errors), message=asked.message) as state:
        if not state.snapshot.resources:
            console.print(f"Nothing to do: {stack} has no resources.")
            return asked.result(Report(), began)
        require_no_tenants(lab)
        planned = Run(old=state.snapshot, providers=lab.providers(), gate=gate)
        destroy_stack(planned)
        run_log.current().plan(planned.report)
        print_plan(console, planned.report, f"Destruction of {stack}")
        refuse_destruction(gate, planned.report)
        raise_failures(planned.report, errors)
        asked.confirm(f"Delete all of {stack}?")
        if lab.simulated:
            from labctl.embedded import control_plane_of  # noqa: PLC0415 - only a simulated lab pays for it

            control_plane_of(lab, teller(errors)).start()
        with (
            _no_hub(lab, errors),
            stoppable(errors) as cancelled,
            progress_view(errors, f"Destroying {stack}") as view,
        ):
            run = Run(
                old=state.snapshot,
                providers=lab.providers(),
                record=state,
                preview=False,
                gate=gate,
                listener=view,
                cancelled=cancelled,
            )
            destroy_stack(run)
            state.close(succeeded=not run.report.failures, changes=run.report.summary())
        result = asked.result(run.report, began)
        raise_failures(run.report, errors, cancelled=cancelled)
        console.print(f"Done: {counts(run.report.summary(), DONE)}.", style="bold")
        return result


def _no_hub(lab: Lab, errors: Console) -> AbstractContextManager[None]:
    if not lab.simulated:
        return nullcontext()
    from .local_hub import hub_out_of_the_way  # noqa: PLC0415 - only a simulated lab pays for it

    return hub_out_of_the_way(lab, errors)
