"""``labctl refresh``."""

from __future__ import annotations

from labctl.display.plan import print_plan
from labctl.engine.operations import refresh as refresh_stack
from labctl.engine.run import Run
from labctl.engine.state import UpdateKind
from labctl.lab import open_lab

from .session import confirm, error_console, output_console, raise_failures, teller

__all__ = ["refresh"]


def refresh(stack: str, *, yes: bool) -> None:
    """Take over into the state what is really there."""
    lab = open_lab(stack)
    console, errors = output_console(), error_console()
    with lab.open(UpdateKind.REFRESH, teller(errors)) as state:
        seen = Run(old=state.snapshot, providers=lab.providers())
        refresh_stack(seen)
        print_plan(console, seen.report, f"What is really there ({stack})")
        raise_failures(seen.report, errors)
        confirm("Take this over into the state?", yes=yes)
        for step in seen.report.steps:
            if step.new is None and step.old is not None:
                state.forget(step.old)
            elif step.new is not None and not step.new.delete:
                state.register(step.new)
        state.close(succeeded=True, changes=seen.report.summary())
