"""``labctl preview``."""

from __future__ import annotations

import json
import time

from labctl import run_log
from labctl.display.json_shape import preview_json
from labctl.display.plan import print_plan
from labctl.display.violations import print_violations, violations_json
from labctl.engine.operations import deploy, refresh
from labctl.engine.plan import Op
from labctl.engine.run import Run
from labctl.engine.state import Snapshot, UpdateKind
from labctl.errors import VerbError
from labctl.exit_codes import ExitCode
from labctl.lab import Lab, open_lab
from labctl.rules import broken_rules, planned_resources, refuse_broken_rules

from .session import error_console, gate_for, output_console, raise_failures, refuse_destruction

__all__ = ["plan", "preview", "refreshed"]


class ChangesError(VerbError):
    """There are changes where none were expected."""

    exit_code = ExitCode.CHANGES


def plan(lab: Lab, old: Snapshot) -> Run:
    """Return a finished preview of `lab` against the state `old`."""
    run = Run(old=old, providers=lab.providers())
    deploy(lab.program(), run)
    run_log.current().plan(run.report)
    return run


def refreshed(lab: Lab, old: Snapshot) -> Snapshot:
    """Return `old` as things really are, without writing it anywhere."""
    run = Run(old=old, providers=lab.providers())
    refresh(run)
    raise_failures(run.report, error_console())
    return Snapshot(tuple(step.new for step in run.report.steps if step.new is not None), old.pending_operations)


def preview(
    stack: str, *, as_json: bool, refresh: bool, expect_no_changes: bool, allow_destroy: tuple[str, ...]
) -> None:
    """Print what `up` would change."""
    began = time.monotonic()
    lab = open_lab(stack)
    old = lab.open(UpdateKind.PREVIEW).snapshot
    run = plan(lab, refreshed(lab, old) if refresh else old)
    broken = broken_rules(lab.root, stack, planned_resources(run.report))
    console, errors = output_console(), error_console()
    if as_json:
        shape = preview_json(run.report, config={}, seconds=time.monotonic() - began)
        shape["policyViolations"] = violations_json(broken)
        console.print(json.dumps(shape, indent=2), markup=False)
    else:
        print_plan(console, run.report, f"Preview of {stack}")
        print_violations(console, broken)
    refuse_destruction(gate_for(lab, allow_destroy), run.report)
    raise_failures(run.report, errors)
    refuse_broken_rules(broken)
    if expect_no_changes and any(step.op is not Op.SAME for step in run.report.visible()):
        message = "there are changes"
        raise ChangesError(message)
