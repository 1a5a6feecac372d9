"""A plan in the shape of ``pulumi preview --json``, so that what reads one reads the other.

What a step says of its reasons depends, there, on the provider that was asked; so it does here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from labctl.engine.plan import Op
from labctl.engine.providers.base import Replacement
from labctl.engine.state import Codec, SecretsManager
from labctl.graph.differences import Change, top_level
from labctl.graph.goal import STACK_TYPE
from labctl.graph.values import Plain, redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.engine.plan import Step
    from labctl.engine.report import Report
    from labctl.engine.state import ResourceState

__all__ = ["preview_json", "state_json"]

NOTHING_TO_SEAL: Final = Codec(SecretsManager(None, ()))
"""Writes states whose secrets are redacted already."""
OBJECTS: Final = "kubernetes:"
"""Types of Kubernetes objects and of what the same provider makes of them."""
RELEASE: Final = "kubernetes:helm.sh/v3:Release"
"""The one type of that provider that names its changed properties."""


def preview_json(report: Report, *, config: Mapping[str, str], seconds: float) -> dict[str, Plain]:
    """Return the plan in `report`; secrets are ``[secret]``, ``duration`` is in nanoseconds.

    As in the official shape, what stays the same has no step, except for the stack itself and where protection changes.
    """
    shape: dict[str, Plain] = {
        "config": dict(config),
        "steps": [_step(step) for step in report.visible() if _is_shown(step)],
        "duration": int(seconds * 1e9),
        "changeSummary": dict(report.summary()),
    }
    if report.failures:
        shape["diagnostics"] = [
            {"urn": failure.urn, "message": f"error: {failure.message}\n", "severity": "error"}
            for failure in report.failures
        ]
    return shape


def _is_shown(step: Step) -> bool:
    if step.op is not Op.SAME or step.type == STACK_TYPE:
        return True
    return step.old is not None and step.new is not None and step.old.protect is not step.new.protect


def _step(step: Step) -> dict[str, Plain]:
    shape: dict[str, Plain] = {"op": step.op.value, "urn": step.urn}
    state = step.new or step.old
    if state is not None and state.provider:
        shape["provider"] = state.provider
    if step.old is not None:
        shape["oldState"] = state_json(_marked(step.old, step))
    if step.new is not None:
        shape["newState"] = new = state_json(step.new)
        if step.former:
            new["aliases"] = [step.former]
    if step.op is not Op.SAME:
        if reasons := _diff_reasons(step):
            shape["diffReasons"] = reasons
        if reasons := _replace_reasons(step):
            shape["replaceReasons"] = reasons
    shape["detailedDiff"] = _detailed(step)
    return shape


def _diff_reasons(step: Step) -> list[Plain]:
    """Return the changed properties by name; none where nobody names them, for components and objects."""
    is_component = step.new is not None and not step.new.custom
    if is_component or _is_object(step):
        return []
    return [*sorted({top_level(path) for path in step.changes})]


def _replace_reasons(step: Step) -> list[Plain]:
    """Return what makes it a replacement; of an object only paths, because nobody names its changed properties."""
    reasons = step.reasons & step.replace_paths if _is_object(step) and step.replace_paths else step.reasons
    return [*sorted(reasons)]


def _detailed(step: Step) -> Plain:
    if not step.detailed or not step.changes or step.op is Op.SAME:
        return None
    return {
        path: {
            "kind": change.value + ("-replace" if path in step.replace_paths else ""),
            "inputDiff": change is Change.DELETE and _is_object(step),
        }
        for path, change in step.changes.items()
    }


def _is_object(step: Step) -> bool:
    return step.type.startswith(OBJECTS) and step.type != RELEASE


def _marked(old: ResourceState, step: Step) -> ResourceState:
    """Return the state before a replacement as the state file would have it in the middle of that."""
    if step.op is not Op.REPLACE:
        return old
    first = step.order is Replacement.DELETE_FIRST
    return replace(old, delete=not first, pending_replacement=first)


def state_json(state: ResourceState) -> dict[str, Plain]:
    """Return `state` as a state file has it, secrets as ``[secret]``."""
    shown = replace(
        state,
        inputs={key: redact(value) for key, value in state.inputs.items()},
        outputs={key: redact(value) for key, value in state.outputs.items()},
    )
    return shown.to_json(NOTHING_TO_SEAL)
