"""Backups of etcd: the step of every control-plane host that makes them, and gives it the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.problems import Problem
from components.repositories import check_repository

from .host_files_plan import mirror_values
from .plan import control_planes
from .steps import FOLDER, Step, script_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .config import NodesConfig

__all__ = ["backup_steps", "check"]


def backup_steps(config: NodesConfig) -> tuple[Step, ...]:
    """Return the step that keeps backups on every control-plane host; none where the file asks for none.

    All of them have the same timer, and the one whose etcd member leads makes the backup: whichever is lost, another
    goes on. The steps are chained, because the first one may have to make the repository.
    """
    backup = config.control_plane.backup
    if backup is None:
        return ()
    planes = control_planes(config)
    return tuple(
        Step(
            name="backup",
            libraries=("backups",),
            files=("repository", "etcd-backup", "etcd-restore"),
            subject=name,
            host=name,
            values={
                **mirror_values(config),
                "BACKUP_PASSWORD": backup.password,
                "BACKUP_REPOSITORY": backup.repository,
                "BACKUP_SCHEDULE": backup.schedule,
                "BACKUP_SCRIPT": f"{FOLDER}/{script_file('etcd-backup')}",
                "KEEP_DAILY": backup.keep.daily,
                "KEEP_HOURLY": backup.keep.hourly,
                "KEEP_WEEKLY": backup.keep.weekly,
                "REPOSITORY_SCRIPT": f"{FOLDER}/{script_file('repository')}",
                "RESTORE_SCRIPT": f"{FOLDER}/{script_file('etcd-restore')}",
                "S3_ACCESS_KEY_ID": backup.s3.access_key_id if backup.s3 is not None else None,
                "S3_SECRET_ACCESS_KEY": backup.s3.secret_access_key if backup.s3 is not None else None,
            },
            after=(
                ("join", name),
                ("version", name),
                ("certificates", name),
                *((("backup", planes[index - 1]),) if index else ()),
            ),
        )
        for index, name in enumerate(planes)
    )


def check(config: NodesConfig) -> Iterator[Problem]:
    """Yield what is wrong with the backups, paths relative to the section."""
    backup, path = config.control_plane.backup, ("controlPlane", "backup")
    if backup is None:
        return
    yield from check_repository(backup, path)
    if not (backup.keep.hourly or backup.keep.daily or backup.keep.weekly):
        yield Problem(
            path=(*path, "keep"),
            what="no backup but the latest one would be kept",
            remedy="keep at least some of hourly, daily, weekly",
        )
