"""What the nodes' planners are told about the rest of the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.addresses import AnyNetwork
    from components.model import Value
    from components.networks import Networks
    from components.pins import Pins

__all__ = ["ClusterSettings"]


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """The cluster that hosts are bootstrapped into."""

    name: str
    hosts: Networks
    """The hosts' own network, one or one per family."""
    pods: Networks
    services: Networks
    domain: str
    """DNS domain of services inside the cluster."""
    management: tuple[AnyNetwork, ...] = ()
    """Networks of BMCs, switches and power, which no pod may ever reach."""
    nfs_clients: tuple[AnyNetwork, ...] = ()
    """Machines that are no nodes and mount the storage host's folders (``storage.nfs.clients``)."""
    pins: Pins
    scheduler: Mapping[str, Value] | None = None
    """What kube-scheduler is told (a KubeSchedulerConfiguration, without how it signs in); None for its defaults."""
    has_host_driver: bool = False
    """Whether GPU hosts carry NVIDIA's driver themselves (``gpu.driver.source: host``)."""
    host_mtu_bytes: int | None = None
    """Largest packet that the pods' MTU was planned for; None where the network is another's."""
