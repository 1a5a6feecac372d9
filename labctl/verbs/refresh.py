"""``labctl refresh``."""

from __future__ import annotations

import time

from labctl import run_log
from labctl.display.plan import print_plan
from labctl.engine.operations import refresh as refresh_stack
from labctl.engine.run import Run
from labctl.engine.state import UpdateKind
from labctl.lab import open_lab

from .session import Asked, error_console, print_json, raise_failures, teller

__all__ = ["refresh"]


def refresh(stack: str, *, yes: bool, message: str = "", as_json: bool = False) -> None:
    """Take over into the state what is really there."""
    began = time.monotonic()
    lab = open_lab(stack)
    asked = Asked(message=message, as_json=as_json, yes=yes)
    console, errors = asked.console(), error_console()
    with lab.open(UpdateKind.REFRESH, teller(errors), message=message) as state:
        seen = Run(old=state.snapshot, providers=lab.providers())
        with errors.status(f"looking at {len(state.snapshot.resources)} resources"):
            refresh_stack(seen)
        run_log.current().plan(seen.report)
        print_plan(console, seen.report, f"What is really there ({stack})")
        result = asked.result(seen.report, began)
        raise_failures(seen.report, errors)
        asked.confirm("Take this over into the state?")
        for step in seen.report.steps:
            if step.new is None and step.old is not None:
                state.forget(step.old)
            elif step.new is not None and not step.new.delete:
                state.register(step.new)
        state.close(succeeded=True, changes=seen.report.summary())
    if as_json:
        print_json(result)
