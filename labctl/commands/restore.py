"""Bring back what was lost."""

from __future__ import annotations

from typing import Annotated

import typer

from labctl import run_log
from labctl.restore.copies import Source

from .options import OwnJsonOption, StackOption, YesOption

__all__ = ["verbs"]

verbs = typer.Typer()


restores = typer.Typer(
    help="Bring homes, shared folders and the hub's database back, from snapshots or from the repository.",
    no_args_is_help=True,
)
verbs.add_typer(restores, name="restore")

WHAT = "home/NAMESPACE/CLAIM, shared/NAME, group/NAME or hub-database"
AtOption = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help="As it was then: 2026-11-20T14:30. The newest copy not later is taken."),
]
SnapshotOption = Annotated[str | None, typer.Option("--snapshot", metavar="ID", help="This copy, as `list` names it.")]
OfOption = Annotated[
    str | None, typer.Option("--of", metavar="HOST", help="Copies of that host, where this one had another name.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]


@restores.command("list")
def restore_list(
    what: Annotated[str | None, typer.Argument(metavar="WHAT", help=f"{WHAT}; the homes as such if left out.")] = None,
    stack: StackOption = "dev",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (docs/storage.md).")] = False,
) -> None:
    """Show the copies there are, with their times and where they are."""
    from labctl.verbs.restore import list_copies

    list_copies(stack, what, as_json=as_json)


@restores.command("folder")
def restore_folder(
    what: Annotated[str, typer.Argument(metavar="WHAT", help=WHAT)],
    stack: StackOption = "dev",
    at: AtOption = None,
    snapshot: SnapshotOption = None,
    source: Annotated[
        Source | None, typer.Option("--from", help="Only copies from there; the newest of all if left out.")
    ] = None,
    of: OfOption = None,
    path: Annotated[str | None, typer.Option("--path", help="Only this file or folder in it.")] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Instead of what is there, of which a snapshot stays; has to be named.")
    ] = False,
    allow_destroy: Annotated[
        list[str] | None,
        typer.Option("--allow-destroy", metavar="DATASET", help="Name what may be replaced; repeatable."),
    ] = None,
    cluster_is_down: Annotated[
        bool, typer.Option("--cluster-is-down", help="No pod uses it, and no cluster need be asked about that.")
    ] = False,
    dry_run: DryRunOption = False,
    as_json: OwnJsonOption = False,
) -> None:
    """Bring one folder back: into a new folder in it, or instead of what is there, or made anew where it is gone."""
    run_log.start("restore-folder", stack)
    from labctl.verbs.restore import Choice, Manner
    from labctl.verbs.restore import restore as verb

    manner = Manner(
        path=path,
        in_place=in_place,
        allow_destroy=tuple(allow_destroy or ()),
        cluster_is_down=cluster_is_down,
        dry_run=dry_run,
    )
    verb(stack, what, Choice(at=at, snapshot=snapshot, source=source, of=of), manner, as_json=as_json)


@restores.command("everything")
def restore_everything(
    stack: StackOption = "dev",
    at: AtOption = None,
    snapshot: SnapshotOption = None,
    of: OfOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: OwnJsonOption = False,
) -> None:
    """Bring back from the repository what is not there or has no files: a storage host with new, empty pools."""
    run_log.start("restore-everything", stack)
    from labctl.verbs.restore import Choice, restore_all

    restore_all(stack, Choice(at=at, snapshot=snapshot, of=of), yes=yes, dry_run=dry_run, as_json=as_json)
