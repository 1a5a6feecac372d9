"""Verbs about the lab's machines: drift, host keys."""

from __future__ import annotations

from typing import Annotated

import typer

from labctl import run_log

from . import completing
from .options import OwnJsonOption, StackOption

__all__ = ["verbs"]

verbs = typer.Typer()

HostsOption = Annotated[
    list[str] | None,
    typer.Option("--host", "-H", help="Only this host; repeatable.", autocompletion=completing.hosts),
]


@verbs.command()
def drift(
    stack: StackOption = "dev",
    host: HostsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (docs/drift.md).")] = False,
) -> None:
    """Ask the hosts what differs from the plan; changes nothing on them."""
    from labctl.verbs.drift import drift as verb

    run_log.start("drift", stack)
    verb(stack, hosts=tuple(host or ()), as_json=as_json)


hosts = typer.Typer(help="The lab's machines themselves.", no_args_is_help=True)
verbs.add_typer(hosts, name="hosts")


@hosts.command()
def keys(
    stack: StackOption = "dev",
    host: HostsOption = None,
    write: Annotated[bool, typer.Option("--write", help="Write keys that are missing into the stack file.")] = False,
    as_json: OwnJsonOption = False,
) -> None:
    """Collect the hosts' SSH keys, show their fingerprints, and compare them with the stack file."""
    from labctl.verbs.hosts import keys as verb

    run_log.start("hosts-keys", stack)
    verb(stack, hosts=tuple(host or ()), write=write, as_json=as_json)
