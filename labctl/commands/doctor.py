"""Whether a lab is healthy, and as declared."""

from __future__ import annotations

from typing import Annotated

import typer

from labctl import run_log

from .options import StackOption

__all__ = ["verbs"]

verbs = typer.Typer()


@verbs.command()
def doctor(
    stack: StackOption = "dev",
    host: Annotated[list[str] | None, typer.Option("--host", "-H", help="Ask only this host; repeatable.")] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CHECK", help="Only this check (docs/doctor.md); repeatable.")
    ] = None,
    spawn: Annotated[bool, typer.Option("--spawn", help="Start the test user's server, ask it, stop it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (docs/doctor.md).")] = False,
) -> None:
    """Look whether the lab is healthy and as declared; say what to do about what is not. Exit 13 if it is not."""
    from labctl.verbs.doctor import doctor as verb

    run_log.start("doctor", stack)
    verb(stack, hosts=tuple(host or ()), only=tuple(only or ()), spawn=spawn, as_json=as_json)
