"""How data is kept from getting lost: snapshots, a second pool that follows, encrypted copies elsewhere."""

from __future__ import annotations

from pydantic import Field

from components.model import Model
from components.quantities import Size
from components.repositories import RepositoryConfig

from .zfs_config import PoolName

__all__ = ["DataBackupConfig", "DataRetention", "ReplicationConfig", "SnapshotsConfig"]


class SnapshotsConfig(Model):
    """Which snapshots are kept (sanoid.conf): users find them in the folder .zfs/snapshot of each file system."""

    frequently: int = Field(default=0, ge=0, le=96, description="Of the last so many quarters of an hour, one each.")
    hourly: int = Field(default=36, ge=0, le=1000, description="Of the last so many hours, one each.")
    daily: int = Field(default=30, ge=0, le=1000, description="Of the last so many days, one each.")
    weekly: int = Field(default=8, ge=0, le=1000, description="Of the last so many weeks, one each.")
    monthly: int = Field(default=6, ge=0, le=1000, description="Of the last so many months, one each.")
    yearly: int = Field(default=0, ge=0, le=100, description="Of the last so many years, one each.")


class ReplicationConfig(Model):
    """A second pool that follows the first: its host fetches the snapshots (syncoid); nothing is pushed to it."""

    pool: PoolName = Field(description="Name of the pool, among zfs.pools, on another host.")
    schedule: str = Field(
        default="hourly", min_length=1, description="When, as systemd.time(7) writes it: hourly, *:0/15."
    )
    keep: SnapshotsConfig = Field(
        default=SnapshotsConfig(hourly=36, daily=90, weekly=26, monthly=24),
        description="Which snapshots are kept there; more and older ones than on the first.",
    )
    bandwidth: Size | None = Field(
        default=None, title="Bandwidth per second", description="Most that is sent in a second; no limit if left out."
    )


class DataRetention(Model):
    """Which snapshots of the repository are kept (restic forget)."""

    daily: int = Field(default=14, ge=0, le=1000, description="Of the last so many days, one each.")
    weekly: int = Field(default=8, ge=0, le=1000, description="Of the last so many weeks, one each.")
    monthly: int = Field(default=12, ge=0, le=1000, description="Of the last so many months, one each.")


class DataBackupConfig(RepositoryConfig):
    """Backups of homes, groups, shared folders and the hub's database, encrypted by restic on the storage host."""

    schedule: str = Field(
        default="*-*-* 02:30:00",
        min_length=1,
        description="When, as systemd.time(7) writes it: hourly, *-*-* 02:30:00.",
    )
    keep: DataRetention = Field(default=DataRetention(), description="Which snapshots are kept.")
