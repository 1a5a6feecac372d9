"""Verbs of every day: up, preview, refresh, destroy."""

from __future__ import annotations

from typing import Annotated

import typer

from labctl import run_log

from .options import AllowOption, JsonOption, MessageOption, ParallelOption, RefreshOption, StackOption, YesOption

__all__ = ["verbs"]

verbs = typer.Typer()

ResultOption = Annotated[
    bool, typer.Option("--json", help="Print what was done, as `preview --json` prints a plan (docs/runs.md).")
]
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
    message: MessageOption = "",
    as_json: ResultOption = False,
) -> None:
    """Bring the lab to what its stack file says; on a simulated lab, start its control plane first and its hub last."""
    run_log.start("up", stack)
    from labctl.verbs.up import up as verb

    verb(
        stack,
        yes=yes,
        refresh=refresh,
        parallel=parallel,
        allow_destroy=tuple(allow_destroy or ()),
        hub=hub,
        message=message,
        as_json=as_json,
    )


@verbs.command()
def preview(
    stack: StackOption = "dev",
    as_json: JsonOption = False,
    refresh: RefreshOption = False,
    expect_no_changes: Annotated[bool, typer.Option("--expect-no-changes", help="Exit 8 when there are any.")] = False,
    allow_destroy: AllowOption = None,
) -> None:
    """Show what `up` would change. Needs no cluster, no credentials and no Pulumi CLI."""
    run_log.start("preview", stack)
    from labctl.verbs.preview import preview as verb

    verb(
        stack,
        as_json=as_json,
        refresh=refresh,
        expect_no_changes=expect_no_changes,
        allow_destroy=tuple(allow_destroy or ()),
    )


@verbs.command()
def refresh(
    stack: StackOption = "dev", yes: YesOption = False, message: MessageOption = "", as_json: ResultOption = False
) -> None:
    """Take over into the state what is really there; changes nothing in the cluster."""
    run_log.start("refresh", stack)
    from labctl.verbs.refresh import refresh as verb

    verb(stack, yes=yes, message=message, as_json=as_json)


@verbs.command()
def destroy(
    stack: StackOption = "dev",
    yes: YesOption = False,
    allow_destroy: AllowOption = None,
    message: MessageOption = "",
    as_json: ResultOption = False,
) -> None:
    """Delete everything of the stack, dependents first."""
    run_log.start("destroy", stack)
    from labctl.verbs.destroy import destroy as verb

    verb(stack, yes=yes, allow_destroy=tuple(allow_destroy or ()), message=message, as_json=as_json)
