"""Properties of pools and file systems, each with its reason, and a lab's own laid over them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .datasets_plan import DatasetKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .datasets_plan import DatasetPlan
    from .zfs_config import PoolConfig

__all__ = [
    "FILE_SYSTEM_PROPERTIES",
    "KIND_PROPERTIES",
    "POOL_PROPERTIES",
    "Property",
    "dataset_properties",
    "pool_properties",
    "root_properties",
]


@dataclass(frozen=True, slots=True)
class Property:
    """One property, and why."""

    name: str
    value: str
    reason: str


POOL_PROPERTIES = (
    Property("autoexpand", "on", "A group whose disks were all replaced by larger ones grows by itself."),
    Property("autotrim", "on", "An SSD is told what is free, and keeps its speed; a disk without TRIM is not asked."),
)
"""Of every pool (zpoolprops(7)), beside ``ashift``."""
FILE_SYSTEM_PROPERTIES = (
    Property("acltype", "posixacl", "Folders that several groups share have POSIX access lists; off, none can be set."),
    Property("atime", "off", "Reading a file is not a write: access times of homes are of no use to anybody."),
    Property("compression", "lz4", "Costs less time than the disk saves; notebooks and tables shrink to half."),
    Property("devices", "off", "Nobody's home has device files; one that came with a restored archive is inert."),
    Property("dnodesize", "auto", "Room beside the inode for the attributes that xattr=sa keeps there."),
    Property("recordsize", "128K", "ZFS' own size: small files take less than a record, large ones are read in runs."),
    Property("setuid", "off", "A program on a client cannot become another user by a file somebody left in a share."),
    Property("xattr", "sa", "Attributes, access lists among them, lie with the inode: no hidden folder per file."),
    Property(
        "org.debian:periodic-scrub",
        "disable",
        "Debian and Ubuntu scrub every pool on the second Sunday; ours have a timer that the stack file sets.",
    ),
)
"""Of the file system at a pool's root, and so of all beneath it (zfsprops(7))."""
_VISIBLE = Property(
    "snapdir", "visible", "People find yesterday's files in .zfs/snapshot by looking, and help themselves."
)
KIND_PROPERTIES: Mapping[DatasetKind, tuple[Property, ...]] = {
    DatasetKind.HOMES: (_VISIBLE,),
    DatasetKind.GROUPS: (_VISIBLE,),
    DatasetKind.SHARED: (
        Property("compression", "zstd", "Written once and read for years: a smaller result is worth the writing time."),
        Property("recordsize", "1M", "Datasets are large files read from end to end: fewer seeks, better compression."),
    ),
    DatasetKind.SCRATCH: (
        Property("logbias", "throughput", "What may be lost does not wear the log device out that homes wait for."),
        Property("recordsize", "1M", "Large intermediate files, read from end to end."),
    ),
}
"""Of file systems by what they are for; a home or a group's folder takes them from the one it lies in."""


def pool_properties(pool: PoolConfig) -> tuple[str, ...]:
    """Return a pool's properties as ``NAME=VALUE``, by name in order."""
    return _texts(_laid_over(POOL_PROPERTIES, pool.pool_properties))


def root_properties(pool: PoolConfig) -> tuple[str, ...]:
    """Return the properties of the file system at a pool's root, which all others take over from it."""
    return _texts(_laid_over(FILE_SYSTEM_PROPERTIES, pool.properties))


def dataset_properties(dataset: DatasetPlan, pool: PoolConfig) -> tuple[str, ...]:
    """Return what a file system has beside what it takes over: quota, reservation, and what its kind asks for.

    What the lab wrote for the whole pool, be it another value or null, holds for every kind.
    """
    own = {each.name: each.value for each in KIND_PROPERTIES.get(dataset.kind, ()) if each.name not in pool.properties}
    limits = {
        # Said even where there is none: one that was taken out of the stack file is taken off.
        "quota": "none" if dataset.quota is None else str(dataset.quota.bytes),
        "reservation": "none" if dataset.reservation is None else str(dataset.reservation.bytes),
    }
    return _texts({**own, **limits})


def _laid_over(ours: Sequence[Property], theirs: Mapping[str, str | None]) -> dict[str, str]:
    wanted = {**{each.name: each.value for each in ours}, **theirs}
    return {name: value for name, value in wanted.items() if value is not None}


def _texts(properties: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in sorted(properties.items()))
