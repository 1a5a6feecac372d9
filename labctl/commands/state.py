"""Verbs about the state: handing it over, its lock."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import StackOption

__all__ = ["verbs"]

verbs = typer.Typer()


@verbs.command()
def export(
    stack: StackOption = "dev",
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Write it there instead of printing it.")] = None,
) -> None:
    """Print the state as `pulumi stack import` takes it; secrets stay sealed."""
    from labctl.verbs.export import export as verb

    verb(stack, file=file)


@verbs.command()
def unlock(
    lock: Annotated[str, typer.Argument(help="Id of the lock, as the message about it says")],
    stack: StackOption = "dev",
) -> None:
    """Release a lock that a dead process left, by its id."""
    from labctl.verbs.unlock import unlock as verb

    verb(stack, lock)
