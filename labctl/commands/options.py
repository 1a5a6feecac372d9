"""Options that several verbs have."""

from __future__ import annotations

from typing import Annotated

import typer

from . import completing

__all__ = [
    "AllowOption",
    "JsonOption",
    "MessageOption",
    "OwnJsonOption",
    "ParallelOption",
    "RefreshOption",
    "StackOption",
    "YesOption",
]

StackOption = Annotated[
    str,
    typer.Option(
        "--stack",
        "-s",
        envvar="LAB_STACK",
        help="Environment: Pulumi.<stack>.yaml",
        autocompletion=completing.stacks,
    ),
]
MessageOption = Annotated[
    str, typer.Option("--message", "-m", metavar="TEXT", help="What the history says of it; else the commit's title.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON in the shape of the official CLI's.")]
OwnJsonOption = Annotated[bool, typer.Option("--json", help="Print JSON (docs/runs.md).")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
RefreshOption = Annotated[bool, typer.Option("--refresh", help="Look first at what is really there.")]
ParallelOption = Annotated[int, typer.Option("--parallel", "-p", min=1, help="Operations under way at once.")]
AllowOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-destroy",
        metavar="URN",
        help="Name what may be destroyed; a shell pattern, repeatable.",
        autocompletion=completing.urns,
    ),
]
