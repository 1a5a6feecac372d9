"""Broken rules of the policies, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.graph.goal import urn_name, urn_type
from labctl.graph.rules import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from labctl.graph.rules import Violation
    from labctl.graph.values import Plain

__all__ = ["print_violations", "violations_json"]

STYLES = {Severity.MANDATORY: "bold red", Severity.ADVISORY: "yellow"}
"""Colour of a violation, by how much it weighs."""


def print_violations(console: Console, found: Sequence[Violation]) -> None:
    """Print every violation under its resource: the rule, the place, what is wrong and what would be right."""
    if not found:
        return
    console.print(f"Rules broken: {len(found)}", style="bold")
    urn = ""
    for violation in found:
        if violation.urn != urn:
            urn = violation.urn
            console.print(f"  {urn_type(urn)} {urn_name(urn)}", markup=False)
        console.print(f"    {violation.severity} {violation.rule}", style=STYLES[violation.severity], end="")
        place = f" at {violation.path}" if violation.path else ""
        console.print(f"{place}: {violation.what}; {violation.remedy}", markup=False)


def violations_json(found: Sequence[Violation]) -> list[Plain]:
    """Return the violations as JSON: one object each, keys as the fields."""
    return [
        {
            "rule": violation.rule,
            "severity": str(violation.severity),
            "urn": violation.urn,
            "path": violation.path,
            "what": violation.what,
            "remedy": violation.remedy,
        }
        for violation in found
    ]
