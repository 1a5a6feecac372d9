"""Homes made at run time: what a storage host is told about them, and the step that keeps it so.

`pulumi up` does not run at a sign-in. So the hub writes a request into a folder that the storage host exports, and a
small program of root's on that host, started by a systemd path unit, makes the dataset and answers in a folder beside
(``files/make-homes.sh``; docs/decisions/0007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.nodes.steps import FOLDER, Step, script_file
from components.problems import Problem

from .config import NfsServer
from .datasets_plan import dataset_name, pool_of, requests_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from components.nodes.config import NodesConfig

    from .config import NfsStorage
    from .zfs_config import ZfsConfig

__all__ = ["MOST_LETTERS", "REQUESTER_UID", "KnownHome", "check", "home_steps"]

REQUESTER_UID = 60_900
"""User and group id that the export of the requests' folder squashes everybody to (exports(5), ``all_squash`` with
``anonuid`` and ``anongid``). systemd leaves 60706 to 61183 unused, and neither Debian nor a directory of people gives
them out (systemd, "Users, Groups, UIDs and GIDs on systemd Systems")."""
MAKER = "make-homes"
"""Script that makes homes; the step copies it to where the units start it."""
MOST_LETTERS = 180
"""Of a home's dataset, as in the script: ZFS takes 255 (zfs(8)), of which a snapshot's name needs some."""
RELOAD_GANESHA = "systemctl reload nfs-ganesha.service"
"""nfs-ganesha learns of file systems beneath an export only when it reads its exports again; the kernel's server sees
them by itself (exports(5), ``crossmnt``)."""


@dataclass(frozen=True, kw_only=True)
class KnownHome:
    """A claim of the homes' class that is no person's, and has to be there before anybody could ask for it."""

    namespace: str
    claim: str
    uid: int
    gid: int

    def __str__(self) -> str:
        return f"{self.namespace}/{self.claim}:{self.uid}:{self.gid}"


def home_steps(
    nfs: NfsStorage, zfs: ZfsConfig, nodes: NodesConfig, known: Sequence[KnownHome] = ()
) -> tuple[Step, ...]:
    """Return the step of the storage host that makes homes; none where the homes' folder lies in no pool.

    Parameters
    ----------
    nfs
        The NFS server; checked.
    zfs
        The pools.
    nodes
        The hosts.
    known
        Homes the step makes itself.
    """
    if pool_of(nfs.homes.path) not in zfs.pools or nfs.host not in nodes.hosts:
        return ()
    homes = nfs.homes
    step = Step(
        name="homes",
        subject=nfs.host,
        host=nfs.host,
        files=(MAKER,),
        values={
            "AFTER_MAKING": RELOAD_GANESHA if nfs.server is NfsServer.GANESHA else None,
            "EXCEPTIONS": tuple(f"{name}={size.bytes}" for name, size in sorted(homes.exceptions.items())),
            "FIRST_UID": homes.user_ids.first,
            "HOMES": dataset_name(homes.path),
            "HOME_QUOTA": homes.each.bytes if homes.each is not None else None,
            "KNOWN_HOMES": tuple(str(home) for home in sorted(known, key=str)),
            "LAST_UID": homes.user_ids.last,
            "MAKER_SCRIPT": f"{FOLDER}/{script_file(MAKER)}",
            "REQUESTER_UID": REQUESTER_UID,
            "REQUESTS": requests_path(nfs),
            "USERS_GID": nfs.users_gid,
        },
        after=(("datasets", nfs.host),),
    )
    return (step,)


def check(nfs: NfsStorage) -> Iterator[Problem]:
    """Yield what is wrong with homes that are datasets, paths relative to the section."""
    homes, path = nfs.homes, ("nfs", "homes")
    ids = homes.user_ids
    if ids.first > ids.last:
        yield Problem(
            path=(*path, "userIds"),
            what=f"no user id lies between {ids.first} and {ids.last}",
            remedy="write the smaller one as first",
        )
    if homes.each is not None and homes.quota is not None and homes.each.bytes > homes.quota.bytes:
        yield Problem(
            path=(*path, "each"),
            what=f"one home may take {homes.each}, all of them together {homes.quota}",
            remedy="raise quota, or lower each",
        )
    for name, size in homes.exceptions.items():
        if homes.quota is not None and size.bytes > homes.quota.bytes:
            yield Problem(
                path=(*path, "exceptions", name),
                what=f"it may take {size}, all homes together {homes.quota}",
                remedy="raise quota, or lower the exception",
            )
        if size.bytes == 0:
            yield Problem(
                path=(*path, "exceptions", name),
                what="a quota of 0 is none at all to ZFS",
                remedy="write what the home may take, or leave the exception out",
            )
        if len(dataset_name(homes.path)) + 1 + len(name) > MOST_LETTERS:
            yield Problem(
                path=(*path, "exceptions", name),
                what=f"its dataset would have a name of more than {MOST_LETTERS} letters",
                remedy="take a shorter path for homes",
            )
