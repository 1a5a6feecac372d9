"""Symbols and words for steps, the same in every output."""

from __future__ import annotations

import json
from difflib import unified_diff
from typing import TYPE_CHECKING, Final

from labctl.engine.plan import Op
from labctl.graph.differences import Change, value_at
from labctl.graph.goal import urn_name
from labctl.graph.values import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.engine.plan import Step
    from labctl.graph.values import Value

__all__ = ["DOING", "DONE", "STYLES", "SYMBOLS", "change_lines", "counts", "short_type", "shown", "title"]

SYMBOLS: Final = {Op.SAME: " ", Op.CREATE: "+", Op.UPDATE: "~", Op.REPLACE: "±", Op.DELETE: "-", Op.REFRESH: "↻"}
"""One sign per operation; those of the official CLI where it has one character."""
STYLES: Final = {
    Op.SAME: "dim",
    Op.CREATE: "green",
    Op.UPDATE: "yellow",
    Op.REPLACE: "magenta",
    Op.DELETE: "red",
    Op.REFRESH: "cyan",
}
"""Colours of rich by operation."""
DOING: Final = {
    Op.CREATE: "creating",
    Op.UPDATE: "updating",
    Op.REPLACE: "replacing",
    Op.DELETE: "deleting",
    Op.REFRESH: "reading",
}
"""What is under way."""
DONE: Final = {
    Op.SAME: "unchanged",
    Op.CREATE: "created",
    Op.UPDATE: "updated",
    Op.REPLACE: "replaced",
    Op.DELETE: "deleted",
    Op.REFRESH: "read",
}
"""What has happened."""
CHANGE_SYMBOLS: Final = {Change.ADD: "+", Change.UPDATE: "~", Change.DELETE: "-"}
"""One sign per changed property."""
LONGEST_VALUE: Final = 120
"""Characters of a value shown on one line; the rest is cut."""
MOST_CHANGES: Final = 40
"""Changed properties shown per resource; a chart's values can have hundreds."""


def short_type(type_: str) -> str:
    """Return the part of a type token a person reads: ``core/v1:Namespace``, ``local:Command``, ``Storage``."""
    if type_.startswith("lab:index:"):
        return type_.removeprefix("lab:index:")
    if type_.startswith("pulumi:providers:"):
        return "provider:" + type_.removeprefix("pulumi:providers:")
    return type_.split(":", 1)[-1]


def title(urn: str, type_: str) -> str:
    """Return how a resource is called in a line of output."""
    return f"{short_type(type_)} {urn_name(urn)}"


def shown(value: Value) -> str:
    """Return `value` on one line, secrets hidden, long text cut."""
    text = json.dumps(redact(value), ensure_ascii=False, sort_keys=True)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def change_lines(step: Step) -> list[str]:
    """Return the changed properties of `step`, one line each: sign, path, old and new value."""
    old = step.old.inputs if step.old else {}
    new = step.new.inputs if step.new else {}
    lines: list[str] = []
    for path, change in list(step.changes.items())[:MOST_CHANGES]:
        before, after = value_at(old, path), value_at(new, path)
        forces = "  (forces replacement)" if path in step.replace_paths else ""
        if change is Change.UPDATE and isinstance(before, str) and isinstance(after, str) and "\n" in before + after:
            lines += [f"{CHANGE_SYMBOLS[change]} {path}:{forces}", *_text_changes(before, after)]
            continue
        values = {
            Change.ADD: shown(after),
            Change.DELETE: shown(before),
            Change.UPDATE: f"{shown(before)} → {shown(after)}",
        }[change]
        lines.append(f"{CHANGE_SYMBOLS[change]} {path}: {values}{forces}")
    if len(step.changes) > MOST_CHANGES:
        lines.append(f"… and {len(step.changes) - MOST_CHANGES} more properties")
    return lines


def _text_changes(before: str, after: str) -> list[str]:
    """Return the lines in which two texts differ, each with its sign, long ones and long lists cut."""
    compared = unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    marked = [line for line in compared if not line.startswith(("---", "+++", "@@"))]
    found = [f"    {line[0]} {line[1:]}" for line in marked]
    cut = [line if len(line) <= LONGEST_VALUE else line[: LONGEST_VALUE - 1] + "…" for line in found[:MOST_CHANGES]]
    return cut + ([f"    … and {len(found) - MOST_CHANGES} more lines"] if len(found) > MOST_CHANGES else [])


def counts(summary: Mapping[str, int], words: Mapping[Op, str]) -> str:
    """Return ``12 to create, 1 to update, 80 unchanged`` from a summary of operations."""
    order = (Op.CREATE, Op.UPDATE, Op.REPLACE, Op.DELETE, Op.REFRESH)
    parts = [f"{SYMBOLS[op]} {summary[op]} {words[op]}" for op in order if summary.get(op)]
    if summary.get(Op.SAME):
        parts.append(f"{summary[Op.SAME]} unchanged")
    return ", ".join(parts) or "nothing"
