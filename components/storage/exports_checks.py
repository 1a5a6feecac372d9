"""What can be wrong with who may mount, and with where it appears: paths are relative to the storage section."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.problems import Path, Problem

from .config import Everyone
from .plan import GROUPS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.addresses import AnyNetwork
    from components.networks import Networks

    from .config import NfsStorage

__all__ = ["check"]

LARGEST_PREFIXES = {4: 16, 6: 48}
"""Prefix of the largest network of clients where the hosts' own is not known: a whole site (RFC 6177)."""


def check(nfs: NfsStorage, *, hosts: Networks | None = None, pods: Networks | None = None) -> Iterator[Problem]:
    """Yield what is wrong with the exports of an NFS server, and with the groups' folders beside shared ones.

    Parameters
    ----------
    nfs
        The section's NFS server.
    hosts, pods
        Networks of the hosts and of the pods, where there is an address plan.
    """
    for index, client in enumerate(nfs.clients):
        yield from _client(("nfs", "clients", index), client, hosts, pods)
    open_to_all = any(folder.path is not None and folder.readers is Everyone.EVERYONE for folder in nfs.shared)
    if nfs.clients and not open_to_all:
        yield Problem(
            path=("nfs", "clients"),
            what="there is no shared folder on this server that everyone may read, so nothing to mount",
            remedy="leave clients out, or write such a folder under shared",
        )
    yield from _groups(nfs)


def _client(path: Path, client: AnyNetwork, hosts: Networks | None, pods: Networks | None) -> Iterator[Problem]:
    own = None if hosts is None else hosts.of_family(client.version)
    largest = LARGEST_PREFIXES[client.version] if own is None else own.prefixlen
    if client.prefixlen == 0:
        yield Problem(
            path=path,
            what=f"{client} is the whole world",
            remedy="name the networks of the machines that mount: 192.0.2.64/28",
        )
    elif client.prefixlen < largest:
        measure = f"the hosts' network {own}" if own is not None else f"a site's (/{largest})"
        yield Problem(
            path=path,
            what=f"{client} is larger than {measure}: nobody knows every machine in it",
            remedy="name the networks of the machines that mount, each by itself: 192.0.2.64/28",
        )
    elif pods is not None and pods.overlaps(client):
        yield Problem(
            path=path,
            what=f"{client} holds addresses of pods, which would mount for themselves, as whoever they say they are",
            remedy="leave it out: pods get their volumes from the nodes, which may mount without being named",
        )


def _groups(nfs: NfsStorage) -> Iterator[Problem]:
    """Yield what the volume of the groups' folders, which nobody named, has in common with others."""
    groups = nfs.group_folders
    if groups is None:
        return
    for index, folder in enumerate(nfs.shared):
        if folder.name == GROUPS:
            yield Problem(
                path=("nfs", "shared", index, "name"),
                what=f"{GROUPS} is the name of the volume with the groups' folders",
                remedy="take another name",
            )
        if folder.mount_path == groups.mount_path:
            yield Problem(
                path=("nfs", "groupFolders", "mountPath"),
                what=f"the shared folder {folder.name} appears at {groups.mount_path}, too",
                remedy="give every one a mountPath of its own",
            )
