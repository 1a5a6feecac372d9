"""Changed properties of one resource, as lines of a difference."""

from __future__ import annotations

import json
from difflib import unified_diff
from itertools import takewhile
from typing import TYPE_CHECKING, Final, cast

from labctl.display.words import CHANGE_SYMBOLS
from labctl.graph.differences import Change, value_at

from .reading import Operation

if TYPE_CHECKING:
    from labctl.graph.values import Plain, Value

    from .changes import OutputChange
    from .reading import ReviewedStep

__all__ = ["change_line", "output_lines", "property_lines", "short_value"]

LONGEST_VALUE: Final = 160
"""Characters of one value or line of a text: an image with its digest fits."""
CONTEXT: Final = 1
"""Lines of a text shown around each that differs."""
BEFORE: Final = 40
"""Characters of a long text shown before the first that differs."""
NOT_SHOWN: Final = "differs, and is not shown"
"""What is said of a property that the engine says has changed, and that is sealed."""


def property_lines(step: ReviewedStep, most: int) -> list[str]:
    """Return the changed properties of `step`: sign, path, old and new value; texts line by line.

    Parameters
    ----------
    step
        An update or a replacement.
    most
        Properties, and lines of each text, that are shown; the rest is counted.
    """
    before = cast("dict[str, Value]", dict(step.old.inputs)) if step.old else {}
    after = cast("dict[str, Value]", dict(step.new.inputs)) if step.new else {}
    lines: list[str] = []
    for path, change in list(step.changes.items())[:most]:
        old, new = cast("Plain", value_at(before, path)), cast("Plain", value_at(after, path))
        forces = "  (forces the replacement)" if _forces(step, path) else ""
        if (
            change is Change.UPDATE
            and isinstance(old, str)
            and isinstance(new, str)
            and old != new
            and _is_long(old, new)
        ):
            lines += [f"! {path}{forces}", *(_text_lines(old, new, most) if "\n" in old + new else _parts(old, new))]
        else:
            lines.append(change_line(path, change, old, new) + forces)
    if len(step.changes) > most:
        lines.append(f"… and {len(step.changes) - most} more properties")
    return lines


def output_lines(outputs: tuple[OutputChange, ...], most: int) -> list[str]:
    """Return the stack's outputs that differ, at most `most` of them."""
    lines = [change_line(item.path, item.change, item.before, item.after) for item in outputs[:most]]
    return lines + ([f"… and {len(outputs) - most} more outputs"] if len(outputs) > most else [])


def change_line(path: str, change: Change, old: Plain, new: Plain) -> str:
    """Return one changed property on one line; a difference's signs colour it."""
    if change is Change.ADD:
        return f"{CHANGE_SYMBOLS[change]} {path}: {short_value(new)}"
    if change is Change.DELETE:
        return f"{CHANGE_SYMBOLS[change]} {path}: {short_value(old)}"
    if old == new:
        return f"! {path}: {NOT_SHOWN}"
    return f"! {path}: {short_value(old)} → {short_value(new)}"


def short_value(value: Plain) -> str:
    """Return `value` as JSON on one line, cut."""
    return _cut(json.dumps(value, ensure_ascii=False, sort_keys=True))


def _forces(step: ReviewedStep, path: str) -> bool:
    return step.operation is Operation.REPLACE and any(
        path == reason or path.startswith((f"{reason}.", f"{reason}[")) for reason in step.replacing
    )


def _is_long(old: str, new: str) -> bool:
    """Tell whether two texts are shown below each other: they have lines, or do not fit on one."""
    return "\n" in old + new or max(len(short_value(old)), len(short_value(new))) >= LONGEST_VALUE


def _parts(old: str, new: str) -> list[str]:
    """Return where two long texts begin to differ, with what is before and after that."""
    common = next(
        (at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), min(len(old), len(new))
    )
    start = max(common - BEFORE, 0)
    lead = "…" if start else ""
    return [f"{sign}   {_cut(lead + text[start:])}" for sign, text in (("-", old), ("+", new))]


def _text_lines(old: str, new: str, most: int) -> list[str]:
    """Return the lines in which two texts differ, with what is next to them."""
    compared = list(unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=CONTEXT))[2:]
    found = ["  ⋯" if line.startswith("@@") else f"{line[:1]}   {line[1:]}" for line in _told_apart(compared)]
    found = found[1:] if found[:1] == ["  ⋯"] else found
    shown = [_cut(line) for line in found[:most]]
    return shown + ([f"    … and {len(found) - most} more lines"] if len(found) > most else [])


def _told_apart(lines: list[str]) -> list[str]:
    """Return the lines of a difference, long ones that begin alike from where they differ."""
    shown = list(lines)
    for at, line in enumerate(lines):
        if line[:1] != "-" or (at and lines[at - 1][:1] == "-"):
            continue
        removed = list(takewhile(lambda each: each[:1] == "-", lines[at:]))
        begin = at + len(removed)
        added = list(takewhile(lambda each: each[:1] == "+", lines[begin:]))
        for offset, (one, other) in enumerate(zip(removed, added, strict=False)):
            if _cut(one[1:]) == _cut(other[1:]):
                parts = _parts(one[1:], other[1:])
                shown[at + offset], shown[begin + offset] = (f"{part[:1]}{part[4:]}" for part in parts)
    return shown


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
