"""Pools and exports of storage hosts, and how fresh the copies of what is in them are. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from components.storage.snapshots_plan import age_limit
from labctl.doctor.facts.fact import Inapplicable, Known, MissingFactError, Unknown, value_of
from labctl.doctor.findings import Verdict, problem, unknown, warning
from labctl.restore.copies import Source

from .expiry import days
from .hosts import BACKUP_STEPS, STORAGE_STEPS, answered, each_told, steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from components.storage.config import NfsStorage
    from labctl.doctor.declared import Declared
    from labctl.doctor.facts.everything import Facts
    from labctl.doctor.findings import Finding
    from labctl.drift.facts import BackupRun, HostFacts
    from labctl.drift.findings import HostFinding
    from labctl.restore.copies import Copy

__all__ = ["backups", "host_storage"]

ONLINE: Final = "ONLINE"
FULL_SOON_PERCENT: Final = 80
FULL_PERCENT: Final = 90
"""Part of a pool from which ZFS slows down, and from which it is soon full; as on the host itself (zfs-health.sh)."""
ETCD_UNIT: Final = "research-compute-etcd-backup"
DATA_UNIT: Final = "research-compute-data-backup"
MISSED: Final = 2
"""Times a schedule's interval that the newest copy may be old: one was missed, and the next is late."""
GRACE: Final = timedelta(hours=2)
"""More than that: a large pool takes its time (`components/nodes/files/backup.sh`: a run may take two hours)."""
DAY: Final = timedelta(days=1)
"""Between two where systemd cannot tell: the schedules' defaults are daily and more often."""


def host_storage(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge pools, file systems and exports of the storage hosts."""
    del now
    section = declared.cluster.storage
    if section is None or section.nfs is None or section.zfs is None:
        raise MissingFactError(Inapplicable("the stack builds no pools (storage.zfs)"))
    meant = {name: pool.host for name, pool in section.zfs.pools.items()}
    told = answered(facts)

    def judge(name: str, host: HostFacts) -> Iterator[Finding]:
        there = {pool.name: pool for pool in host.pools}
        for pool_name in (pool for pool, owner in meant.items() if owner == name):
            subject = f"{name} pool {pool_name}"
            pool = there.get(pool_name)
            if pool is None:
                yield problem(subject, "it is not imported", f"on {name}: zpool import; see docs/storage.md")
                continue
            if pool.health != ONLINE:
                yield problem(subject, f"it is {pool.health}", f"on {name}: zpool status {pool_name}")
            if pool.used_percent >= FULL_SOON_PERCENT:
                make = problem if pool.used_percent >= FULL_PERCENT else warning
                remedy = f"make room, or add a group of disks to storage.zfs.pools.{pool_name}"
                yield make(subject, f"it is {pool.used_percent} % full", remedy)

    silent = tuple(
        unknown(f"{owner} pool {name}", f"{owner} has said nothing of itself", "see the check `hosts`")
        for name, owner in meant.items()
        if owner not in told
    )
    found = (*silent, *each_told(told, judge), *_steps(facts, STORAGE_STEPS, declared))
    return Verdict(said=f"{len(meant)} pools are well, and their file systems are exported", findings=found)


def backups(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge the age of the newest copy of each kind against its schedule."""
    nfs = None if declared.cluster.storage is None else declared.cluster.storage.nfs
    has_etcd = declared.cluster.nodes.adopt is None and declared.cluster.nodes.control_plane.backup is not None
    has_data = nfs is not None and nfs.backup is not None
    has_snapshots = nfs is not None and nfs.snapshots is not None and declared.cluster.nodes.adopt is None
    if not (has_etcd or has_data or has_snapshots) or declared.simulated:
        why = (
            "its hosts are simulated, so there is nothing to back up" if declared.simulated else "the stack keeps none"
        )
        raise MissingFactError(Inapplicable(why))
    told = answered(facts)
    findings: list[Finding] = []
    words: list[str] = []
    if has_etcd:
        runs = [run for host in told.values() for run in host.backups if run.unit == ETCD_UNIT]
        findings += _run("backup of etcd", runs, now)
        words.append(_newest("etcd", [run.succeeded for run in runs], now))
    if nfs is not None and (has_data or has_snapshots):
        findings += _copies(facts, told, nfs, now)
        words += _copy_words(facts, now)
    findings += _steps(facts, BACKUP_STEPS, declared)
    return Verdict(said="; ".join(words), findings=tuple(findings))


def _steps(facts: Facts, names: frozenset[str], declared: Declared) -> Iterator[Finding]:
    for fact in value_of(facts.hosts).values():
        if isinstance(fact, Known) and fact.value.reason is None:
            found: HostFinding = fact.value
            yield from steps(found, names, declared)


def _run(subject: str, runs: Sequence[BackupRun], now: datetime) -> Iterator[Finding]:
    """Yield whether the newest of several hosts' backups is too old: only the one whose etcd leads makes any."""
    if not runs:
        yield unknown(subject, "no host has said anything of its timer", "see the check `hosts`")
        return
    times = [run.succeeded for run in runs if run.succeeded is not None]
    intervals = [run.interval_seconds for run in runs if run.interval_seconds is not None]
    apart = timedelta(seconds=min(intervals)) if intervals else DAY
    yield from _age(subject, max(times, default=None), apart, now, f"on its host: systemctl start {runs[0].unit}")


def _copies(facts: Facts, told: Mapping[str, HostFacts], nfs: NfsStorage, now: datetime) -> Iterator[Finding]:
    """Yield what is wrong with the age of snapshots and of the copies in the repository."""
    found = facts.copies
    if not isinstance(found, Known):
        if isinstance(found, Unknown):
            yield unknown(f"copies on {nfs.host}", found.why, found.remedy)
        return
    if nfs.snapshots is not None:
        newest = _time(found.value.copies, Source.LOCAL)
        limit = timedelta(seconds=age_limit(nfs.snapshots))
        remedy = f"on {nfs.host}: systemctl status sanoid"
        if newest is None:
            yield problem("snapshots of homes", "there is none", remedy)
        elif now - newest > limit:
            yield problem("snapshots of homes", f"the newest is {_span(now - newest)} old", remedy)
    if nfs.backup is not None:
        subject = "backup of homes and folders"
        remedy = f"on {nfs.host}: systemctl start {DATA_UNIT}"
        if found.value.no_repository is not None:
            yield problem(subject, found.value.no_repository, remedy)
            return
        runs = [run for host in told.values() for run in host.backups if run.unit == DATA_UNIT]
        intervals = [run.interval_seconds for run in runs if run.interval_seconds is not None]
        apart = timedelta(seconds=min(intervals)) if intervals else DAY
        yield from _age(subject, _time(found.value.copies, Source.REPOSITORY), apart, now, remedy)


def _age(subject: str, newest: datetime | None, apart: timedelta, now: datetime, remedy: str) -> Iterator[Finding]:
    if newest is None:
        yield problem(subject, "none has succeeded yet", remedy)
    elif now - newest > MISSED * apart + GRACE:
        yield problem(subject, f"the newest is {_span(now - newest)} old, and one is due every {_span(apart)}", remedy)
    elif now - newest > apart + GRACE:
        yield warning(subject, f"the newest is {_span(now - newest)} old: one was missed", remedy)


def _copy_words(facts: Facts, now: datetime) -> list[str]:
    if not isinstance(facts.copies, Known):
        return []
    copies = facts.copies.value.copies
    return [
        _newest("snapshots" if source is Source.LOCAL else "repository", [_time(copies, source)], now)
        for source in Source
        if _time(copies, source) is not None
    ]


def _time(copies: Sequence[Copy], source: Source) -> datetime | None:
    return max((copy.time for copy in copies if copy.source is source), default=None)


def _newest(what: str, times: Sequence[datetime | None], now: datetime) -> str:
    known = [time for time in times if time is not None]
    return f"{what}: {_span(now - max(known))} old" if known else f"{what}: none"


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // 60
    return days(span) if minutes >= 60 else f"{minutes} minutes"  # noqa: PLR2004 - minutes of an hour
