"""Verbs about the state: where it is, handing it over, its locks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labctl import run_log

from . import completing
from .options import OwnJsonOption, StackOption, YesOption

__all__ = ["verbs"]

verbs = typer.Typer()
backend = typer.Typer(help="Where the state is: make it, check it.", no_args_is_help=True)
verbs.add_typer(backend, name="backend")

UrlArgument = Annotated[
    str | None,
    typer.Argument(metavar="[URL]", help="s3://bucket/prefix?region=... or file://...; without it, the project's own."),
]
ShapeOption = Annotated[bool, typer.Option("--json", help="Print JSON (docs/state.md has its keys).")]


@backend.command()
def init(
    url: UrlArgument = None,
    fix: Annotated[bool, typer.Option("--fix", help="Mend one that exists: add and tighten, never loosen.")] = False,
    json: ShapeOption = False,
) -> None:
    """Make the bucket or folder of the state as it should be; one that exists is only checked."""
    from labctl.verbs.backend import backend_init as verb

    verb(url, fix=fix, as_json=json)


@backend.command()
def check(url: UrlArgument = None, json: ShapeOption = False) -> None:
    """Say what of the bucket or folder of the state is not as it should be; nothing is written."""
    from labctl.verbs.backend import backend_check as verb

    verb(url, as_json=json)


@verbs.command()
def export(
    stack: StackOption = "dev",
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Write it there instead of printing it.")] = None,
    show_secrets: Annotated[
        bool, typer.Option("--show-secrets", help="Secrets in plain: for another passphrase.")
    ] = False,
) -> None:
    """Print the state as `pulumi stack import` takes it; secrets stay sealed."""
    from labctl.verbs.export import export as verb

    verb(stack, file=file, show_secrets=show_secrets)


@verbs.command("import")
def import_(
    stack: StackOption = "dev",
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read it there instead of from stdin.")] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option("--drop", metavar="URN", help="What may be forgotten; a shell pattern, repeatable."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Whatever the present state has may be forgotten.")
    ] = False,
    yes: YesOption = False,
    as_json: OwnJsonOption = False,
) -> None:
    """Make what `pulumi stack export` or `labctl export` printed the state, after checking it."""
    run_log.start("import", stack)
    from labctl.verbs.import_state import import_state as verb

    verb(stack, file=file, drop=drop or (), replace=replace, yes=yes, as_json=as_json)


@verbs.command()
def locks(stack: StackOption = "dev", json: ShapeOption = False) -> None:
    """Show who holds a lock on the state, since when, and whether that process still runs."""
    from labctl.verbs.locks import locks as verb

    verb(stack, as_json=json)


@verbs.command()
def unlock(
    lock: Annotated[
        str,
        typer.Argument(
            help="Id of the lock, as `labctl locks` and the message about it say", autocompletion=completing.locks
        ),
    ],
    stack: StackOption = "dev",
    as_json: OwnJsonOption = False,
) -> None:
    """Release a lock that a dead process left, by its id."""
    from labctl.verbs.unlock import unlock as verb

    run_log.start("unlock", stack)
    verb(stack, lock, as_json=as_json)
