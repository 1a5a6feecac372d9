"""What can be wrong with who may read and write in shared folders, and with groups; paths are within the section."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from components.problems import Path, Problem

from .config import Everyone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .config import NfsStorage, SharedFolder

__all__ = ["check_access"]


def check_access(nfs: NfsStorage) -> Iterator[Problem]:
    """Yield what is wrong with readers, writers and groups of an NFS server."""
    for index, folder in enumerate(nfs.shared):
        yield from _folder(("nfs", "shared", index), folder, nfs)
    yield from _groups(nfs)


def _folder(path: Path, folder: SharedFolder, nfs: NfsStorage) -> Iterator[Problem]:
    if folder.source is not None and folder.writers:
        yield Problem(
            path=(*path, "writers"),
            what="an export of another server is mounted read-only, so nobody can write to it",
            remedy="leave writers out, or give the folder a path on this server",
        )
    if folder.readers == ():
        yield Problem(
            path=(*path, "readers"),
            what=f"nobody may read {folder.name}",
            remedy="name groups, or leave readers out for everyone",
        )
    for key, groups in (("readers", folder.readers), ("writers", folder.writers)):
        for index, name in enumerate(() if isinstance(groups, Everyone) else groups):
            if name not in nfs.groups:
                nearest = get_close_matches(name, sorted(nfs.groups), n=1)
                yield Problem(
                    path=(*path, key, index),
                    what=f"there is no group {name} in nfs.groups",
                    remedy=f"did you mean {nearest[0]}?" if nearest else f"add groups: {{{name}: {{gid: ...}}}}",
                )
    if isinstance(folder.readers, Everyone) or not folder.readers:
        return
    if isinstance(folder.writers, Everyone):
        yield Problem(
            path=(*path, "writers"),
            what=f"everyone may write to {folder.name}, and only {', '.join(folder.readers)} may read it",
            remedy="write readers: everyone, or name the groups that write",
        )
        return
    blind = [name for name in folder.writers if name not in folder.readers]
    if blind:
        yield Problem(
            path=(*path, "writers"),
            what=f"{', '.join(blind)} may write to {folder.name} and not read it",
            remedy="name the group under readers, too",
        )


def _groups(nfs: NfsStorage) -> Iterator[Problem]:
    seen = {nfs.users_gid: "all users (usersGid)"}
    for name, group in nfs.groups.items():
        if group.gid in seen:
            yield Problem(
                path=("nfs", "groups", name, "gid"),
                what=f"{group.gid} is the group id of {seen[group.gid]}, too: each could do what the other may",
                remedy="give every group the id the lab's directory has for it",
            )
        seen.setdefault(group.gid, name)
    with_folder = [name for name, group in nfs.groups.items() if group.folder]
    if with_folder and nfs.group_folders is None:
        yield Problem(
            path=("nfs", "groups", with_folder[0]),
            what=f"{', '.join(with_folder)} should have a folder, and nothing says where",
            remedy="add groupFolders: {path: /tank/groups, mountPath: /srv/groups}, or write folder: false",
        )
