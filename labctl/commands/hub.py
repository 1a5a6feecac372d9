"""The lab's hub as its users find it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import StackOption

__all__ = ["verbs"]

verbs = typer.Typer()


hubs = typer.Typer(help="The lab's hub as its users find it.", no_args_is_help=True)
verbs.add_typer(hubs, name="hub")


@hubs.command("check")
def hub_check(
    stack: StackOption = "dev",
    spawn: Annotated[bool, typer.Option("--spawn", help="Start the test user's server, ask it, stop it.")] = False,
    url: Annotated[str | None, typer.Option("--url", help="Where the hub is, if not at its host name.")] = None,
    authority: Annotated[
        Path | None, typer.Option("--authority", metavar="FILE", help="Certificates its own is held against, PEM.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="The health service's token, if not the state's."),
    ] = None,
    start_seconds: Annotated[
        float | None, typer.Option("--start-seconds", min=1, help="How long it may start; else servers.startTimeout.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (docs/hub-operation.md).")] = False,
) -> None:
    """Look at the hub from outside: proxy, hub, database; with --spawn whether a server starts. Exit 13 if not."""
    from labctl.verbs.hub import Way, check

    way = Way(url=url, authority=authority, token_file=token_file)
    check(stack, way, spawn=spawn, start_seconds=start_seconds, as_json=as_json)
