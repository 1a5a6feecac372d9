"""The steps by which a second storage host follows the first: a key, a way in, and a timer that fetches.

The second host pulls. The first one lets it read what is replicated, and has no way to the second: whoever breaks into
the first can make the copies stop, and cannot reach them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.nodes.host_files_plan import mirror_values
from components.nodes.steps import FOLDER, Step, StepOutput, script_file

from .snapshots_plan import age_limit, sanoid_conf, snapshot_roots

if TYPE_CHECKING:
    from components.nodes.config import NodesConfig

    from .config import NfsStorage
    from .datasets_plan import DatasetPlan
    from .protection_config import ReplicationConfig, SnapshotsConfig
    from .zfs_config import ZfsConfig

__all__ = ["LOGIN", "REPLICA_PACKAGES", "replication_steps"]

LOGIN = "research-compute-replica"
"""The second host's login on the first."""
REPLICA_PACKAGES = ("openssh-client", "openssh-server", "procps", "sudo")
"""What these steps install, beside sanoid."""


def replication_steps(
    nfs: NfsStorage, zfs: ZfsConfig, datasets: tuple[DatasetPlan, ...], nodes: NodesConfig
) -> tuple[Step, ...]:
    """Return the steps of replication; none where the file asks for none.

    ``replica-key`` makes a key on the second host, ``replica-access`` lets it in on the first, ``replica`` fetches.

    Parameters
    ----------
    nfs
        The server, checked.
    zfs
        The pools, the second host's among them.
    datasets
        The server's file systems.
    nodes
        The hosts.
    """
    replication, snapshots, sources = nfs.replication, nfs.snapshots, snapshot_roots(datasets)
    if replication is None or snapshots is None or not sources:
        return ()
    pair = _Pair(nfs.host, zfs.pools[replication.pool].host, sources, nodes)
    key = Step(
        name="replica-key",
        subject=pair.second,
        host=pair.second,
        values={**mirror_values(nodes)},
        after=(("zfs", pair.second),),
    )
    return (key, _access(pair), _fetching(pair, replication, snapshots))


@dataclass(frozen=True)
class _Pair:
    """Two storage hosts, and what one copies from the other."""

    first: str
    second: str
    sources: tuple[str, ...]
    nodes: NodesConfig


def _access(pair: _Pair) -> Step:
    return Step(
        name="replica-access",
        subject=pair.first,
        host=pair.first,
        files=("replica-serve",),
        values={
            **mirror_values(pair.nodes),
            "LOGIN": LOGIN,
            "REPLICA_ADDRESS": str(pair.nodes.hosts[pair.second].address),
            "REPLICA_KEY": StepOutput(step="replica-key", host=pair.second, key="key"),
            "SERVE_SCRIPT": f"{FOLDER}/{script_file('replica-serve')}",
            "SOURCES": pair.sources,
        },
        after=(("snapshots", pair.first),),
    )


def _fetching(pair: _Pair, replication: ReplicationConfig, snapshots: SnapshotsConfig) -> Step:
    first, nodes = pair.nodes.hosts[pair.first], pair.nodes
    parents = sorted({f"{replication.pool}/{source.split('/')[0]}" for source in pair.sources})
    return Step(
        name="replica",
        subject=pair.second,
        host=pair.second,
        libraries=("sanoid",),
        files=("replica-fetch", "snapshot-ages"),
        values={
            **mirror_values(nodes),
            "ADDRESS": str(first.address),
            "AGES_SCRIPT": f"{FOLDER}/{script_file('snapshot-ages')}",
            "BANDWIDTH": None if replication.bandwidth is None else replication.bandwidth.bytes,
            "FETCH_SCRIPT": f"{FOLDER}/{script_file('replica-fetch')}",
            "FIRST": pair.first,
            "HOST_KEY": first.host_key,
            "LIMIT_SECONDS": age_limit(snapshots),
            # No result of the other host's step: were it lost, this one would not have to be done again.
            "LOGIN": LOGIN,
            "OWN_ADDRESS": str(nodes.hosts[pair.second].address),
            "POOL": replication.pool,
            "PORT": first.ssh.port or nodes.ssh.port,
            "SANOID": sanoid_conf(parents, replication.keep, takes=False),
            "SCHEDULE": replication.schedule,
            "SOURCES": pair.sources,
        },
        after=(
            ("replica-key", pair.second),
            ("replica-access", pair.first),
            (f"pool-{replication.pool}", pair.second),
        ),
    )
