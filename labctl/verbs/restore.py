"""``labctl restore``."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.display.restore import WHERE, copies_document, copy_document, print_copies, telling
from labctl.engine.state import UpdateKind
from labctl.errors import VerbError
from labctl.hosts import lab_hosts
from labctl.lab import open_lab
from labctl.restore.copies import Source, choose, of_host, read_time
from labctl.restore.errors import InPlaceUnnamedError
from labctl.restore.host import Order, storage_host
from labctl.restore.usage import require_unused
from labctl.restore.wanted import checked_path, homes, storage_of, wanted
from labctl.ssh import Connector

from .session import Asked, StoppedError, error_console, gate_for, output_console, print_json, stoppable

if TYPE_CHECKING:
    from collections.abc import Generator

    from rich.console import Console

    from components.storage.config import NfsStorage
    from labctl.display.restore import Told
    from labctl.graph.values import Plain
    from labctl.lab import Lab
    from labctl.restore.copies import Copy, Found
    from labctl.restore.host import StorageHost
    from labctl.restore.wanted import Wanted

__all__ = ["Choice", "Manner", "list_copies", "restore", "restore_all"]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which copy a person wants; None: any, the newest of them."""

    at: str | None = None
    snapshot: str | None = None
    source: Source | None = None
    of: str | None = None

    def of_those(self, found: Found, dataset: str, source: Source | None = None) -> Copy:
        """Return that copy; raises `NoCopyError` where there is none."""
        at = None if self.at is None else read_time(self.at)
        copies = of_host(found, self.of)
        return choose(copies, dataset, at=at, name=self.snapshot, source=source or self.source)


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a person wants it restored."""

    path: str | None = None
    in_place: bool = False
    allow_destroy: tuple[str, ...] = ()
    cluster_is_down: bool = False
    dry_run: bool = False


def list_copies(stack: str, what: str | None, *, as_json: bool) -> None:
    """Print the copies there are of one folder, or of the homes' parent, whose snapshots are those of every home."""
    lab = open_lab(stack)
    nfs = storage_of(lab.cluster, stack)
    dataset = homes(nfs) if what is None else wanted(lab.cluster, nfs, stack, what).dataset
    with _storage_host(lab, nfs) as host, error_console().status(f"asking {host.name}"):
        found = host.found(dataset)
    console = output_console()
    if as_json:
        console.print(copies_document(stack, dataset, found), markup=False)
    else:
        print_copies(console, dataset, found)


def restore(stack: str, what: str, choice: Choice, manner: Manner, *, as_json: bool = False) -> None:
    """Bring one folder back.

    Raises
    ------
    LabError
        Any of `labctl.restore.errors`: nothing was replaced, or the same command goes on.
    """
    lab = open_lab(stack)
    nfs = storage_of(lab.cluster, stack)
    folder = wanted(lab.cluster, nfs, stack, what)
    sub_path = checked_path(manner.path)
    if manner.in_place and not manner.dry_run:
        _require_permission(lab, folder, manner)
    console = error_console() if as_json else output_console()
    with _storage_host(lab, nfs) as host:
        found = host.found(folder.dataset)
        # What is gone as a whole has no snapshots either.
        copy = choice.of_those(found, folder.dataset, None if found.is_there else Source.REPOSITORY)
        _say_source(console, folder.title, copy)
        order = Order(
            dataset=folder.dataset,
            copy=copy,
            sub_path=sub_path,
            in_place=manner.in_place and found.is_there,
            is_database=folder.is_database,
            dry_run=manner.dry_run,
        )
        told = _carry_out(host, order, f"restoring the {folder.title}", console)
    if as_json:
        print_json(_result(stack, what, copy, told, dry_run=manner.dry_run))


def restore_all(stack: str, choice: Choice, *, yes: bool, dry_run: bool, as_json: bool = False) -> None:
    """Bring back every file system of a copy that is not there or has no files.

    Raises
    ------
    VerbError
        Something was left alone; it was shown.
    """
    lab = open_lab(stack)
    nfs = storage_of(lab.cluster, stack)
    asked = Asked(as_json=as_json, yes=yes)
    console = asked.console()
    with _storage_host(lab, nfs) as host:
        found = host.found(homes(nfs))
        copy = choice.of_those(found, "everything", Source.REPOSITORY)
        _say_source(console, "everything", copy)
        told = _carry_out(host, Order(dataset=None, copy=copy, dry_run=True), "looking at what is there", console)
        if not dry_run:
            asked.confirm(f"Restore all this on {host.name}?")
            told = _carry_out(host, Order(dataset=None, copy=copy), "restoring everything", console)
    if as_json:
        print_json(_result(stack, "everything", copy, told, dry_run=dry_run))
    if dry_run:
        return
    if told.pools_wait:
        console.print(
            f"Backups of {host.name} wait, because not everything came back. When what is there is what is meant, run "
            f"`research-compute-data-backup --accept-pools` on it.",
            markup=False,
        )
        message = ""
        raise VerbError(message)


def _require_permission(lab: Lab, folder: Wanted, manner: Manner) -> None:
    """Return if what is there may be replaced: it was named, and nobody works with it."""
    if not gate_for(lab, manner.allow_destroy).permits(folder.dataset):
        raise InPlaceUnnamedError(folder.dataset)
    snapshot = lab.open(UpdateKind.PREVIEW).snapshot
    require_unused(folder, snapshot, lab.root, cluster_is_down=manner.cluster_is_down)


def _say_source(console: Console, title: str, copy: Copy) -> None:
    where = f"{WHERE[copy.source]} {copy.short}" + (f", of {copy.host}" if copy.host else "")
    console.print(f"{title} as of {copy.time:%Y-%m-%d %H:%M:%S} UTC, from the {where}", markup=False)


def _result(stack: str, what: str, copy: Copy, told: Told, *, dry_run: bool) -> dict[str, Plain]:
    """Return what was done, for ``--json``."""
    return {
        "stack": stack,
        "what": what,
        "copy": {**copy_document(copy)},
        "dryRun": dry_run,
        "said": [*told.said],
        "backupsWait": told.pools_wait,
    }


def _carry_out(host: StorageHost, order: Order, doing: str, console: Console) -> Told:
    errors = error_console()
    with stoppable(errors) as cancelled, telling(console, errors, doing) as told:
        host.restore(order, told, cancelled=cancelled)
    if cancelled.is_set():
        message = ""
        raise StoppedError(message)
    return told


@contextmanager
def _storage_host(lab: Lab, nfs: NfsStorage) -> Generator[StorageHost]:
    """Yield the stack's storage host, connected when it is first asked."""
    connector = Connector()
    try:
        yield storage_host(lab_hosts(lab, (nfs.host,)), nfs.host, connector)
    finally:
        connector.close()
