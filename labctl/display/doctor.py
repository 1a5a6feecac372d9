"""What came of an examination: a line for each check, beneath it what is wrong and what to do."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from rich.text import Text

from labctl.doctor.vocabulary import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from labctl.doctor.findings import CheckResult, Examination, Finding

__all__ = ["STYLES", "finding_lines", "print_examination"]

STYLES: Final = {
    State.OK: ("✓", "green"),
    State.NOT_APPLICABLE: ("-", "dim"),
    State.WARNING: ("!", "yellow"),
    State.UNKNOWN: ("?", "magenta"),
    State.PROBLEM: ("✗", "bold red"),
}
"""One sign and colour of rich per state."""
NAMED: Final = {
    State.PROBLEM: ("problem", "problems"),
    State.UNKNOWN: ("not known", "not known"),
    State.WARNING: ("warning", "warnings"),
}
WIDTH: Final = 20
"""Columns of a check's name: the longest has 19."""


def print_examination(console: Console, found: Examination) -> None:
    """Print every check, its findings with their remedies, and the counts."""
    console.print(f"Health of {found.stack}", style="bold", markup=False)
    for result in found.results:
        _print_result(console, result)
    console.print(_summary(found), style=STYLES[found.state][1], markup=False)


def finding_lines(findings: Sequence[Finding]) -> list[Text]:
    """Return each finding in a line with its sign, and its remedy in another."""
    lines: list[Text] = []
    for found in findings:
        sign, style = STYLES[found.state]
        lines.append(Text(f"  {sign} {found.subject}: ", style=style).append(found.what, style="default"))
        if found.remedy:
            lines.append(Text(f"    → {found.remedy}", style="cyan"))
    return lines


def _print_result(console: Console, result: CheckResult) -> None:
    sign, style = STYLES[result.state]
    line = Text(f"{sign} {result.check:<{WIDTH}}", style=style)
    if result.state in {State.OK, State.NOT_APPLICABLE}:
        console.print(line.append(result.findings[0].what, style="default" if result.state is State.OK else "dim"))
        return
    console.print(line.append(_counted(result.findings), style="default"))
    for text in finding_lines(result.findings):
        console.print(text)


def _summary(found: Examination) -> str:
    every = [finding for result in found.results for finding in result.findings]
    cut = " (stopped before the end)" if found.is_interrupted else ""
    return f"{_counted(every) or 'all is well'}{cut}, in {found.seconds:.1f} s"


def _counted(findings: Sequence[Finding]) -> str:
    states = Counter(found.state for found in findings)
    return ", ".join(f"{states[state]} {NAMED[state][states[state] != 1]}" for state in NAMED if states[state])
