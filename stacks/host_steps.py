"""The steps of a lab's hosts, all components' together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.gpu.driver_plan import driver_steps
from components.hub.homes.requests import database_home
from components.hub.lxcfs import lxcfs_steps
from components.namespaces.plan import scoped
from components.nodes.bootstrap_plan import bootstrap_steps
from components.storage.hosts_plan import storage_steps

from .config import cluster_settings

if TYPE_CHECKING:
    from components.nodes.bootstrap_plan import FurtherSteps
    from components.nodes.config import NodesConfig
    from components.nodes.steps import Step
    from components.pins import Pins

    from .config import ClusterConfig

__all__ = ["further_steps", "host_steps"]


def host_steps(config: ClusterConfig, pins: Pins, stack: str) -> tuple[Step, ...]:
    """Return every step of every host, each after what it waits for; none where a cluster is adopted.

    Parameters
    ----------
    config
        The cluster, checked.
    pins
        Every version it runs, mirrors applied.
    stack
        Name of its stack.
    """
    return bootstrap_steps(config.nodes, cluster_settings(config, pins), further_steps(config, stack))


def further_steps(config: ClusterConfig, stack: str) -> FurtherSteps:
    """Return what gives the steps that components beside the nodes' have on the hosts."""
    is_kept_here = config.hub is not None and config.hub.database.kind == "volume"
    nfs = config.storage.nfs if config.storage is not None else None
    hubs = (*((stack,) if is_kept_here else ()), *(nfs.homes.hubs if nfs is not None else ()))
    known_homes = tuple(database_home(scoped("hub", hub)) for hub in hubs)

    def steps(nodes: NodesConfig) -> tuple[Step, ...]:
        return (
            *storage_steps(config.storage, nodes, known_homes),
            *driver_steps(config.gpu, nodes),
            *lxcfs_steps(config.hub, nodes),
        )

    return steps
