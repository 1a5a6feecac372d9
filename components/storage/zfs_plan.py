"""The steps that make pools and file systems on storage hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.nodes.host_files_plan import mirror_values
from components.nodes.steps import FOLDER, Step, script_file

from .datasets_plan import pool_of
from .layout_plan import group_texts
from .properties_plan import dataset_properties, pool_properties, root_properties

if TYPE_CHECKING:
    from components.nodes.config import NodesConfig
    from components.nodes.steps import ScriptValue

    from .config import NfsStorage
    from .datasets_plan import DatasetPlan
    from .zfs_config import PoolConfig, VdevConfig, ZfsConfig

__all__ = ["ALWAYS", "DEBIAN_PACKAGES", "DEFAULT_PACKAGES", "dataset_steps", "pool_steps"]

DEFAULT_PACKAGES = ("zfsutils-linux",)
"""What brings zpool and zfs; Ubuntu has the module in its kernels."""
DEBIAN_PACKAGES = ("linux-headers-amd64", "zfs-dkms")
"""What builds the module on Debian, from its section ``contrib``."""
ALWAYS = ("acl",)
"""Packages of every host with pools: setfacl, for folders that several groups share."""
HEALTH = "zfs-health"
LIBRARIES = ("zfs-disks", "zfs-layout", "zfs-properties")


def pool_steps(zfs: ZfsConfig, nodes: NodesConfig) -> tuple[Step, ...]:
    """Return, for every host with pools, the step that brings ZFS, and after it one for each pool.

    Parameters
    ----------
    zfs
        The pools, checked (`components.storage.zfs_checks.check`).
    nodes
        The hosts.
    """
    hosts = sorted({pool.host for pool in zfs.pools.values()})
    return (
        *(_zfs_step(host, zfs, nodes) for host in hosts),
        *(_pool_step(name, pool) for name, pool in sorted(zfs.pools.items())),
    )


def dataset_steps(
    nfs: NfsStorage, zfs: ZfsConfig, datasets: tuple[DatasetPlan, ...], nodes: NodesConfig
) -> tuple[Step, ...]:
    """Return the step that makes the file systems of the host that exports, after the pools of that host.

    Parameters
    ----------
    nfs
        The server.
    zfs
        The pools.
    datasets
        Its file systems (`components.storage.datasets_plan.dataset_plans`), each after the one it lies in.
    nodes
        The hosts.
    """
    if nfs.host not in nodes.hosts:
        return ()
    pools = sorted(name for name, pool in zfs.pools.items() if pool.host == nfs.host)
    return (
        Step(
            name="datasets",
            subject=nfs.host,
            host=nfs.host,
            libraries=("zfs-properties",),
            values={"DATASETS": tuple(_text(dataset, zfs) for dataset in datasets)},
            after=tuple((f"pool-{name}", nfs.host) for name in pools),
        ),
    )


def _zfs_step(host: str, zfs: ZfsConfig, nodes: NodesConfig) -> Step:
    return Step(
        name="zfs",
        subject=host,
        host=host,
        files=(HEALTH,),
        values={
            **mirror_values(nodes),
            "ARC_BYTES": None if zfs.memory is None else zfs.memory.bytes,
            "HEALTH_SCRIPT": f"{FOLDER}/{script_file(HEALTH)}",
            "ZFS_PACKAGES": zfs.packages,
        },
        after=(("system", host),),
    )


def _pool_step(name: str, pool: PoolConfig) -> Step:
    values: dict[str, ScriptValue] = {
        "ASHIFT": pool.ashift,
        "CACHE": pool.cache,
        "DATA": tuple(text for vdev in pool.data for text in group_texts(vdev)),
        "LOG": _groups(pool.log),
        "POOL": name,
        "POOL_PROPERTIES": pool_properties(pool),
        "PROPERTIES": root_properties(pool),
        "SCRUB": pool.scrub,
        "SPARES": pool.spares,
        "SPECIAL": _groups(pool.special),
        "WIPE": pool.wipe,
    }
    return Step(
        name=f"pool-{name}",
        script="pool",
        subject=pool.host,
        host=pool.host,
        libraries=LIBRARIES,
        values=values,
        after=(("zfs", pool.host),),
    )


def _groups(vdev: VdevConfig | None) -> tuple[str, ...]:
    return () if vdev is None else group_texts(vdev)


def _text(dataset: DatasetPlan, zfs: ZfsConfig) -> str:
    """Return a file system as the script takes it: whose it is, then its properties, separated by blanks."""
    access = dataset.access
    return " ".join(
        (
            dataset.name,
            dataset.kind,
            str(access.uid),
            str(access.gid),
            access.mode,
            _ids(access.read_gids),
            _ids(access.write_gids),
            *dataset_properties(dataset, zfs.pools[pool_of(dataset.path)]),
        )
    )


def _ids(ids: tuple[int, ...]) -> str:
    return ",".join(str(each) for each in ids) or "-"
