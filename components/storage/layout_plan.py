"""The layout of a pool: its groups as the scripts take them, and how much of its disks is left for files. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .zfs_config import Redundancy

if TYPE_CHECKING:
    from components.quantities import Size

    from .zfs_config import PoolConfig, VdevConfig

__all__ = [
    "group_texts",
    "parity",
    "pool_disks",
    "space_bytes",
    "tolerates",
    "usable_bytes",
]

SLOP_SHARE = 32
"""One part in so many is ZFS' own, so that something can still be deleted (zfs(4), ``spa_slop_shift`` 5)."""
SLOP_LEAST = 128 * 2**20
"""Bytes of it at least; at most half of the pool."""
SLOP_MOST = 128 * 2**30
"""Bytes of it at most."""
RECORD_BYTES = 128 * 2**10
"""Of the records ZFS counts with when it says how much is free, whatever size is written."""
_PARITY = {
    Redundancy.RAIDZ1: 1,
    Redundancy.RAIDZ2: 2,
    Redundancy.RAIDZ3: 3,
    Redundancy.DRAID1: 1,
    Redundancy.DRAID2: 2,
    Redundancy.DRAID3: 3,
}


def parity(kind: Redundancy) -> int:
    """Return how many disks of parity a group of this kind has; 0 where it has none."""
    return _PARITY.get(kind, 0)


def tolerates(vdev: VdevConfig) -> int:
    """Return how many disks of a group may fail with nothing lost."""
    return len(vdev.disks) - 1 if vdev.kind is Redundancy.MIRROR else parity(vdev.kind)


def group_texts(vdev: VdevConfig) -> tuple[str, ...]:
    """Return a group as the scripts take it, its kind and its disks: ``mirror A B``; a stripe is a group per disk.

    A distributed RAID says all of itself in its kind: ``draid2:4d:11c:1s`` has groups of 4 data and 2 parity disks
    over 11 children, one disk's worth of which is spare.
    """
    if vdev.kind is Redundancy.STRIPE:
        return tuple(f"disk {disk}" for disk in vdev.disks)
    kind = vdev.kind.value
    if vdev.draid is not None:
        kind = f"{kind}:{vdev.draid.data}d:{len(vdev.disks)}c:{vdev.draid.spares}s"
    return (" ".join((kind, *vdev.disks)),)


def pool_disks(pool: PoolConfig) -> tuple[str, ...]:
    """Return every disk of a pool, with repetitions if there are any."""
    groups = (*pool.data, *(group for group in (pool.special, pool.log) if group is not None))
    return (*(disk for group in groups for disk in group.disks), *pool.cache, *pool.spares)


def usable_bytes(pool: PoolConfig, disk: Size, record_bytes: int = RECORD_BYTES) -> int:
    """Return how much a pool holds whose disks are all of one size, as ``zfs list`` counts it; some thousandths off.

    A record in RAID-Z is so many sectors of data, parity for each row of them, and padding up to a multiple of parity
    plus one (zpoolconcepts(7)): that is why six disks in raidz2 hold less than four disks' worth of small records.

    Parameters
    ----------
    pool
        Its data groups count; what else it has adds nothing to files.
    disk
        Size of each disk.
    record_bytes
        Size of the records; ZFS itself counts with 128 KiB, whatever is written.
    """
    space = space_bytes(pool, disk, record_bytes)
    return space - min(max(space // SLOP_SHARE, SLOP_LEAST), SLOP_MOST, space // 2)


def space_bytes(pool: PoolConfig, disk: Size, record_bytes: int = RECORD_BYTES) -> int:
    """Return the same with what ZFS keeps for itself, which differs between its versions."""
    sectors = record_bytes // 2**pool.ashift
    return sum(_group_bytes(vdev, disk.bytes, sectors) for vdev in pool.data)


def _group_bytes(vdev: VdevConfig, disk_bytes: int, sectors: int) -> int:
    width, lost = len(vdev.disks), parity(vdev.kind)
    if vdev.kind is Redundancy.STRIPE:
        return width * disk_bytes
    if vdev.kind is Redundancy.MIRROR:
        return disk_bytes
    if vdev.draid is not None:
        # Whole stripes only: what does not fill one is padded.
        stripe = vdev.draid.data
        rows = -(-sectors // stripe)
        return (width - vdev.draid.spares) * disk_bytes * sectors // (rows * (stripe + lost))
    rows = -(-sectors // (width - lost))
    taken = sectors + rows * lost
    taken += -taken % (lost + 1)
    return width * disk_bytes * sectors // taken
