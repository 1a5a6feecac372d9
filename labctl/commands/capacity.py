"""How much the lab holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import StackOption

__all__ = ["verbs"]

verbs = typer.Typer()


@verbs.command()
def capacity(
    stack: StackOption = "dev",
    running: Annotated[bool, typer.Option("--running", help="Beside what runs in the stack's cluster now.")] = False,
    demand: Annotated[Path | None, typer.Option("--demand", help="Who is to be served: YAML.")] = None,
    spawns: Annotated[Path | None, typer.Option("--spawns", help="Past spawns: CSV, or the hub's event log.")] = None,
    layouts: Annotated[bool, typer.Option("--layouts", help="Search for the layout that serves this best.")] = False,
    time_slices: Annotated[
        int, typer.Option("--time-slices", min=0, max=48, help="Containers that may share a GPU in that search.")
    ] = 0,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw it, too: SVG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (docs/capacity.md).")] = False,
) -> None:
    """Show how much the lab holds: of each profile, of a mixture of users, and with GPUs cut otherwise."""
    from labctl.capacity.question import Asked
    from labctl.verbs.capacity import capacity as verb

    asked = Asked(running=running, demand=demand, spawns=spawns, layouts=layouts, time_slices=time_slices)
    verb(stack, asked, as_json=as_json, plot=plot)
