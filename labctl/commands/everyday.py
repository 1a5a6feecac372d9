"""Verbs of every day: up, preview, refresh, destroy, outputs."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import AllowOption, JsonOption, ParallelOption, RefreshOption, StackOption, YesOption

__all__ = ["verbs"]

verbs = typer.Typer()

HubOption = Annotated[
    bool, typer.Option("--hub/--no-hub", envvar="LAB_HUB", help="On a simulated lab, start its hub on this machine.")
]


@verbs.command()
def up(
    stack: StackOption = "dev",
    yes: YesOption = False,
    refresh: RefreshOption = False,
    parallel: ParallelOption = 16,
    allow_destroy: AllowOption = None,
    hub: HubOption = True,
) -> None:
    """Bring the lab to what its stack file says; on a simulated lab, start its control plane first and its hub last."""
    from labctl.verbs.up import up as verb

    verb(stack, yes=yes, refresh=refresh, parallel=parallel, allow_destroy=tuple(allow_destroy or ()), hub=hub)


@verbs.command()
def preview(
    stack: StackOption = "dev",
    as_json: JsonOption = False,
    refresh: RefreshOption = False,
    expect_no_changes: Annotated[bool, typer.Option("--expect-no-changes", help="Exit 8 when there are any.")] = False,
    allow_destroy: AllowOption = None,
) -> None:
    """Show what `up` would change. Needs no cluster, no credentials and no Pulumi CLI."""
    from labctl.verbs.preview import preview as verb

    verb(
        stack,
        as_json=as_json,
        refresh=refresh,
        expect_no_changes=expect_no_changes,
        allow_destroy=tuple(allow_destroy or ()),
    )


@verbs.command()
def refresh(stack: StackOption = "dev", yes: YesOption = False) -> None:
    """Take over into the state what is really there; changes nothing in the cluster."""
    from labctl.verbs.refresh import refresh as verb

    verb(stack, yes=yes)


@verbs.command()
def destroy(stack: StackOption = "dev", yes: YesOption = False, allow_destroy: AllowOption = None) -> None:
    """Delete everything of the stack, dependents first."""
    from labctl.verbs.destroy import destroy as verb

    verb(stack, yes=yes, allow_destroy=tuple(allow_destroy or ()))


@verbs.command()
def outputs(
    stack: StackOption = "dev",
    as_json: JsonOption = False,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="Print secrets in the clear.")] = False,
) -> None:
    """Print what the stack exports."""
    from labctl.verbs.outputs import outputs as verb

    verb(stack, as_json=as_json, show_secrets=show_secrets)
