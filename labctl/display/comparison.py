"""The difference between two stacks, for a person and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from labctl.graph.differences import Change
from labctl.graph.goal import urn_type
from labctl.graph.values import Plain, redact

from .words import CHANGE_SYMBOLS, shown, title

if TYPE_CHECKING:
    from rich.console import Console

    from labctl.graph.compare import Comparison

__all__ = ["comparison_json", "print_comparison"]


def print_comparison(console: Console, found: Comparison, one: str, other: str) -> None:
    """Print what only one of the two stacks has, and every property that differs."""
    for urn in found.only_one:
        console.print(Text(f"- {title(urn, urn_type(urn))}  only in {one}", "red"))
    for urn in found.only_other:
        console.print(Text(f"+ {title(urn, urn_type(urn))}  only in {other}", "green"))
    for urn, properties in found.changed.items():
        console.print(Text(f"~ {title(urn, urn_type(urn))}", "yellow"))
        for item in properties:
            values = {
                Change.ADD: shown(item.other),
                Change.DELETE: shown(item.one),
                Change.UPDATE: f"{shown(item.one)} → {shown(item.other)}",
            }[item.change]
            path = item.path.removeprefix("inputs.")
            console.print(f"    {CHANGE_SYMBOLS[item.change]} {path}: {values}", markup=False)
    console.print(
        f"{len(found.only_one)} only in {one}, {len(found.only_other)} only in {other}, "
        f"{len(found.changed)} different, {found.same} the same"
    )


def comparison_json(found: Comparison) -> dict[str, Plain]:
    """Return the difference as JSON: URNs with ``<stack>`` in the stack's place, properties by path."""
    changed: dict[str, Plain] = {
        urn: {
            item.path: {"change": item.change.value, "one": redact(item.one), "other": redact(item.other)}
            for item in properties
        }
        for urn, properties in found.changed.items()
    }
    return {
        "onlyOne": list[Plain](found.only_one),
        "onlyOther": list[Plain](found.only_other),
        "changed": changed,
        "same": found.same,
    }
