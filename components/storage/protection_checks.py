"""What can be wrong with snapshots and replication that no single field shows."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from components.problems import Problem

from .datasets_plan import dataset_plans
from .snapshots_plan import kept, snapshot_roots

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.nodes.config import HostConfig

    from .config import NfsStorage
    from .protection_config import ReplicationConfig, SnapshotsConfig
    from .zfs_config import ZfsConfig

__all__ = ["calendar_fault", "check_protection"]

_REPLICATION = ("nfs", "replication")
_CRON = re.compile(r"(@\w+|[\d*/,-]+( [\w*/,-]+){4})")
"""Five fields of cron(8), or one of its words with an at sign."""
_CALENDAR = re.compile(r"[A-Za-z0-9*:/,.~ +_-]+")
"""Letters systemd.time(7) has: weekdays, dates, times, lists, ranges, steps, and the name of a time zone."""


def check_protection(
    nfs: NfsStorage, zfs: ZfsConfig | None, hosts: Mapping[str, HostConfig] | None = None
) -> Iterator[Problem]:
    """Yield what is wrong with a server's snapshots and its replication, paths relative to the storage section.

    Parameters
    ----------
    nfs
        The server.
    zfs
        The pools; None where there are none.
    hosts
        The hosts by name, where they are known: then it is seen whether the first host's key is among them.
    """
    snapshots, replication = nfs.snapshots, nfs.replication
    if snapshots is not None:
        yield from _snapshots(snapshots, has_pools=zfs is not None)
    if replication is None:
        return
    fault = calendar_fault(replication.schedule)
    if fault is not None:
        yield Problem(
            path=(*_REPLICATION, "schedule"), what=fault, remedy="write it as systemd.time(7) does: hourly, or *:0/15"
        )
    if replication.bandwidth is not None and replication.bandwidth.bytes < 1:
        yield Problem(
            path=(*_REPLICATION, "bandwidth"), what="nothing would be sent", remedy="write 50M, or leave it out"
        )
    if snapshots is None:
        yield Problem(
            path=_REPLICATION,
            what="a second pool follows the first by its snapshots, and there are none",
            remedy="add nfs.snapshots; snapshots: {} has the usual ones",
        )
    else:
        yield from _keeps_as_much(snapshots, replication)
        if not snapshot_roots(dataset_plans(nfs)):
            yield Problem(
                path=_REPLICATION, what="no folder has snapshots, so nothing would be copied", remedy="leave it out"
            )
    if zfs is not None:
        yield from _pool(nfs, zfs, replication)
    if hosts is not None and nfs.host in hosts and hosts[nfs.host].host_key is None:
        yield Problem(
            path=_REPLICATION,
            what=f"host {nfs.host} has no hostKey, so the second host could not tell it from another",
            remedy=f"add nodes.hosts.{nfs.host}.hostKey (`labctl hosts keys --write` does)",
        )


def calendar_fault(text: str) -> str | None:
    """Return what keeps a text from being a time of systemd's, or None; only systemd itself knows for certain.

    Steps ask ``systemd-analyze calendar`` on the host before anything is changed.

    Examples
    --------
    >>> calendar_fault("Mon..Fri *-*-* 02:30:00")
    >>> calendar_fault("0 2 * * *")
    '0 2 * * * is written as cron does'
    """
    stripped = text.strip()
    if _CRON.fullmatch(stripped):
        return f"{text} is written as cron does"
    if _CALENDAR.fullmatch(stripped) is None:
        return f"{text!r} is no time"
    return None


def _snapshots(snapshots: SnapshotsConfig, *, has_pools: bool) -> Iterator[Problem]:
    if not any(kept(snapshots).values()):
        yield Problem(
            path=("nfs", "snapshots"),
            what="no snapshot of any kind is kept",
            remedy=f"keep some of {', '.join(kept(snapshots))}, or leave the section out",
        )
    if not has_pools:
        yield Problem(
            path=("nfs", "snapshots"),
            what="there are snapshots, but no pools to take them of",
            remedy="add storage.zfs, or leave snapshots out: without zfs the server's own are yours to make",
        )


def _keeps_as_much(snapshots: SnapshotsConfig, replication: ReplicationConfig) -> Iterator[Problem]:
    there = kept(replication.keep)
    for kind, count in kept(snapshots).items():
        if there[kind] < count:
            yield Problem(
                path=(*_REPLICATION, "keep", kind),
                what=f"{there[kind]} {kind} snapshots are kept of the copy, and {count} of what it is a copy of",
                remedy=f"write {count} or more: what the second pool drops and the first still has is never sent again",
            )


def _pool(nfs: NfsStorage, zfs: ZfsConfig, replication: ReplicationConfig) -> Iterator[Problem]:
    path, pool = (*_REPLICATION, "pool"), zfs.pools.get(replication.pool)
    used = {root.split("/")[0] for root in snapshot_roots(dataset_plans(nfs))}
    if pool is None:
        nearest = get_close_matches(replication.pool, sorted(zfs.pools), n=1)
        others = sorted(name for name, other in zfs.pools.items() if other.host != nfs.host)
        known = f"write one of {', '.join(others)}" if others else "add a pool of another host to zfs.pools"
        remedy = f"did you mean {nearest[0]}?" if nearest else known
        yield Problem(path=path, what=f"there is no pool {replication.pool} in zfs.pools", remedy=remedy)
    elif replication.pool in used:
        yield Problem(
            path=path,
            what=f"{replication.pool} holds the very folders that are to be copied",
            remedy="name a pool of another host",
        )
    elif pool.host == nfs.host:
        yield Problem(
            path=path,
            what=f"pool {replication.pool} is in {pool.host}, too: what takes that machine takes both",
            remedy="name a pool of another host",
        )
