"""A plan in the shape of ``pulumi preview --json``, so that what reads one reads the other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from labctl.engine.plan import Op
from labctl.engine.state import Codec, SecretsManager
from labctl.graph.differences import top_level
from labctl.graph.values import Plain, redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.engine.plan import Step
    from labctl.engine.report import Report
    from labctl.engine.state import ResourceState

__all__ = ["preview_json"]

NOTHING_TO_SEAL: Final = Codec(SecretsManager(None, ()))
"""Writes states whose secrets are redacted already."""


def preview_json(report: Report, *, config: Mapping[str, str], seconds: float) -> dict[str, Plain]:
    """Return the plan in `report`; secrets are ``[secret]``, ``duration`` is in nanoseconds."""
    shape: dict[str, Plain] = {
        "config": dict(config),
        "steps": [_step(step) for step in report.visible()],
        "duration": int(seconds * 1e9),
        "changeSummary": dict(report.summary()),
    }
    if report.failures:
        shape["diagnostics"] = [
            {"urn": failure.urn, "message": f"error: {failure.message}\n", "severity": "error"}
            for failure in report.failures
        ]
    return shape


def _step(step: Step) -> dict[str, Plain]:
    shape: dict[str, Plain] = {"op": step.op.value, "urn": step.urn}
    state = step.new or step.old
    if state is not None and state.provider:
        shape["provider"] = state.provider
    if step.old is not None:
        shape["oldState"] = _state(step.old, gone=step.op == Op.REPLACE)
    if step.new is not None:
        shape["newState"] = _state(step.new)
    if step.changes and step.op is not Op.SAME:
        shape["diffReasons"] = list[Plain](sorted({top_level(path) for path in step.changes}))
    if step.replace_paths:
        shape["replaceReasons"] = list[Plain](sorted(step.replace_paths))
    shape["detailedDiff"] = _detailed(step)
    return shape


def _detailed(step: Step) -> Plain:
    if not step.detailed or not step.changes or step.op is Op.SAME:
        return None
    return {
        path: {"kind": change.value + ("-replace" if path in step.replace_paths else ""), "inputDiff": False}
        for path, change in step.changes.items()
    }


def _state(state: ResourceState, *, gone: bool = False) -> dict[str, Plain]:
    shown = replace(
        state,
        inputs={key: redact(value) for key, value in state.inputs.items()},
        outputs={key: redact(value) for key, value in state.outputs.items()},
        delete=gone,
    )
    return shown.to_json(NOTHING_TO_SEAL)
