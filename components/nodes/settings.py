"""What the nodes' planners are told about the rest of the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.addresses import AnyNetwork
    from components.pins import Pins

__all__ = ["ClusterSettings"]


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """The cluster that hosts are bootstrapped into."""

    name: str
    hosts: AnyNetwork
    """The hosts' own network."""
    pods: AnyNetwork
    services: AnyNetwork
    domain: str
    """DNS domain of services inside the cluster."""
    pins: Pins
    has_host_driver: bool = False
    """Whether GPU hosts carry NVIDIA's driver themselves (``gpu.driver.source: host``)."""
