"""What has to fit together in a cluster: each component's own checks, and those between components.

A check is left out where a section it needs is itself broken, so that one mistake is not reported as three.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.gpu import checks as gpu_checks
from components.gpu.config import DriverSource
from components.gpu.slices import offered_slices
from components.hub import checks as hub_checks
from components.hub.identity.plan import SYNC_IMAGE
from components.hub.ids import SERVER_UID
from components.hub.profiles.checks import ProfileFacts, Room
from components.network import checks as network_checks
from components.network.facts import network_facts
from components.nodes import checks as nodes_checks
from components.nodes import plan as nodes_plan
from components.nodes.config import Role
from components.problems import Problem
from components.quantities import Millicores
from components.scheduling import checks as scheduling_checks
from components.storage import checks as storage_checks
from components.storage import exports_checks

from .tenancy import check_tenancy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from components.gpu.models import HostGpus
    from components.hub.config import HubConfig
    from components.pins import ImagePin

    from .config import ClusterConfig

__all__ = ["check_cluster", "host_gpus"]


@dataclass(frozen=True, kw_only=True)
class _Cluster:
    """What checks look at."""

    config: ClusterConfig
    broken: frozenset[str]
    images: Mapping[str, ImagePin] | None


@dataclass(frozen=True)
class _Check:
    """One check, the section its paths start from, and the sections it cannot do without."""

    section: str | None
    needs: frozenset[str]
    run: Callable[[_Cluster], Iterable[Problem]]


def check_cluster(
    config: ClusterConfig, broken: frozenset[str] = frozenset(), images: Mapping[str, ImagePin] | None = None
) -> Iterator[Problem]:
    """Yield everything in a cluster that does not fit together.

    Parameters
    ----------
    config
        The cluster; sections that are broken are absent from it, or stand-ins.
    broken
        Names of the sections whose shape is wrong already.
    images
        The environment's pinned images by name; None where no environment is known, then any name will do.
    """
    cluster = _Cluster(config=config, broken=broken, images=images)
    for check in _CHECKS:
        if not check.needs & broken:
            for problem in check.run(cluster):
                yield problem.under(check.section) if check.section else problem


def host_gpus(config: ClusterConfig) -> Mapping[str, HostGpus | None]:
    """Return the GPUs of each host that is a node, None where it has none."""
    return {name: host.gpus for name, host in nodes_plan.members(config.nodes).items()}


def _nodes(cluster: _Cluster) -> Iterator[Problem]:
    network = cluster.config.network
    yield from nodes_checks.check(cluster.config.nodes, network.hosts if network else None, cluster.images)
    yield from gpu_checks.check_models(host_gpus(cluster.config))
    gpu = cluster.config.gpu
    if cluster.config.nodes.system.nvidia_driver and (gpu is None or gpu.driver.source is not DriverSource.HOST):
        yield Problem(
            path=("system", "nvidiaDriver"),
            what="hosts are to have NVIDIA's driver, but GPUs are driven by the operator's; two on one host clash",
            remedy="set gpu.driver.source to host, or leave nvidiaDriver out",
        )


def _network_for_bootstrap(cluster: _Cluster) -> Iterator[Problem]:
    if cluster.config.nodes.adopt is None and cluster.config.network is None:
        yield Problem(
            path=("network",),
            what="hosts are to be bootstrapped, but there is no address plan",
            remedy="add network: {hosts: ..., pods: ..., services: ...}, or adopt a cluster under nodes.adopt",
        )


def _host_names(cluster: _Cluster) -> Iterator[Problem]:
    domain, network = cluster.config.domain, cluster.config.network
    for service, name in network.hostnames.items() if network else ():
        if name != domain and not name.endswith(f".{domain}"):
            yield Problem(
                path=("hostnames", service),
                what=f"{name} lies outside the cluster's domain {domain}",
                remedy=f"write a name that ends in .{domain}, or correct domain",
            )


def _network(cluster: _Cluster) -> Iterable[Problem]:
    network, hosts = cluster.config.network, cluster.config.nodes.hosts
    if network is None:
        return ()
    nodes, endpoint = nodes_plan.members(cluster.config.nodes), cluster.config.nodes.endpoint
    machines = network_checks.Machines(
        hosts={
            name: network_checks.Machine(addresses=host.addresses, is_node=name in nodes, mtu_bytes=host.mtu_bytes)
            for name, host in hosts.items()
        },
        endpoint=endpoint.address if endpoint is not None else None,
        is_bootstrapped=cluster.config.nodes.adopt is None,
    )
    return network_checks.check(network, machines)


def _storage(cluster: _Cluster) -> Iterable[Problem]:
    if cluster.config.storage is None:
        return ()
    hosts = {name: host for name, host in cluster.config.nodes.hosts.items() if not host.lost}
    serving = [name for name, host in hosts.items() if Role.STORAGE in host.roles]
    nodes = cluster.config.nodes
    return storage_checks.check(
        cluster.config.storage,
        list(hosts),
        serving,
        bootstrapped=hosts if nodes.adopt is None else None,
        is_adopted=nodes.adopt is not None and not nodes.simulated,
    )


def _exports(cluster: _Cluster) -> Iterable[Problem]:
    storage, network = cluster.config.storage, cluster.config.network
    if storage is None or storage.nfs is None:
        return ()
    hosts, pods = (None, None) if network is None else (network.hosts, network.pods)
    return exports_checks.check(storage.nfs, hosts=hosts, pods=pods)


def _gpu(cluster: _Cluster) -> Iterable[Problem]:
    config = cluster.config
    if config.gpu is None:
        return ()
    lost = [name for name, host in config.nodes.hosts.items() if host.lost]
    return gpu_checks.check(config.gpu, host_gpus(config), lost)


def _scheduling(cluster: _Cluster) -> Iterable[Problem]:
    section, nodes = cluster.config.scheduling, cluster.config.nodes
    if section is None:
        return ()
    is_ours = nodes.adopt is None or (nodes.simulated and nodes.owner is None)
    return scheduling_checks.check(section, is_scheduler_ours=is_ours)


def _hub(cluster: _Cluster) -> Iterator[Problem]:
    config, hub = cluster.config, cluster.config.hub
    if hub is None:
        return
    hosts = host_gpus(config)
    slices_known = "gpu" not in cluster.broken and not any((*_gpu(cluster), *gpu_checks.check_models(hosts)))
    facts = ProfileFacts(
        slices=offered_slices(config.gpu, hosts) if config.gpu is not None and slices_known else (),
        images=_named_images(hub) if cluster.images is None else cluster.images,
        interfaces={name: pin.interfaces for name, pin in (cluster.images or {}).items()},
        rooms=_rooms(config),
    )
    hostname = config.network.hostnames.get("hub") if config.network is not None else None
    for problem in hub_checks.check(hub, facts, hostname=hostname, is_simulated=config.nodes.simulated):
        if slices_known or "gpu" not in problem.path:
            yield problem


def _named_images(hub: HubConfig) -> set[str]:
    """Return every image a hub section names, where no environment says which there are."""
    named = {image for profile in hub.profiles for image, _ in profile.images()}
    return (
        named
        | {SYNC_IMAGE}
        | {sidecar.image for profile in hub.profiles for sidecar in profile.sidecars}
        | {SYNC_IMAGE}
    )


def _rooms(config: ClusterConfig) -> dict[str, Room]:
    """Return CPU and memory of every node on which servers may run."""
    return {
        name: Room(cpu=Millicores.cores(host.hardware.cpus), memory=host.hardware.memory)
        for name, host in config.nodes.hosts.items()
        if Role.WORKER in host.roles and not host.lost
    }


def _hub_networks(cluster: _Cluster) -> Iterable[Problem]:
    hub, network = cluster.config.hub, cluster.config.network
    if hub is None or network is None:
        return ()
    # What is checked is the address plan, which is the same in every stack.
    return hub_checks.check_networks(hub, network_facts(network, stack=cluster.config.name))


def _hub_needs(cluster: _Cluster) -> Iterator[Problem]:
    config = cluster.config
    if config.hub is None:
        return
    if config.network is None:
        yield Problem(
            path=("network",),
            what="the hub needs the address plan, for what servers may reach",
            remedy="add network: {hosts: ..., pods: ..., services: ...}",
        )
    if config.storage is None:
        yield Problem(
            path=("storage",),
            what="the hub needs a StorageClass for homes",
            remedy="add storage.nfs to build one, or storage.use to name another stack's",
        )


def _hub_homes(cluster: _Cluster) -> Iterator[Problem]:
    """Yield a range of user ids in which nobody's server runs: no home could ever be made."""
    storage = cluster.config.storage
    if cluster.config.hub is None or storage is None or storage.nfs is None or storage.zfs is None:
        return
    ids = storage.nfs.homes.user_ids
    identity = cluster.config.hub.identity
    if identity is None:
        if not ids.first <= SERVER_UID <= ids.last:
            yield Problem(
                path=("storage", "nfs", "homes", "userIds"),
                what=f"servers run as user id {SERVER_UID}, to whom no home may be given then",
                remedy=f"let the range hold {SERVER_UID}",
            )
    elif identity.uids.first < ids.first or identity.uids.last > ids.last:
        yield Problem(
            path=("storage", "nfs", "homes", "userIds"),
            what=f"people may have user ids from {identity.uids.first} to {identity.uids.last} (hub.identity.uids), "
            f"and homes are given to {ids.first} to {ids.last} alone",
            remedy="let the range hold theirs, or narrow theirs",
        )


def _tenancy(cluster: _Cluster) -> Iterable[Problem]:
    return check_tenancy(cluster.config)


_CHECKS = (
    _Check("nodes", frozenset({"nodes"}), _nodes),
    _Check(None, frozenset({"nodes", "network"}), _network_for_bootstrap),
    _Check("network", frozenset({"domain", "network"}), _host_names),
    _Check("network", frozenset({"network", "nodes"}), _network),
    _Check("storage", frozenset({"storage", "nodes"}), _storage),
    _Check("storage", frozenset({"storage", "network"}), _exports),
    _Check("gpu", frozenset({"gpu", "nodes"}), _gpu),
    _Check("scheduling", frozenset({"scheduling", "nodes"}), _scheduling),
    _Check("hub", frozenset({"hub", "nodes", "network"}), _hub),
    _Check("hub", frozenset({"hub", "network"}), _hub_networks),
    _Check(None, frozenset({"hub", "network", "storage"}), _hub_needs),
    _Check(None, frozenset({"hub", "storage"}), _hub_homes),
    _Check(None, frozenset({"nodes"}), _tenancy),
)
