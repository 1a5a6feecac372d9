"""What the hub's plan knows beside its section: names of what other components made, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.gpu.slices import Slice
    from components.images import ImageReference
    from components.storage.plan import SharedMount

__all__ = ["HubFacts", "RouteTarget"]


@dataclass(frozen=True, kw_only=True)
class RouteTarget:
    """The Gateway listener the hub's route attaches to."""

    gateway: str
    namespace: str
    listener: str


@dataclass(frozen=True, kw_only=True)
class HubFacts:
    """Everything around the hub that its chart values name."""

    home_class: str
    """StorageClass of homes and of the hub's database."""
    secret: str
    """Secret with the hub's own keys, in the chart's names."""
    client_secret: str | None = None
    """Secret with the provider's client secret; None without a provider."""
    contact: str = ""
    """Whom people are to ask, such as an address for mail; empty where nobody is named."""
    hostname: str | None = None
    """Public DNS name; None where nothing is published."""
    route: RouteTarget | None = None
    volumes: Sequence[SharedMount] = ()
    """What every user's server mounts beside its home."""
    services_priority: str | None = None
    """PriorityClass of hub and proxy; None for the cluster's default."""
    servers_priority: str | None = None
    """PriorityClass of users' servers; None for the cluster's default."""
    servers_scheduler: str | None = None
    """Scheduler of users' servers; None for the cluster's default."""
    images: Mapping[str, ImageReference] = field(default_factory=dict[str, "ImageReference"])
    """Pinned images by name."""
    slices: Sequence[Slice] = ()
    """What the GPUs offer."""
    proxy_exceptions: Sequence[str] = ()
    """What every server reaches without a web proxy, where its network class has one (``NO_PROXY``)."""
    home_requests: str | None = None
    """Claim of the folder in which homes are asked for; None where the storage class makes them by itself."""
    identities: str | None = None
    """Namespace of the table of users' ids; None where there is none."""
    is_simulated: bool = False
    """Whether nodes have no container runtime: no image is ever pulled."""
