"""``labctl diff``."""

from __future__ import annotations

import json

from labctl.display.comparison import comparison_json, print_comparison
from labctl.graph.compare import compare
from labctl.graph.record import record
from labctl.lab import open_lab

from .session import output_console

__all__ = ["diff"]


def diff(one: str, other: str, *, as_json: bool) -> None:
    """Print how the resources of two stacks differ."""
    graphs = [record(open_lab(stack).program()) for stack in (one, other)]
    found = compare(graphs[0], graphs[1])
    console = output_console()
    if as_json:
        console.print(json.dumps(comparison_json(found), indent=2), markup=False)
    else:
        print_comparison(console, found, one, other)
