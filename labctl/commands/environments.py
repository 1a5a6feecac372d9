"""Verbs about environments: how they differ."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import JsonOption

__all__ = ["verbs"]

verbs = typer.Typer()


@verbs.command()
def diff(
    one: Annotated[str, typer.Argument(help="Stack")],
    other: Annotated[str, typer.Argument(help="Stack to compare it with")],
    as_json: JsonOption = False,
) -> None:
    """Compare two stacks: configuration rendered to resources, without a cluster."""
    from labctl.verbs.diff import diff as verb

    verb(one, other, as_json=as_json)
