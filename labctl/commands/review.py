"""The check of a pull request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import JsonOption

__all__ = ["verbs"]

verbs = typer.Typer()


@verbs.command()
def review(
    base: Annotated[
        str | None, typer.Option("--base", metavar="REV", help="Revision to compare with; nothing else is needed.")
    ] = None,
    head: Annotated[
        str | None,
        typer.Option("--head", metavar="REV", help="Revision under review; otherwise the files as they are."),
    ] = None,
    stack: Annotated[list[str] | None, typer.Option("--stack", "-s", help="Only this one; repeatable.")] = None,
    preview: Annotated[
        list[str] | None,
        typer.Option("--preview", metavar="FILE=STACK", help="A `pulumi preview --json` instead; repeatable."),
    ] = None,
    description: Annotated[
        str | None,
        typer.Option(
            "--description", metavar="FILE", help="The request's description, which names destruction; -: stdin."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write the comment there instead of printing it.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a change makes of every stack, as one comment in Markdown, and whether it passes."""
    from labctl.verbs.review import Request
    from labctl.verbs.review import review as verb

    request = Request(
        base=base,
        head=head,
        stacks=tuple(stack or ()),
        previews=tuple(preview or ()),
        description=description,
        output=output,
    )
    verb(request, as_json=as_json)
