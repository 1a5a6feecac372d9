"""The pools of a stack file: which disks of which storage host, in which redundancy, with which properties."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from components.addresses import DnsLabel
from components.errors import ConfigurationError, MalformedValueError
from components.model import Model
from components.quantities import Size

__all__ = [
    "DiskPath",
    "DraidConfig",
    "PoolConfig",
    "PoolName",
    "Redundancy",
    "VdevConfig",
    "ZfsConfig",
]

_RESERVED = ("mirror", "raidz", "draid", "spare", "log", "cache", "special", "dedup")
"""Beginnings no pool's name may have (zpoolconcepts(7))."""


class Redundancy(StrEnum):
    """How the disks of a group stand in for each other (zpoolconcepts(7))."""

    STRIPE = "stripe"
    """Not at all: one disk gone, everything gone. Only for caches, and for scratch that says so."""
    MIRROR = "mirror"
    RAIDZ1 = "raidz1"
    RAIDZ2 = "raidz2"
    RAIDZ3 = "raidz3"
    DRAID1 = "draid1"
    DRAID2 = "draid2"
    DRAID3 = "draid3"


def _pool_name(name: str) -> str:
    if name.startswith(_RESERVED):
        what = f"{name} begins like a word of zpool's own"
        raise ConfigurationError(what=what, remedy="take another name: tank, vault")
    return name


PoolName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$"), AfterValidator(_pool_name)]
"""Name of a pool; it is also the folder its file systems appear under: ``/tank``."""


def _disk(path: str) -> str:
    parts = path.split("/")
    if not path.startswith("/") or any(part in {"", ".", ".."} for part in parts[1:]) or path.split() != [path]:
        raise MalformedValueError(path, "the path of a disk", "write it from /: /dev/disk/by-id/nvme-...")
    if path.startswith("/dev/") and not path.startswith(("/dev/disk/by-", "/dev/mapper/", "/dev/loop")):
        what = f"{path} may be another disk after a reboot"
        raise ConfigurationError(what=what, remedy="name it by what is printed on it: ls -l /dev/disk/by-id")
    return path


DiskPath = Annotated[str, AfterValidator(_disk)]
"""A disk by a name that stays: beneath /dev/disk/by-*, a device-mapper name, a loop device or a file."""


class DraidConfig(Model):
    """What a distributed RAID has beside its parity (zpoolconcepts(7), dRAID)."""

    data: int = Field(ge=1, le=32, title="Data disks", description="Data disks of one redundancy group.")
    spares: int = Field(default=0, ge=0, le=100, description="Distributed spares.")


class VdevConfig(Model):
    """One group of disks."""

    kind: Redundancy = Field(description="How its disks stand in for each other.")
    disks: Annotated[tuple[DiskPath, ...], Field(min_length=1)] = Field(description="Its disks, by names that stay.")
    draid: DraidConfig | None = Field(
        default=None, title="dRAID", description="Needed with draid1, draid2 and draid3, and only there."
    )
    reason: str | None = Field(
        default=None, min_length=10, description="Why these disks need not stand in for each other: needed with stripe."
    )


class PoolConfig(Model):
    """One pool on one host. It is made of empty disks, or imported if its disks hold it; it is never destroyed."""

    host: DnsLabel = Field(description="Name of the host, among nodes.hosts, whose disks these are.")
    data: Annotated[tuple[VdevConfig, ...], Field(min_length=1)] = Field(
        description="Groups that data is spread over; all of one kind and width."
    )
    log: VdevConfig | None = Field(
        default=None, title="Log devices", description="Small, fast and power-safe: what NFS clients wait for."
    )
    special: VdevConfig | None = Field(
        default=None,
        title="Special devices",
        description="Fast disks for metadata. Lost, they take the pool along: as redundant as the data.",
    )
    cache: tuple[DiskPath, ...] = Field(
        default=(), title="Cache devices", description="Disks that hold what no longer fits into memory (L2ARC)."
    )
    spares: tuple[DiskPath, ...] = Field(default=(), description="Disks that take a failed one's place at once.")
    wipe: tuple[DiskPath, ...] = Field(
        default=(),
        title="Disks that may be wiped",
        description="Disks whose content, whatever it is, may be overwritten when the pool is made or grows. Any other "
        "disk that holds something is refused.",
    )
    ashift: int = Field(
        default=12, ge=9, le=16, description="Sector size as a power of two; 12 is 4 KiB. It can never be changed."
    )
    pool_properties: dict[str, str | None] = Field(
        default={}, description="Properties of the pool, laid over ours (zpoolprops(7)); null leaves ours out."
    )
    properties: dict[str, str | None] = Field(
        default={}, description="Properties of its file systems, laid over ours (zfsprops(7)); null leaves ours out."
    )
    scrub: str = Field(
        default="monthly", min_length=1, description="When all is read and checked, as systemd.time(7) writes it."
    )


class ZfsConfig(Model):
    """ZFS on the storage hosts."""

    pools: dict[PoolName, PoolConfig] = Field(min_length=1, description="Pools by name.")
    packages: tuple[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$")], ...] = Field(
        default=(),
        description="Packages that bring zpool and zfs, where the distribution's own (zfsutils-linux, and on Debian "
        "zfs-dkms) are not meant.",
    )
    memory: Size | None = Field(
        default=None, title="Memory for the cache", description="Most memory the ARC takes; ZFS' own limit if left out."
    )
