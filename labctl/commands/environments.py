"""Verbs about environments: what they pin, how they differ, how versions go from one to the next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labctl import run_log

from . import completing
from .options import JsonOption

__all__ = ["verbs"]

verbs = typer.Typer()


@verbs.command()
def diff(
    one: Annotated[str, typer.Argument(help="Stack", autocompletion=completing.stacks)],
    other: Annotated[
        str | None, typer.Argument(help="Stack to compare it with", autocompletion=completing.stacks)
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", metavar="REV", help="Compare the stack with itself at this git revision.")
    ] = None,
    head: Annotated[
        str | None,
        typer.Option("--head", metavar="REV", help="With --base: up to this revision, not to the files here."),
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Compare names, addresses, keys and each machine by itself, too.")
    ] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 8 when there are differences.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show how two stacks differ, or one between two git revisions. Needs no cluster and no credentials."""
    from labctl.verbs.diff import diff as verb
    from labctl.verbs.diff import diff_revisions

    if (other is None) == (base is None):
        message = "name a second stack, or a revision with --base"
        raise typer.BadParameter(message)
    if base is None and head is not None:
        message = "--head needs --base"
        raise typer.BadParameter(message)
    if base is not None:
        code = diff_revisions(one, base, head, as_json=as_json)
    else:
        code = verb(one, other or "", raw=raw, as_json=as_json)
    if exit_code and code:
        raise typer.Exit(code)


@verbs.command()
def pins(
    stack: Annotated[
        list[str] | None,
        typer.Option(
            "--stack", "-s", help="Only this one's environment; repeatable.", autocompletion=completing.stacks
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what every environment pins, side by side."""
    from labctl.verbs.pins import pins as verb

    verb(tuple(stack or ()), as_json=as_json)


@verbs.command()
def promote(
    source: Annotated[str, typer.Argument(help="Environment that has proved the versions")],
    target: Annotated[str, typer.Argument(help="Its neighbour, which gets them")],
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="PIN", help="Only this pin, as charts/jupyterhub; a shell pattern, repeatable."),
    ] = None,
    major: Annotated[bool, typer.Option("--major", help="Major versions, too, where minor ones go as well.")] = False,
    allow_downgrade: Annotated[bool, typer.Option("--allow-downgrade", help="Older versions, too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="On top of uncommitted changes, and though a stack becomes invalid.")
    ] = False,
    message: Annotated[
        Path | None, typer.Option("--message", metavar="FILE", help="Write the commit's message there, too.")
    ] = None,
    commit: Annotated[bool, typer.Option("--commit", help="Commit that one file; pushes nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy pinned versions from one environment to its neighbour, as far as the policy lets them move."""
    from labctl.promotion.plan import Wishes
    from labctl.verbs.promote import Promoting
    from labctl.verbs.promote import promote as verb

    run_log.start("promote", target)
    verb(
        source,
        target,
        Wishes(only=tuple(only or ()), allows_downgrade=allow_downgrade),
        Promoting(major=major, dry_run=dry_run, force=force, commits=commit, message=message, as_json=as_json),
    )
