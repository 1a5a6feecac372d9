"""Options that several verbs have."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["AllowOption", "JsonOption", "ParallelOption", "RefreshOption", "StackOption", "YesOption"]

StackOption = Annotated[str, typer.Option("--stack", "-s", envvar="LAB_STACK", help="Environment: Pulumi.<stack>.yaml")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON in the shape of the official CLI's.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
RefreshOption = Annotated[bool, typer.Option("--refresh", help="Look first at what is really there.")]
ParallelOption = Annotated[int, typer.Option("--parallel", "-p", min=1, help="Operations under way at once.")]
AllowOption = Annotated[
    list[str] | None,
    typer.Option("--allow-destroy", metavar="URN", help="Name what may be destroyed; a shell pattern, repeatable."),
]
