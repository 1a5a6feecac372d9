"""What can be wrong with a storage section that no single field shows.

`check(config, hosts, storage_hosts)` finds it all at once; paths are relative to the section.
"""

from __future__ import annotations

from difflib import get_close_matches
from itertools import combinations
from typing import TYPE_CHECKING

from components.problems import Path, Problem

from .access_checks import check_access
from .backup_checks import check_backup
from .config import OnDelete
from .homes_plan import check as check_homes
from .protection_checks import check_protection
from .zfs_checks import check_zfs, folder_paths

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from components.nodes.config import HostConfig

    from .config import NfsStorage, StorageConfig

__all__ = ["check"]

HOME_MOUNT = "/home"
"""Where homes are mounted in a user's server; a shared folder there would hide them."""


def check(
    config: StorageConfig,
    hosts: Collection[str],
    storage_hosts: Collection[str],
    *,
    bootstrapped: Mapping[str, HostConfig] | None = None,
    is_adopted: bool = False,
) -> Iterator[Problem]:
    """Yield what is wrong with a storage section.

    Parameters
    ----------
    config
        Storage section of the stack file.
    hosts
        Names of all hosts.
    storage_hosts
        Names of the hosts with the role ``storage``.
    bootstrapped
        The hosts, where this stack bootstraps them: then it is seen whether they know each other's keys.
    is_adopted
        Whether the cluster is one that exists and is not simulated: nothing is done on its machines.
    """
    yield from check_zfs(config, storage_hosts, is_adopted=is_adopted)
    if config.nfs is not None:
        yield from _host(config.nfs, hosts, storage_hosts)
        yield from _homes(config.nfs)
        yield from check_homes(config.nfs)
        yield from _folders(config.nfs)
        yield from check_access(config.nfs)
        yield from check_protection(config.nfs, config.zfs, bootstrapped)
        yield from check_backup(config.nfs)
    if config.use is not None and config.use.scratch_class == config.use.home_class:
        yield Problem(
            path=("use", "scratchClass"),
            what=f"{config.use.home_class} is the class of homes, too: scratch goes with its claim, homes must not",
            remedy="name another class, or leave scratchClass out",
        )
    if config.use is not None and config.use.home_requests and config.use.home_requests_folder:
        yield Problem(
            path=("use", "homeRequestsFolder"),
            what=f"homes are asked for in a folder and in the claim {config.use.home_requests}",
            remedy="name one of homeRequestsFolder and homeRequests",
        )
    yield from _mounts(config)


def _mounts(config: StorageConfig) -> Iterator[Problem]:
    """Yield what is wrong with where volumes appear in a user's server."""
    if config.nfs is not None:
        mounts: list[tuple[Path, str, str]] = [
            (("nfs", "shared", index), folder.name, folder.mount_path) for index, folder in enumerate(config.nfs.shared)
        ]
    else:
        use = config.use
        used = {} if use is None else {"shared": use.shared, "folders": use.folders}
        mounts = [
            (("use", key, index), volume.name, volume.mount_path)
            for key, volumes in used.items()
            for index, volume in enumerate(volumes)
        ]
    yield from _unique("shared folders", "name", [(path, name) for path, name, _ in mounts])
    yield from _unique("shared folders", "mountPath", [(path, place) for path, _, place in mounts])
    groups = None if config.nfs is None else config.nfs.group_folders
    if groups is not None:
        mounts.append((("nfs", "groupFolders"), "groups", groups.mount_path))
    for path, _, place in mounts:
        if _within(place, HOME_MOUNT) or _within(HOME_MOUNT, place):
            yield Problem(
                path=(*path, "mountPath"),
                what=f"{place} would hide people's homes in {HOME_MOUNT}",
                remedy="mount it elsewhere, such as /shared/datasets",
            )
    for (_, _, one), (path, _, other) in combinations(mounts, 2):
        if one != other and (_within(one, other) or _within(other, one)):
            yield Problem(
                path=(*path, "mountPath"),
                what=f"{other} {'lies inside' if _within(other, one) else 'holds'} {one}, where another volume appears",
                remedy="give every volume a mountPath beside the others",
            )


def _host(nfs: NfsStorage, hosts: Collection[str], storage_hosts: Collection[str]) -> Iterator[Problem]:
    if nfs.host not in hosts:
        nearest = get_close_matches(nfs.host, sorted(hosts), n=1)
        remedy = f"did you mean {nearest[0]}?" if nearest else f"write one of {', '.join(sorted(hosts)) or 'no hosts'}"
        yield Problem(path=("nfs", "host"), what=f"there is no host {nfs.host} in nodes.hosts", remedy=remedy)
    elif nfs.host not in storage_hosts:
        known = f", or take {', '.join(sorted(storage_hosts))}" if storage_hosts else ""
        yield Problem(
            path=("nfs", "host"),
            what=f"host {nfs.host} has not the role storage",
            remedy=f"add storage to nodes.hosts.{nfs.host}.roles{known}",
        )


def _homes(nfs: NfsStorage) -> Iterator[Problem]:
    if nfs.homes.on_delete is OnDelete.DELETE:
        yield Problem(
            path=("nfs", "homes", "onDelete"),
            what="a person's files would go with the claim",
            remedy="write retain or archive; only scratch may be deleted",
        )


def _folders(nfs: NfsStorage) -> Iterator[Problem]:
    """Yield folders inside one another: a claim's folder or an archived one could be another volume's."""
    for (_, one), (path, other) in combinations(folder_paths(nfs), 2):
        if _within(other, one) or _within(one, other):
            relation = "is" if one == other else "lies inside" if _within(other, one) else "holds"
            yield Problem(
                path=path,
                what=f"{other} {relation} the folder {one} of another volume",
                remedy="give homes, scratch and every shared folder a folder of their own",
            )


def _unique(noun: str, field: str, values: list[tuple[Path, str]]) -> Iterator[Problem]:
    seen: set[str] = set()
    for path, value in values:
        if value in seen:
            yield Problem(
                path=(*path, field),
                what=f"two {noun} have {field} {value}",
                remedy=f"give every one a {field} of its own",
            )
        seen.add(value)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
