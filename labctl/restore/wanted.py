"""What a person can ask for, as the file system it is. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.hub.homes.requests import database_home
from components.namespaces.plan import scoped
from components.storage.datasets_plan import dataset_name

from .errors import MalformedPathError, NoDatabaseError, NoStorageError, UnknownFolderError, UnknownKindError

if TYPE_CHECKING:
    from components.storage.config import NfsStorage
    from stacks.config import ClusterConfig

__all__ = ["Wanted", "checked_path", "homes", "storage_of", "wanted"]

HOME: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?/[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
"""Namespace and claim (`components.storage.config.HomeName`)."""
UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One file system."""

    dataset: str
    """As ZFS has it: ``tank/homes/hub-prod/claim-ada``."""
    title: str
    """What a person calls it."""
    claim: tuple[str, str] | None = None
    """Namespace and name of the claim whose folder it is; None where every server mounts it."""
    is_database: bool = False
    """Whether it holds the hub's SQLite database, whose integrity is looked at."""


def storage_of(cluster: ClusterConfig, stack: str) -> NfsStorage:
    """Return the NFS server whose folders lie in pools of the stack.

    Raises
    ------
    NoStorageError
        The stack's data is not this program's to restore.
    """
    storage = cluster.storage
    if cluster.nodes.adopt is not None:
        raise NoStorageError(stack=stack, why="it adopts a cluster (nodes.adopt), whose hosts are somebody else's")
    if storage is None or storage.nfs is None:
        raise NoStorageError(stack=stack, why="it builds no storage (storage.nfs)")
    if storage.zfs is None:
        raise NoStorageError(
            stack=stack,
            why="its folders lie in no pool (storage.zfs), so there are neither snapshots nor backups of them",
        )
    if storage.nfs.backup is None and storage.nfs.snapshots is None:
        raise NoStorageError(
            stack=stack, why="it keeps neither snapshots (storage.nfs.snapshots) nor backups (.backup)"
        )
    return storage.nfs


def wanted(cluster: ClusterConfig, nfs: NfsStorage, stack: str, what: str) -> Wanted:
    """Return what is meant by ``home/NAMESPACE/CLAIM``, ``shared/NAME``, ``group/NAME`` or ``hub-database``.

    Raises
    ------
    UnknownKindError, UnknownFolderError, NoDatabaseError
        Nothing of the stack.
    """
    kind, _, name = what.partition("/")
    match kind:
        case "home":
            return _home(nfs, name)
        case "shared":
            return _shared(nfs, name)
        case "group":
            return _group(nfs, name)
        case "hub-database" if not name:
            return _hub_database(cluster, nfs, stack)
        case _:
            raise UnknownKindError(what)


def homes(nfs: NfsStorage) -> str:
    """Return the file system beneath which all homes are."""
    return dataset_name(nfs.homes.path)


def checked_path(path: str | None) -> str:
    """Return a path within a folder as the host takes it, empty for all of it.

    Raises
    ------
    MalformedPathError
        It does not stay within the folder, or is none.
    """
    if path is None:
        return ""
    trimmed = path.removesuffix("/")
    parts = trimmed.split("/")
    if not trimmed or UNPRINTABLE.search(trimmed) or any(part in {"", ".", ".."} for part in parts):
        raise MalformedPathError(path)
    return trimmed


def _home(nfs: NfsStorage, name: str) -> Wanted:
    if HOME.fullmatch(name) is None:
        raise UnknownFolderError(kind="home", name=name, known=["NAMESPACE/CLAIM, as in hub-prod/claim-ada"])
    namespace, claim = name.split("/")
    return Wanted(dataset=f"{homes(nfs)}/{name}", title=f"home {name}", claim=(namespace, claim))


def _shared(nfs: NfsStorage, name: str) -> Wanted:
    paths = {folder.name: folder.path for folder in nfs.shared if folder.path is not None}
    if name not in paths:
        raise UnknownFolderError(kind="shared folder", name=name, known=sorted(paths))
    return Wanted(dataset=dataset_name(paths[name]), title=f"shared folder {name}")


def _group(nfs: NfsStorage, name: str) -> Wanted:
    known = sorted(known for known, config in nfs.groups.items() if config.folder)
    if nfs.group_folders is None or name not in known:
        raise UnknownFolderError(kind="group with a folder", name=name, known=known)
    return Wanted(dataset=f"{dataset_name(nfs.group_folders.path)}/{name}", title=f"folder of group {name}")


def _hub_database(cluster: ClusterConfig, nfs: NfsStorage, stack: str) -> Wanted:
    if cluster.hub is None or cluster.hub.database.kind != "volume":
        raise NoDatabaseError(stack, is_elsewhere=cluster.hub is not None)
    found = database_home(scoped("hub", stack))
    return Wanted(
        dataset=f"{homes(nfs)}/{found.namespace}/{found.claim}",
        title="hub's database",
        claim=(found.namespace, found.claim),
        is_database=True,
    )
