"""What storage has done on its hosts: pools, file systems, exports, homes, snapshots, replication, backups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .backup_plan import backup_steps
from .datasets_plan import dataset_plans
from .exports_plan import export_steps
from .homes_plan import home_steps
from .replication_plan import replication_steps
from .snapshots_plan import snapshot_steps
from .zfs_plan import dataset_steps, pool_steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.nodes.config import NodesConfig
    from components.nodes.steps import Step
    from components.secrets import SecretRef

    from .config import StorageConfig
    from .homes_plan import KnownHome

__all__ = ["secrets", "storage_steps"]


def storage_steps(
    storage: StorageConfig | None, nodes: NodesConfig, known_homes: Sequence[KnownHome] = ()
) -> tuple[Step, ...]:
    """Return the steps of every storage host that is not lost; none where the lab's folders are somebody else's.

    Parameters
    ----------
    storage
        The storage section, checked (`components.storage.checks.check`).
    nodes
        The hosts.
    known_homes
        Homes that are there before anybody could ask for them.
    """
    if storage is None or storage.nfs is None or storage.zfs is None:
        return ()
    datasets = dataset_plans(storage.nfs)
    steps = (
        *pool_steps(storage.zfs, nodes),
        *dataset_steps(storage.nfs, storage.zfs, datasets, nodes),
        *export_steps(storage.nfs, datasets, nodes),
        *home_steps(storage.nfs, storage.zfs, nodes, known_homes),
        *snapshot_steps(storage.nfs, datasets, nodes),
        *replication_steps(storage.nfs, storage.zfs, datasets, nodes),
        *backup_steps(storage.nfs, datasets, nodes),
    )
    return tuple(step for step in steps if not nodes.hosts[step.host].lost)


def secrets(storage: StorageConfig | None) -> tuple[SecretRef, ...]:
    """Return the secrets the section names: of the backups' repository."""
    backup = storage.nfs.backup if storage is not None and storage.nfs is not None else None
    return () if backup is None else backup.secrets
