"""Verbs of the embedded control plane."""

from __future__ import annotations

from typing import Annotated

import typer

from labctl import run_log

from .options import JsonOption, OwnJsonOption, StackOption

__all__ = ["verbs"]

verbs = typer.Typer()


@verbs.command()
def down(
    stack: StackOption = "dev",
    wipe: Annotated[bool, typer.Option("--wipe", help="Forget its data and its state, too.")] = False,
    as_json: OwnJsonOption = False,
) -> None:
    """Stop the embedded control plane of a simulated lab; its data stays."""
    run_log.start("down", stack)
    from labctl.verbs.down import down as verb

    verb(stack, wipe=wipe, as_json=as_json)


@verbs.command()
def status(stack: StackOption = "dev", as_json: JsonOption = False) -> None:
    """Show the embedded control plane: processes, health, memory, where its kubeconfig is."""
    from labctl.verbs.status import status as verb

    verb(stack, as_json=as_json)


@verbs.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def kubectl(context: typer.Context, stack: StackOption = "dev") -> None:
    """Run the pinned kubectl on the embedded control plane: `labctl kubectl get nodes`."""
    from labctl.verbs.kubectl import kubectl as verb

    verb(stack, context.args)


@verbs.command()
def tools(as_json: OwnJsonOption = False) -> None:
    """Obtain the control plane's programs now: from PATH, from their releases, or built from source, once."""
    from labctl.verbs.tools import tools as verb

    verb(as_json=as_json)
