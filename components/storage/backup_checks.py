"""What can be wrong with the backups of a storage section that no single field shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.problems import Problem
from components.repositories import check_repository

from .datasets_plan import dataset_plans, pool_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .config import NfsStorage

__all__ = ["check_backup"]


def check_backup(nfs: NfsStorage) -> Iterator[Problem]:
    """Yield what is wrong with the backups of a server, paths relative to the storage section."""
    backup, path = nfs.backup, ("nfs", "backup")
    if backup is None:
        return
    yield from check_repository(backup, path)
    if not (backup.keep.daily or backup.keep.weekly or backup.keep.monthly):
        yield Problem(
            path=(*path, "keep"),
            what="no copies but the latest three would be kept",
            remedy="keep at least some of daily, weekly, monthly",
        )
    if not backup.is_bucket and pool_of(backup.repository) in _pools(nfs):
        yield Problem(
            path=(*path, "repository"),
            what=f"{backup.repository} lies in the pool {pool_of(backup.repository)}, whose data it is to outlive",
            remedy="write a directory of another machine that the host mounts, or a bucket: s3:https://SERVER/BUCKET",
        )


def _pools(nfs: NfsStorage) -> set[str]:
    """Return every pool the section names: its own, and the one that follows it, which is lost by the same mistakes."""
    pools = {pool_of(plan.path) for plan in dataset_plans(nfs)}
    return pools if nfs.replication is None else {*pools, nfs.replication.pool}
