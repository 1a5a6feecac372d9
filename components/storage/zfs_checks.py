"""What can be wrong with pools, and with folders that do not lie in them; paths are within the storage section."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from typing import TYPE_CHECKING

from components.problems import Path, Problem

from .datasets_plan import pool_of, requests_path
from .layout_plan import parity, pool_disks, tolerates
from .zfs_config import Redundancy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from components.quantities import Size

    from .config import DynamicFolder, NfsStorage, StorageConfig
    from .zfs_config import PoolConfig, VdevConfig, ZfsConfig

__all__ = ["check_zfs", "folder_paths"]

DRAID = (Redundancy.DRAID1, Redundancy.DRAID2, Redundancy.DRAID3)
SIMPLE = (Redundancy.STRIPE, Redundancy.MIRROR)
MOST_CHILDREN = 255
"""Disks of one distributed RAID (zpoolconcepts(7))."""
TAKEN_FOLDERS = frozenset(
    (
        *("bin", "boot", "dev", "etc", "home", "lib", "lib64", "media", "mnt", "opt"),
        *("proc", "root", "run", "sbin", "srv", "sys", "tmp", "usr", "var"),
    )
)
"""Folders beneath / that a pool of that name would hide."""


def check_zfs(config: StorageConfig, storage_hosts: Collection[str], *, is_adopted: bool) -> Iterator[Problem]:
    """Yield what is wrong with the pools, or with what needs pools where there are none.

    Parameters
    ----------
    config
        The storage section.
    storage_hosts
        Names of the hosts with the role ``storage``.
    is_adopted
        Whether the cluster is one that exists, whose machines nothing is done on.
    """
    zfs, nfs = config.zfs, config.nfs
    if zfs is None:
        if nfs is not None:
            yield from _needs_pools(nfs)
        return
    if nfs is None:
        yield Problem(
            path=("zfs",),
            what="pools are made for the folders of nfs, and this stack uses another's storage",
            remedy="write zfs in the stack that owns the storage",
        )
    if is_adopted:
        yield Problem(
            path=("zfs",),
            what="the cluster is adopted, so nothing is done on its machines, and no pool would be made",
            remedy="leave zfs out and name folders that exist, or write zfs in a stack that bootstraps its hosts",
        )
    for name, pool in zfs.pools.items():
        yield from _pool(("zfs", "pools", name), name, pool, storage_hosts)
    yield from _disks_once(zfs)
    if nfs is not None:
        yield from _folders(nfs, zfs)


def folder_paths(nfs: NfsStorage) -> list[tuple[Path, str]]:
    """Return every folder of the server with its place in the section."""
    folders: list[tuple[Path, str]] = [(("nfs", "homes", "path"), nfs.homes.path)]
    if nfs.scratch is not None:
        folders.append((("nfs", "scratch", "path"), nfs.scratch.path))
    folders += [
        (("nfs", "shared", index, "path"), folder.path)
        for index, folder in enumerate(nfs.shared)
        if folder.path is not None
    ]
    if nfs.group_folders is not None:
        folders.append((("nfs", "groupFolders", "path"), nfs.group_folders.path))
    return folders


def _needs_pools(nfs: NfsStorage) -> Iterator[Problem]:
    asked: Mapping[Path, object] = {
        **_limits(("nfs", "homes"), nfs.homes),
        ("nfs", "homes", "each"): nfs.homes.each,
        ("nfs", "homes", "exceptions"): nfs.homes.exceptions or None,
        ("nfs", "homes", "hubs"): nfs.homes.hubs or None,
        **({} if nfs.scratch is None else _limits(("nfs", "scratch"), nfs.scratch)),
        **{("nfs", "groups", name, "quota"): group.quota for name, group in nfs.groups.items()},
        ("nfs", "replication"): nfs.replication,
        ("nfs", "backup"): nfs.backup,
    }
    for path, value in asked.items():
        if value is not None:
            yield Problem(
                path=path,
                what=f"{path[-1]} needs pools, and there are none",
                remedy="add storage.zfs, or leave it out: without zfs the server is yours to set up",
            )


def _limits(path: Path, folder: DynamicFolder) -> dict[Path, Size | None]:
    return {(*path, "quota"): folder.quota, (*path, "reservation"): folder.reservation}


def _pool(path: Path, name: str, pool: PoolConfig, storage_hosts: Collection[str]) -> Iterator[Problem]:
    if name in TAKEN_FOLDERS:
        yield Problem(
            path=path, what=f"its files would appear in /{name} and hide what is there", remedy="call it tank, or vault"
        )
    if pool.host not in storage_hosts:
        nearest = get_close_matches(pool.host, sorted(storage_hosts), n=1)
        yield Problem(
            path=(*path, "host"),
            what=f"{pool.host} is no host with the role storage",
            remedy=f"write a storage host{f', such as {nearest[0]}' if nearest else ''}, or give the host that role",
        )
    for index, vdev in enumerate(pool.data):
        yield from _group((*path, "data", index), vdev, holds_data=True)
    first = pool.data[0]
    for index, vdev in enumerate(pool.data):
        if _shape(vdev) != _shape(first):
            yield Problem(
                path=(*path, "data", index),
                what=f"a group is {_words(vdev)}, the first is {_words(first)}: the weakest decides for all data",
                remedy="give all groups one kind and as many disks, or make a second pool",
            )
    yield from _special(path, pool)
    if pool.log is not None:
        yield from _simple((*path, "log"), pool.log)
    for index, disk in enumerate(pool.wipe):
        if disk not in pool_disks(pool):
            yield Problem(
                path=(*path, "wipe", index),
                what=f"{disk} is no disk of this pool",
                remedy="take it out, or write the disk in a group",
            )


def _special(path: Path, pool: PoolConfig) -> Iterator[Problem]:
    if pool.special is None:
        return
    place = (*path, "special")
    if pool.special.kind not in SIMPLE:
        yield from _simple(place, pool.special)
        return
    yield from _group(place, pool.special, holds_data=True)
    least = min(tolerates(vdev) for vdev in pool.data)
    if tolerates(pool.special) < least:
        yield Problem(
            path=place,
            what=f"of its disks {tolerates(pool.special)} may fail, of the data's {least}: lost, it takes all along",
            remedy=f"make it a mirror of {least + 1} disks",
        )


def _simple(path: Path, vdev: VdevConfig) -> Iterator[Problem]:
    """Yield what is wrong with a group beside the data: small and fast, so a mirror or single disks."""
    if vdev.kind not in SIMPLE:
        yield Problem(
            path=(*path, "kind"), what=f"{vdev.kind} is for data", remedy="write mirror, or stripe for single disks"
        )
    else:
        yield from _group(path, vdev, holds_data=False)


def _group(path: Path, vdev: VdevConfig, *, holds_data: bool) -> Iterator[Problem]:
    count, lost = len(vdev.disks), parity(vdev.kind)
    if vdev.kind is Redundancy.STRIPE and holds_data and vdev.reason is None:
        yield Problem(
            path=path,
            what="one disk of a stripe gone, and all of the pool is gone",
            remedy="write mirror or raidz2, or say under reason why these data may be lost",
        )
    least = 2 if vdev.kind is Redundancy.MIRROR else lost + 2 if lost else 1
    if vdev.kind in DRAID:
        yield from _distributed(path, vdev)
    elif vdev.draid is not None:
        yield Problem(
            path=(*path, "draid"),
            what=f"{vdev.kind} has no distributed groups",
            remedy="leave draid out, or write draid2",
        )
    elif count < least:
        yield Problem(
            path=(*path, "disks"),
            what=f"{vdev.kind} of {count} {'disk' if count == 1 else 'disks'}: it needs {least} at least",
            remedy="write more disks" if vdev.kind is Redundancy.MIRROR else "write more disks, or a mirror of these",
        )


def _distributed(path: Path, vdev: VdevConfig) -> Iterator[Problem]:
    draid, count, lost = vdev.draid, len(vdev.disks), parity(vdev.kind)
    if draid is None:
        yield Problem(
            path=path,
            what=f"{vdev.kind} does not say how many data disks its groups have",
            remedy="add draid: {data: 8, spares: 1}",
        )
        return
    needed = draid.data + lost + draid.spares
    if count < needed:
        yield Problem(
            path=(*path, "disks"),
            what=f"{vdev.kind} of {draid.data} data and {lost} parity disks in a group, and {draid.spares} spare, "
            f"needs {needed} disks; {count} are written",
            remedy="write more disks, or fewer data disks or spares",
        )
    if count > MOST_CHILDREN:
        yield Problem(
            path=(*path, "disks"), what=f"{count} disks are more than {MOST_CHILDREN}", remedy="make two groups of them"
        )


def _disks_once(zfs: ZfsConfig) -> Iterator[Problem]:
    counts: dict[str, Counter[str]] = {}
    for pool in zfs.pools.values():
        counts.setdefault(pool.host, Counter()).update(pool_disks(pool))
    for name, pool in zfs.pools.items():
        for disk in dict.fromkeys(pool_disks(pool)):
            if counts[pool.host].pop(disk, 0) > 1:
                yield Problem(
                    path=("zfs", "pools", name),
                    what=f"the disk {disk} of host {pool.host} is named twice",
                    remedy="write each disk once, in one pool",
                )


def _folders(nfs: NfsStorage, zfs: ZfsConfig) -> Iterator[Problem]:
    own = sorted(name for name, pool in zfs.pools.items() if pool.host == nfs.host)
    example = own[0] if own else "tank"
    for path, folder in folder_paths(nfs):
        if pool_of(folder) not in own:
            where = f"the pools of {nfs.host} are {', '.join(own)}" if own else f"{nfs.host} has no pool"
            yield Problem(
                path=path,
                what=f"{folder} lies in none of the pools of {nfs.host}: a folder's path begins with its pool's name",
                remedy=f"{where}: write /{example}/...",
            )
        elif folder.count("/") == 1:
            yield Problem(
                path=path,
                what=f"{folder} is the pool itself, which holds every other folder",
                remedy=f"write a folder in it: {folder}/data",
            )
        elif f"{folder}/".startswith(f"{requests_path(nfs)}/"):
            yield Problem(
                path=path, what=f"{requests_path(nfs)} is where the hub asks for homes", remedy="write another folder"
            )
    for key, folder in (("homes", nfs.homes), ("scratch", nfs.scratch)):
        if folder is not None and folder.quota and folder.reservation and folder.reservation > folder.quota:
            yield Problem(
                path=("nfs", key, "reservation"),
                what=f"{folder.reservation} is kept for it, and it may take {folder.quota} only",
                remedy="raise quota, or lower reservation",
            )


def _shape(vdev: VdevConfig) -> tuple[object, ...]:
    if vdev.kind is Redundancy.STRIPE:
        return (vdev.kind,)
    return vdev.kind, len(vdev.disks), vdev.draid


def _words(vdev: VdevConfig) -> str:
    return f"{vdev.kind} of {len(vdev.disks)}"
