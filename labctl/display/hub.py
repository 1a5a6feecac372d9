"""What came of the looks at a hub, a line for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from labctl.hub_check.findings import Look, State

if TYPE_CHECKING:
    from rich.console import Console

    from labctl.hub_check.findings import Report

__all__ = ["print_report"]

SIGNS: Final = {State.WELL: ("✓", "green"), State.FAILED: ("✗", "red"), State.SKIPPED: ("-", "dim")}
"""One sign and colour of rich per state."""
WORDS: Final = {
    Look.PROXY: "the proxy answers",
    Look.HUB: "the hub answers",
    Look.DATABASE: "it reads its database",
    Look.START: "a server starts",
    Look.SERVER: "the server answers",
    Look.STOP: "the server is stopped",
}


def print_report(console: Console, report: Report) -> None:
    """Print every look with what it took and what was said."""
    console.print(f"Hub of {report.stack}  {report.url}", style="bold", markup=False)
    for found in report.findings:
        sign, style = SIGNS[found.state]
        line = Text(f"{sign} {WORDS[found.look]:<22}", style=style)
        line.append("" if found.state is State.SKIPPED else f" {found.seconds:6.1f} s", style="dim")
        line.append(f"  {found.said}" if found.said else "", style="default")
        console.print(line)
