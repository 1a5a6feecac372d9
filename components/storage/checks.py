"""What can be wrong with a storage section that no single field shows.

`check(config, hosts, storage_hosts)` finds it all at once; paths are relative to the section.
"""

from __future__ import annotations

from difflib import get_close_matches
from itertools import combinations
from typing import TYPE_CHECKING

from components.problems import Path, Problem

from .config import OnDelete

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from .config import NfsStorage, StorageConfig

__all__ = ["check"]

HOME_MOUNT = "/home"
"""Where homes are mounted in a user's server; a shared folder there would hide them."""


def check(config: StorageConfig, hosts: Collection[str], storage_hosts: Collection[str]) -> Iterator[Problem]:
    """Yield what is wrong with a storage section.

    Parameters
    ----------
    config
        Storage section of the stack file.
    hosts
        Names of all hosts.
    storage_hosts
        Names of the hosts with the role ``storage``.
    """
    if config.nfs is not None:
        yield from _host(config.nfs, hosts, storage_hosts)
        yield from _homes(config.nfs)
        yield from _folders(config.nfs)
        mounts = [(("nfs", "shared", index), folder) for index, folder in enumerate(config.nfs.shared)]
    else:
        used = () if config.use is None else config.use.shared
        mounts = [(("use", "shared", index), volume) for index, volume in enumerate(used)]
    yield from _unique("shared folders", "name", [(path, mount.name) for path, mount in mounts])
    yield from _unique("shared folders", "mountPath", [(path, mount.mount_path) for path, mount in mounts])
    for path, mount in mounts:
        if _within(mount.mount_path, HOME_MOUNT) or _within(HOME_MOUNT, mount.mount_path):
            yield Problem(
                path=(*path, "mountPath"),
                what=f"{mount.mount_path} would hide people's homes in {HOME_MOUNT}",
                remedy="mount it elsewhere, such as /shared/datasets",
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
    folders: list[tuple[Path, str]] = [(("nfs", "homes", "path"), nfs.homes.path)]
    if nfs.scratch is not None:
        folders.append((("nfs", "scratch", "path"), nfs.scratch.path))
    folders += [(("nfs", "shared", index, "path"), folder.path) for index, folder in enumerate(nfs.shared)]
    for (_, one), (path, other) in combinations(folders, 2):
        if _within(other, one) or _within(one, other):
            relation = "is" if one == other else "lies inside" if _within(other, one) else "holds"
            yield Problem(
                path=path,
                what=f"{other} {relation} the folder {one} of another volume",
                remedy="give homes, scratch and every shared folder a folder of their own",
            )


def _unique(noun: str, field: str, values: list[tuple[tuple[str, str, int], str]]) -> Iterator[Problem]:
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
