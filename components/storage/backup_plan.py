"""The ``data-backup`` step: copies of homes, groups' and shared folders in a repository elsewhere, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.nodes.host_files_plan import mirror_values
from components.nodes.steps import FOLDER, Step, script_file

from .datasets_plan import DatasetKind

if TYPE_CHECKING:
    from components.nodes.config import NodesConfig

    from .config import NfsStorage
    from .datasets_plan import DatasetPlan

__all__ = ["BACKUP_PACKAGES", "RESTORE_SCRIPTS", "backed_up", "backup_steps"]

BACKUP_PACKAGES = ("restic",)
"""What the ``data-backup`` step installs."""
BACKUP_SCRIPTS = ("repository", "data-views", "data-backup-run")
"""What makes a copy, one after the other."""
RESTORE_SCRIPTS = ("repository", "data-views", "data-restore-run", "data-restore-whole")
"""What brings one back; `labctl restore` sends the same."""
HAND_SCRIPT = "data-restore"
"""What comes after them where they are a program on the host."""


def backup_steps(nfs: NfsStorage, datasets: tuple[DatasetPlan, ...], nodes: NodesConfig) -> tuple[Step, ...]:
    """Return the step that backs the storage host's data up; none where the file asks for none.

    Parameters
    ----------
    nfs
        The server.
    datasets
        Its file systems.
    nodes
        The hosts.
    """
    backup = nfs.backup
    if backup is None:
        return ()
    return (
        Step(
            name="data-backup",
            subject=nfs.host,
            host=nfs.host,
            libraries=("backups",),
            files=(*BACKUP_SCRIPTS, *RESTORE_SCRIPTS[2:], HAND_SCRIPT),
            values={
                **mirror_values(nodes),
                "BACKUP_PASSWORD": backup.password,
                "BACKUP_REPOSITORY": backup.repository,
                "BACKUP_SCHEDULE": backup.schedule,
                "BACKUP_SCRIPTS": _on_host(BACKUP_SCRIPTS),
                "DATASETS": backed_up(datasets),
                "KEEP_DAILY": backup.keep.daily,
                "KEEP_MONTHLY": backup.keep.monthly,
                "KEEP_WEEKLY": backup.keep.weekly,
                "RESTORE_SCRIPTS": _on_host((*RESTORE_SCRIPTS, HAND_SCRIPT)),
                "S3_ACCESS_KEY_ID": backup.s3.access_key_id if backup.s3 is not None else None,
                "S3_SECRET_ACCESS_KEY": backup.s3.secret_access_key if backup.s3 is not None else None,
            },
            after=(("datasets", nfs.host),),
        ),
    )


def backed_up(datasets: tuple[DatasetPlan, ...]) -> tuple[str, ...]:
    """Return the file systems that are backed up with all beneath them, sorted.

    Homes are made at run time beneath theirs; so are groups, and one that has left the file keeps its data.
    """
    names = {plan.name for plan in datasets if plan.snapshots and plan.kind is not DatasetKind.GROUP}
    return tuple(sorted(names))


def _on_host(scripts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{FOLDER}/{script_file(name)}" for name in scripts)
