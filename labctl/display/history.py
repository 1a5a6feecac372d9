"""A stack's past as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from labctl.engine.plan import Op

from .words import STYLES, SYMBOLS, title

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from rich.console import Console

    from labctl.history import PastRun, StateChange

__all__ = ["age", "print_entry", "print_history", "print_state_changes"]

MOST_PATHS: Final = 8
"""Changed properties named per resource."""
BEGAN_WIDTH: Final = len("2026-11-20 09:14")
"""Columns of a time: on a narrow terminal other columns give way."""
UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60))
"""Seconds."""


def age(moment: datetime, now: datetime) -> str:
    """Return how long ago `moment` was: ``3 hours ago``."""
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, size in UNITS:
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return f"{seconds} s ago"


def print_history(console: Console, stack: str, runs: Sequence[PastRun], *, count: int, now: datetime) -> None:
    """Print one line per run, the latest first; `count` is how many there are in all."""
    if not runs:
        console.print(f"{stack} has no history: nothing has been done to this state yet", markup=False)
        return
    table = Table(title=f"{stack}: history", title_justify="left", box=None, pad_edge=False)
    for name in ("version", "what", "began (UTC)", "took", "who", "revision", "changes", "message"):
        is_short = name in {"version", "took", "revision"}
        least = BEGAN_WIDTH if name.startswith("began") else None
        table.add_column(name, no_wrap=is_short, min_width=least, overflow="fold")
    for run in runs:
        table.add_row(
            str(run.version),
            Text(run.kind if run.succeeded else f"{run.kind} failed", style="" if run.succeeded else "red"),
            f"{run.start:%Y-%m-%d %H:%M} ({age(run.start, now)})",
            f"{(run.end - run.start).total_seconds():.0f}s",
            Text(run.who),
            run.revision,
            _counts(run.changes),
            Text(run.message),
        )
    console.print(table)
    if any(run.revision.endswith("+") for run in runs):
        console.print("+ after a revision: the tree had changes that were not committed")
    if count > len(runs):
        console.print(f"… and {count - len(runs)} older ones (--limit)")


def print_entry(console: Console, run: PastRun) -> None:
    """Print all that one entry says, its configuration by key."""
    outcome = "succeeded" if run.succeeded else str(run.entry.get("result", ""))
    console.print(f"version {run.version}: {run.kind} {outcome}", style="bold", markup=False)
    console.print(f"message: {run.message or '(none)'}", markup=False)
    console.print(f"began {run.start:%Y-%m-%d %H:%M:%S} UTC, ended {run.end:%Y-%m-%d %H:%M:%S} UTC", markup=False)
    console.print(f"changes: {_counts(run.changes).plain}", markup=False)
    for key, value in sorted(run.environment.items()):
        console.print(f"{key}: {value}", markup=False)
    for key, value in sorted(run.config.items()):
        console.print(f"config {key}: {value['value']}", markup=False)


def print_state_changes(console: Console, run: PastRun, changes: Sequence[StateChange]) -> None:
    """Print what a run left in the state that was not so before, one line per resource."""
    console.print(f"version {run.version} ({run.kind}) and the one before:", style="bold", markup=False)
    for change in changes:
        op = Op(change.op)
        line = Text(f"{SYMBOLS[op]} {title(change.urn, change.type)}", style=STYLES[op])
        if change.paths:
            more = f" and {len(change.paths) - MOST_PATHS} more" if len(change.paths) > MOST_PATHS else ""
            line.append(f"  {', '.join(change.paths[:MOST_PATHS])}{more}", style="dim")
        console.print(line)
    if not changes:
        console.print("no resource is there that was not, and none has other inputs", markup=False)


def _counts(changes: Mapping[str, int]) -> Text:
    """Return ``+ 148`` and the like, by the signs of a plan; the official CLI's other operations by their names."""
    text = Text()
    for name, count in sorted(changes.items()):
        known = name in {op.value for op in Op}
        sign = SYMBOLS[Op(name)].strip() if known else ""
        text.append(("  " if text else "") + f"{sign} {count}" if sign else f"{'  ' if text else ''}{count} {name}")
    return text
