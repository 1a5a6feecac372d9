"""What other components need to know of the network before anything exists: plain data, from the stack file alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from components.namespaces.plan import scoped

from .errors import OwnClassError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.addresses import AnyNetwork
    from components.networks import Networks

    from .config import NetworkConfig

__all__ = ["API_SERVER_PORT", "GATEWAY_NAME", "LISTENER_PREFIX", "GatewayReference", "NetworkFacts", "network_facts"]

API_SERVER_PORT = 6443
"""Port of kube-apiserver on every control-plane host (kubeadm, ``localAPIEndpoint.bindPort``)."""

GATEWAY_NAME = "lab"
"""Name of the shared Gateway in its namespace."""

LISTENER_PREFIX = "https-"
"""What the name of a service's listener begins with."""

GATEWAY_CLASS = "envoy"
"""Name of its class, which carries the stack's: cluster-scoped, so no two stacks on a cluster may have the same."""


@dataclass(frozen=True, kw_only=True)
class GatewayReference:
    """The Gateway that routes attach to: what an HTTPRoute's ``parentRefs`` needs."""

    name: str
    namespace: str
    class_name: str
    listeners: Mapping[str, str] = field(default_factory=dict[str, str])
    """Listeners by service, where they are not named as this program names them."""

    def listener(self, service: str) -> str:
        """Return the listener that serves a published service: the ``sectionName`` its route attaches to."""
        return self.listeners.get(service, f"{LISTENER_PREFIX}{service}")

    @property
    def label(self) -> str:
        """Value of the label by which a namespace says that its routes attach here."""
        return f"{self.namespace}.{self.name}"


@dataclass(frozen=True, kw_only=True)
class NetworkFacts:
    """The network as other components see it."""

    pods: Networks
    services: Networks
    hosts: Networks
    cluster_domain: str
    management: tuple[AnyNetwork, ...] = ()
    """Networks of BMCs, switches and power, which no pod may ever reach."""
    api_server_port: int = API_SERVER_PORT
    gateway: GatewayReference | None = None
    issuer: str | None = None
    """Name of the ClusterIssuer; None where certificates come as files."""
    hostnames: Mapping[str, str] = field(default_factory=dict[str, str])
    """DNS name of each published service."""


def network_facts(config: NetworkConfig, stack: str, api_server_port: int = API_SERVER_PORT) -> NetworkFacts:
    """Return what the rest of the stack may know of its network.

    Parameters
    ----------
    config
        Network section of the stack file.
    stack
        Name of the stack; names of cluster-scoped objects carry it.
    api_server_port
        Port of kube-apiserver on the control-plane hosts.

    Raises
    ------
    OwnClassError
        If the gateway used from another stack has the class this one would build.
    """
    gateway, issuer = None, None
    if config.use is not None:
        used = config.use.gateway
        if used.class_name == scoped(GATEWAY_CLASS, stack):
            raise OwnClassError(used.class_name, stack)
        gateway = GatewayReference(
            name=used.name, namespace=used.namespace, class_name=used.class_name, listeners=dict(used.listeners)
        )
        issuer = config.use.issuer
    if config.gateway is not None:
        gateway = GatewayReference(
            name=GATEWAY_NAME, namespace=scoped("gateway", stack), class_name=scoped(GATEWAY_CLASS, stack)
        )
    if config.certificates is not None and config.certificates.kind != "files":
        issuer = scoped("lab", stack)
    return NetworkFacts(
        pods=config.pods,
        services=config.services,
        hosts=config.hosts,
        cluster_domain=config.cluster_domain,
        management=config.management,
        api_server_port=api_server_port,
        gateway=gateway,
        issuer=issuer,
        hostnames=dict(config.hostnames),
    )
