"""The packages that storage hosts install: what a bundle has to hold for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .backup_plan import BACKUP_PACKAGES
from .config import NfsServer
from .replication_plan import REPLICA_PACKAGES
from .snapshots_plan import SANOID_PACKAGES
from .zfs_plan import ALWAYS, DEBIAN_PACKAGES, DEFAULT_PACKAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .config import NfsStorage, StorageConfig

__all__ = ["SERVER_PACKAGES", "StoragePackages", "storage_packages"]

SERVER_PACKAGES = {
    NfsServer.KERNEL: ("nfs-kernel-server",),
    NfsServer.GANESHA: ("nfs-ganesha", "nfs-ganesha-vfs"),
}
"""What the ``exports`` step installs."""


class StoragePackages(NamedTuple):
    """Names of packages, sorted, their dependencies left out."""

    everywhere: tuple[str, ...]
    on_debian: tuple[str, ...]


def storage_packages(storage: StorageConfig | None) -> StoragePackages:
    """Return what storage hosts install; nothing where the lab's folders are somebody else's."""
    if storage is None or storage.nfs is None or storage.zfs is None:
        return StoragePackages((), ())
    own = storage.zfs.packages
    everywhere = {*ALWAYS, *(own or DEFAULT_PACKAGES), *_of_server(storage.nfs)}
    return StoragePackages(tuple(sorted(everywhere)), () if own else DEBIAN_PACKAGES)


def _of_server(nfs: NfsStorage) -> Iterator[str]:
    yield from SERVER_PACKAGES[nfs.server]
    if nfs.snapshots is not None:
        yield from SANOID_PACKAGES
    if nfs.replication is not None:
        yield from REPLICA_PACKAGES
    if nfs.backup is not None:
        yield from BACKUP_PACKAGES
