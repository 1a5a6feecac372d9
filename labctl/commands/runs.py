"""Verbs about what is and what was: outputs, history, graph, logs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import completing
from .options import JsonOption, OwnJsonOption, StackOption

__all__ = ["verbs"]

verbs = typer.Typer()


@verbs.command()
def outputs(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Only this one, its value alone, for scripts; all of them if left out.",
            autocompletion=completing.output_names,
        ),
    ] = None,
    stack: StackOption = "dev",
    as_json: JsonOption = False,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="Print secrets in the clear.")] = False,
) -> None:
    """Print what the stack exports, or one value of it."""
    from labctl.verbs.outputs import outputs as verb

    verb(stack, name, as_json=as_json, show_secrets=show_secrets)


@verbs.command()
def history(
    stack: StackOption = "dev",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="So many, the latest first.")] = 10,
    show: Annotated[
        int | None,
        typer.Option("--show", metavar="VERSION", min=1, help="All of one.", autocompletion=completing.versions),
    ] = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="What the latest, or the one of --show, left in the state that was not so.")
    ] = False,
    as_json: OwnJsonOption = False,
) -> None:
    """Show the stack's past: what ran when, by whom, from which revision, and how it ended."""
    from labctl.verbs.history import history as verb

    verb(stack, limit=limit, show=show, diff=diff, as_json=as_json)


@verbs.command()
def graph(
    stack: StackOption = "dev",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Draw it: .svg; .dot for Graphviz; .json."),
    ] = None,
    of_state: Annotated[
        bool, typer.Option("--state/--program", help="What exists, or what the program asks for.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Colour what `up` would change.")] = False,
    as_json: OwnJsonOption = False,
) -> None:
    """Show the stack's components, what each is made of, and what flows between them; with --output as a drawing."""
    from labctl.verbs.graph import graph as verb

    verb(stack, output, of_state=of_state, with_plan=plan, as_json=as_json)


@verbs.command()
def logs(
    stack: StackOption = "dev",
    last: Annotated[bool, typer.Option("--last", help="Print the latest one.")] = False,
    path: Annotated[bool, typer.Option("--path", help="Print only where the latest one is.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="So many, the latest first.")] = 20,
    as_json: OwnJsonOption = False,
) -> None:
    """List the log files of the runs on this machine, and how each ended."""
    from labctl.verbs.logs import logs as verb

    verb(stack, last=last, path=path, limit=limit, as_json=as_json)
