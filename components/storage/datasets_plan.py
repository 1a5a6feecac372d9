"""The file systems of a lab's storage: which dataset, whose, with which mode and quota, and why. Pure.

A folder of the stack file lies in the pool whose name begins its path: ``/tank/homes`` is dataset ``tank/homes``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from components.quantities import Size

from .config import Everyone

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .config import NfsStorage, SharedFolder

__all__ = ["Access", "DatasetKind", "DatasetPlan", "dataset_name", "dataset_plans", "pool_of", "requests_path"]

NOBODY = 65_534
"""User id that root of another machine is squashed to (exports(5), ``anonuid``)."""
REQUESTS = "home-requests"
"""Folder, beside the homes', in which the hub asks for a home."""
REQUESTS_QUOTA = Size.parse("64Mi")
"""Of that folder: a request and its answer are some hundred bytes and are gone in a day, and whoever took over a hub
fills no pool through it."""


class DatasetKind(StrEnum):
    """What a file system is for; properties, exports, snapshots and backups follow from it."""

    HOMES = "homes"
    """Holds a dataset per home, made at run time."""
    REQUESTS = "requests"
    SCRATCH = "scratch"
    SHARED = "shared"
    GROUPS = "groups"
    """Holds a dataset per group."""
    GROUP = "group"


@dataclass(frozen=True, kw_only=True)
class Access:
    """Whose a file system's top folder is, and who may do what in it."""

    uid: int = 0
    gid: int = 0
    mode: str = "0755"
    read_gids: tuple[int, ...] = ()
    """Further groups that may read, by an access control list."""
    write_gids: tuple[int, ...] = ()
    """Further groups that may write, by an access control list."""


@dataclass(frozen=True, kw_only=True)
class DatasetPlan:
    """One file system that the stack file names, directly or by what it is for."""

    name: str
    """As ZFS has it: ``tank/homes``."""
    kind: DatasetKind
    access: Access
    quota: Size | None = None
    reservation: Size | None = None
    snapshots: bool = True
    """Whether it is in the snapshots, in what follows them (replication), and in the backups."""

    @property
    def path(self) -> str:
        """Folder it appears under on its host."""
        return f"/{self.name}"


def dataset_name(path: str) -> str:
    """Return the dataset of a folder."""
    return path.removeprefix("/")


def pool_of(path: str) -> str:
    """Return the pool a folder lies in, by its path."""
    return path.split("/")[1]


def requests_path(nfs: NfsStorage) -> str:
    """Return the folder in which homes are asked for."""
    return f"/{pool_of(nfs.homes.path)}/{REQUESTS}"


def dataset_plans(nfs: NfsStorage) -> tuple[DatasetPlan, ...]:
    """Return every file system of an NFS server whose folders lie in pools, each after the one it lies in."""
    return tuple(_datasets(nfs))


def _datasets(nfs: NfsStorage) -> Iterator[DatasetPlan]:
    yield DatasetPlan(
        name=dataset_name(nfs.homes.path),
        kind=DatasetKind.HOMES,
        access=Access(),
        quota=nfs.homes.quota,
        reservation=nfs.homes.reservation,
    )
    yield DatasetPlan(
        name=dataset_name(requests_path(nfs)),
        kind=DatasetKind.REQUESTS,
        access=Access(),
        quota=REQUESTS_QUOTA,
        snapshots=False,
    )
    if nfs.scratch is not None:
        yield DatasetPlan(
            name=dataset_name(nfs.scratch.path),
            kind=DatasetKind.SCRATCH,
            # The driver makes a claim's folder as root, which the export squashes to its owner.
            access=Access(uid=NOBODY, gid=nfs.users_gid, mode="2775"),
            quota=nfs.scratch.quota,
            reservation=nfs.scratch.reservation,
            snapshots=False,
        )
    for folder in nfs.shared:
        if folder.path is not None:
            yield DatasetPlan(
                name=dataset_name(folder.path),
                kind=DatasetKind.SHARED,
                access=_shared_access(folder, nfs),
                quota=folder.size,
                snapshots=folder.snapshots,
            )
    if nfs.group_folders is not None:
        parent = dataset_name(nfs.group_folders.path)
        yield DatasetPlan(name=parent, kind=DatasetKind.GROUPS, access=Access())
        for name, group in sorted(nfs.groups.items()):
            if group.folder:
                yield DatasetPlan(
                    name=f"{parent}/{name}",
                    kind=DatasetKind.GROUP,
                    access=Access(gid=group.gid, mode="2770"),
                    quota=group.quota,
                )


def _shared_access(folder: SharedFolder, nfs: NfsStorage) -> Access:
    """Return who may do what in a shared folder, by mode where one group says it all, by a list where it does not."""
    writers = _gids(folder.writers, nfs)
    readers = _gids(folder.readers, nfs)
    open_to_all = folder.readers is Everyone.EVERYONE
    if len(writers) <= 1 and (open_to_all or set(readers) <= set(writers)):
        gid = writers[0] if writers else 0
        return Access(gid=gid, mode=("2775" if open_to_all else "2770") if writers else "0755")
    if not writers and len(readers) == 1:
        return Access(gid=readers[0], mode="2750")
    return Access(
        mode="2755" if open_to_all else "2750",
        read_gids=() if open_to_all else tuple(gid for gid in readers if gid not in writers),
        write_gids=tuple(writers),
    )


def _gids(groups: Everyone | Sequence[str], nfs: NfsStorage) -> list[int]:
    if isinstance(groups, Everyone):
        return [nfs.users_gid]
    return sorted(nfs.groups[name].gid for name in groups if name in nfs.groups)
