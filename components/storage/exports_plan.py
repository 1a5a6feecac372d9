"""What a storage host exports: to which addresses, as whom root counts there, and what is never exported. Pure.

Access is by address and by the numbers a client sends (``sec=sys``): a node's root is believed. So only nodes are told
of homes, everywhere root is somebody else (``root_squash``), and what others may mount is what everyone may read.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network
from typing import TYPE_CHECKING
from zlib import crc32

from components.nodes.host_files_plan import mirror_values
from components.nodes.plan import members
from components.nodes.steps import FOLDER, Step, script_file

from .config import NfsServer, OnDelete
from .datasets_plan import NOBODY, DatasetKind
from .export_files import ganesha_exports, ganesha_settings, kernel_exports, kernel_settings
from .homes_plan import REQUESTER_UID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from components.addresses import AnyNetwork
    from components.nodes.config import NodesConfig
    from components.nodes.steps import ScriptValue

    from .config import NfsStorage
    from .datasets_plan import DatasetPlan

__all__ = ["Client", "Export", "Squash", "export_plans", "export_steps", "server_threads"]

FSID_NAMESPACE = uuid.UUID("6f2d5f0c-0f0e-5a3b-9a0f-3b7d8a4f7c11")
"""Made once, for us: an export's identifier is the UUID of its dataset's name in it (RFC 9562, version 5)."""
EXPORT_IDS = 30_000
"""nfs-ganesha's ``Export_Id`` has 16 bits; the upper half is for what is mounted beneath exports."""
THREADS_PER_CPU = 4
"""A thread of the server sleeps while its request waits for a disk, so that several share a CPU (nfsd(8))."""
FEWEST_THREADS = 16
"""The distributions' 8 are taken by the first two users who unpack an archive."""
MOST_THREADS = 256
"""Beyond, disks are the limit and not threads."""
READABLE_BY_ALL = 0o005
"""Permission bits of a folder that everyone may look into and read."""
WRITABLE_BY_GROUP = 0o020
"""Permission bit of a folder its group may write to."""
WITH_CHILDREN = frozenset({DatasetKind.HOMES, DatasetKind.GROUPS, DatasetKind.SHARED})
"""Datasets with others in them, or with snapshots that people look into: each is a file system of its own."""


class Squash(StrEnum):
    """Who is taken for somebody else (exports(5), "User ID Mapping")."""

    ROOT = "root_squash"
    """Root of a client."""
    ALL = "all_squash"
    """Everybody."""


@dataclass(frozen=True, kw_only=True, order=True)
class Client:
    """An address, or a network of addresses, that may mount."""

    network: AnyNetwork
    writes: bool

    @property
    def text(self) -> str:
        """As exports(5) has it: an address by itself, a network with its prefix."""
        is_one = self.network.num_addresses == 1
        return str(self.network.network_address) if is_one else str(self.network)


@dataclass(frozen=True, kw_only=True)
class Export:
    """One folder that is exported."""

    path: str
    squash: Squash
    anonymous_uid: int
    """Whom those are that are squashed."""
    anonymous_gid: int
    with_children: bool
    """Whether file systems mounted in it appear, too (exports(5), ``crossmnt``)."""
    clients: tuple[Client, ...]
    fsid: uuid.UUID
    export_id: int
    changes_on_host: bool = False
    """Whether the host itself writes into it what clients wait for."""


def export_plans(nfs: NfsStorage, datasets: Iterable[DatasetPlan], nodes: NodesConfig) -> tuple[Export, ...]:
    """Return every export of a storage host, by path in order.

    Parameters
    ----------
    nfs
        The section's NFS server, checked.
    datasets
        Its file systems (`components.storage.datasets_plan.dataset_plans`).
    nodes
        The hosts: every address of every node is a client; hosts that are lost are none.
    """
    addresses = tuple(
        sorted(
            (ip_network(address) for host in members(nodes).values() for address in host.addresses),
            key=lambda network: (network.version, network.network_address.packed),
        )
    )
    exported = sorted(
        (dataset for dataset in datasets if dataset.kind is not DatasetKind.GROUP), key=lambda dataset: dataset.name
    )
    ids = _export_ids(dataset.name for dataset in exported)
    return tuple(_export(dataset, nfs, addresses, ids[dataset.name]) for dataset in exported)


def server_threads(cpus: int) -> int:
    """Return how many requests the server works on at the same time on a host of so many CPUs."""
    return max(FEWEST_THREADS, min(MOST_THREADS, cpus * THREADS_PER_CPU))


def export_steps(nfs: NfsStorage, datasets: tuple[DatasetPlan, ...], nodes: NodesConfig) -> tuple[Step, ...]:
    """Return the step that exports, and the one that empties scratch space; a node more changes the first one only."""
    exports = export_plans(nfs, datasets, nodes)
    threads = server_threads(nodes.hosts[nfs.host].hardware.cpus)
    is_kernel = nfs.server is NfsServer.KERNEL
    values: dict[str, ScriptValue] = {
        **mirror_values(nodes),
        "SERVER": nfs.server.value,
        "EXPORTED": tuple(f"{export.path} {len(export.clients)}" for export in exports),
        "SETTINGS": kernel_settings(threads) if is_kernel else ganesha_settings(threads),
        "EXPORTS": kernel_exports(exports) if is_kernel else ganesha_exports(exports),
        "BENEATH_SCRIPT": None if is_kernel else f"{FOLDER}/{script_file('ganesha-exports')}",
    }
    step = Step(
        name="exports",
        subject=nfs.host,
        host=nfs.host,
        values=values,
        files=() if is_kernel else ("ganesha-exports",),
        after=(("datasets", nfs.host),),
    )
    return (step, *_scratch_steps(nfs))


def _scratch_steps(nfs: NfsStorage) -> Iterator[Step]:
    if nfs.scratch is not None:
        yield Step(
            name="scratch",
            subject=nfs.host,
            host=nfs.host,
            values={"SCRATCH": nfs.scratch.path, "IS_EMPTIED": nfs.scratch.on_delete is OnDelete.DELETE},
            after=(("datasets", nfs.host),),
        )


def _export(dataset: DatasetPlan, nfs: NfsStorage, nodes: tuple[AnyNetwork, ...], export_id: int) -> Export:
    kind = dataset.kind
    is_requests = kind is DatasetKind.REQUESTS
    clients = tuple(Client(network=network, writes=_writable(dataset)) for network in nodes)
    if kind is DatasetKind.SHARED and int(dataset.access.mode, 8) & READABLE_BY_ALL == READABLE_BY_ALL:
        further = sorted(set(nfs.clients) - set(nodes), key=lambda network: (network.version, str(network)))
        clients += tuple(Client(network=network, writes=False) for network in further)
    return Export(
        path=dataset.path,
        squash=Squash.ALL if is_requests else Squash.ROOT,
        anonymous_uid=REQUESTER_UID if is_requests else NOBODY,
        # The driver makes a claim's folder as root: it is to be the group's that every server runs in.
        anonymous_gid=REQUESTER_UID if is_requests else nfs.users_gid if kind is DatasetKind.SCRATCH else NOBODY,
        with_children=kind in WITH_CHILDREN,
        clients=clients,
        fsid=uuid.uuid5(FSID_NAMESPACE, dataset.name),
        export_id=export_id,
        changes_on_host=is_requests,
    )


def _writable(dataset: DatasetPlan) -> bool:
    """Return whether anybody but the host's root may write to a dataset."""
    if dataset.kind is not DatasetKind.SHARED:
        return True
    return bool(dataset.access.write_gids or int(dataset.access.mode, 8) & WRITABLE_BY_GROUP)


def _export_ids(names: Iterable[str]) -> dict[str, int]:
    """Return a number for every dataset: of its name, so that another dataset more or less leaves it as it is."""
    ids: dict[str, int] = {}
    for name in names:
        number = crc32(name.encode()) % EXPORT_IDS + 1
        while number in ids.values():
            number = number % EXPORT_IDS + 1
        ids[name] = number
    return ids
