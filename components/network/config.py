"""The network section of a stack file: address plan, CNI, load balancer, gateway, certificates.

Every part but the address plan may be left out: a cluster that exists already has its own, and `NetworkUse` names it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from components.addresses import Address, AddressRange, Cidr, DnsLabel, DnsName, PublishedName
from components.errors import NotBuiltError
from components.model import Model
from components.networks import IPV4, IPV6, DualStack
from components.quantities import Duration

from .certificates_config import (
    LETS_ENCRYPT,
    AcmeCertificates,
    CertificateFile,
    Certificates,
    FileCertificates,
    LabCaCertificates,
    SelfSignedCertificates,
)
from .errors import RetiredGatewayError, ShortWebsocketError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "LETS_ENCRYPT",
    "AcmeCertificates",
    "AddressPool",
    "Announcement",
    "BlockSizes",
    "Calico",
    "CertificateFile",
    "Certificates",
    "CniKind",
    "Encapsulation",
    "EnvoyGateway",
    "FileCertificates",
    "GatewayKind",
    "GatewayUse",
    "LabCaCertificates",
    "LoadBalancerKind",
    "MetalLb",
    "NetworkConfig",
    "NetworkUse",
    "SelfSignedCertificates",
]

LEAST_WEBSOCKET_IDLE = Duration.parse("1h")
"""Shortest idle time of a websocket that may be asked for. Envoy's own is 5m (ClientTrafficPolicy,
``streamIdleTimeout``), which cuts a terminal over a coffee; an hour is what people leave one alone for, and a limit
below it saves nothing: a connection that is really dead is found by TCP keepalive in two minutes, whatever stands here.
"""


class CniKind(StrEnum):
    """Pod networks by name; those this program does not build are here to be refused by name."""

    CALICO = "calico"
    CILIUM = "cilium"
    FLANNEL = "flannel"
    WEAVE = "weave"


class LoadBalancerKind(StrEnum):
    """What gives a Service of type LoadBalancer its address on bare metal."""

    METALLB = "metallb"
    KUBE_VIP = "kube-vip"
    CILIUM = "cilium"


class GatewayKind(StrEnum):
    """What stands between users and services."""

    ENVOY = "envoy"
    TRAEFIK = "traefik"
    NGINX = "nginx"


class Encapsulation(StrEnum):
    """How pod packets cross the host network, in Calico's own words (``Installation.spec.calicoNetwork.ipPools``)."""

    VXLAN = "VXLAN"
    VXLAN_CROSS_SUBNET = "VXLANCrossSubnet"
    NONE = "None"


class Announcement(StrEnum):
    """How MetalLB makes an address known."""

    LAYER2 = "layer2"
    BGP = "bgp"


_POD_NETWORK, _LOAD_BALANCER, _ANNOUNCEMENT, _GATEWAY = "pod network", "load balancer", "announcement", "gateway"
_NOT_BUILT: Mapping[tuple[str, str], str] = {
    (_POD_NETWORK, CniKind.CILIUM): "nothing here plans its address pools and tunnels yet",
    (_POD_NETWORK, CniKind.FLANNEL): "it enforces no network policies, and every namespace here is closed by them",
    (_POD_NETWORK, CniKind.WEAVE): "its project ended in 2024",
    (_LOAD_BALANCER, LoadBalancerKind.KUBE_VIP): "keepalived keeps the API server's address (nodes.endpoint), and "
    "services need pools",
    (_LOAD_BALANCER, LoadBalancerKind.CILIUM): "it needs Cilium as pod network, which is not built either",
    (_ANNOUNCEMENT, Announcement.BGP): "nothing here plans routers, peers and AS numbers yet",
    (_GATEWAY, GatewayKind.TRAEFIK): "nothing here plans its entry points and timeouts yet",
}
"""Why each kind is not there, or what there is instead of it."""


def _built(kind: StrEnum, part: str, built: Iterable[StrEnum]) -> None:
    names = tuple(str(choice) for choice in built)
    if str(kind) not in names:
        raise NotBuiltError(part, str(kind), _NOT_BUILT[part, kind], names)


class BlockSizes(Model):
    """Prefix length of the blocks of pod addresses, by family."""

    ipv4: int | None = Field(
        default=None, ge=20, le=32, title="IPv4", description="Of the IPv4 pod network; 26, 64 addresses, if left out."
    )
    ipv6: int | None = Field(
        default=None,
        ge=116,
        le=128,
        title="IPv6",
        description="Of the IPv6 pod network; 122, 64 addresses, if left out.",
    )

    def of_family(self, version: int) -> int | None:
        """Return what is said of a family, or None."""
        return {IPV4: self.ipv4, IPV6: self.ipv6}[version]


class Calico(Model):
    """Pod network by the Tigera operator."""

    kind: CniKind = Field(default=CniKind.CALICO, description="Which pod network; only calico is built.")
    encapsulation: Encapsulation = Field(
        default=Encapsulation.VXLAN,
        title="Encapsulation",
        description="VXLAN works on any host network; None needs a fabric that routes pod addresses.",
    )
    block_size: int | BlockSizes | None = Field(
        default=None,
        title="Block prefix length",
        description="Prefix length of the block of pod addresses a node takes at a time, of the one pod network or by "
        "family ({ipv4: 26, ipv6: 122}); default 26 for IPv4 and 122 for IPv6, 64 addresses each. It cannot be changed "
        "on a running pool.",
    )
    host_mtu_bytes: int = Field(
        default=1500,
        ge=1280,
        le=9216,
        title="Host MTU in bytes",
        description="Largest packet that every path between two hosts carries, switches included; the pods' MTU is "
        "planned from it.",
    )

    @field_validator("kind")
    @classmethod
    def _kind_is_built(cls, kind: CniKind) -> CniKind:
        _built(kind, _POD_NETWORK, (CniKind.CALICO,))
        return kind


class AddressPool(Model):
    """Addresses that services may take."""

    name: DnsLabel = Field(description="Name of the pool.")
    addresses: tuple[AddressRange, ...] = Field(
        min_length=1, description="Ranges or networks the lab's network reserves for the cluster."
    )
    automatic: bool = Field(
        default=True,
        title="Assign automatically",
        description="False keeps the pool for services that ask for it by name.",
    )


class MetalLb(Model):
    """Addresses for services of type LoadBalancer."""

    kind: LoadBalancerKind = Field(
        default=LoadBalancerKind.METALLB, description="Which load balancer; only metallb is built."
    )
    announcement: Announcement = Field(
        default=Announcement.LAYER2,
        description="layer2: one node at a time answers for an address, on the hosts' network; only layer2 is built.",
    )
    interfaces: tuple[str, ...] = Field(
        default=(), description="Interfaces that may answer; empty means every interface of every node."
    )
    pools: tuple[AddressPool, ...] = Field(min_length=1, description="Pools of addresses.")

    @field_validator("kind")
    @classmethod
    def _kind_is_built(cls, kind: LoadBalancerKind) -> LoadBalancerKind:
        _built(kind, _LOAD_BALANCER, (LoadBalancerKind.METALLB,))
        return kind

    @field_validator("announcement")
    @classmethod
    def _announcement_is_built(cls, announcement: Announcement) -> Announcement:
        _built(announcement, _ANNOUNCEMENT, (Announcement.LAYER2,))
        return announcement


class EnvoyGateway(Model):
    """The one way in: a shared Gateway (Gateway API) with HTTPS for every service."""

    kind: GatewayKind = Field(default=GatewayKind.ENVOY, description="Which gateway; only envoy is built.")
    address: Address | None = Field(
        default=None,
        description="The address users' DNS names point at, out of a pool; left out, MetalLB picks one and keeps it as "
        "long as the service lives.",
    )
    second_address: Address | None = Field(
        default=None, description="Its address of the other family, on a dual-stack cluster."
    )
    pool: DnsLabel | None = Field(
        default=None,
        description="Pool that MetalLB picks the address from; needed without an address where no pool is automatic.",
    )
    replicas: int = Field(default=2, ge=1, le=32, description="Proxies; two survive the drain of a node.")
    websocket_idle: Duration = Field(
        default=Duration.parse("8h"),
        title="Websocket idle time",
        description="How long a websocket may carry nothing before it is cut: a terminal left over lunch, a kernel "
        "computing in silence. Envoy's own default is 5m.",
    )
    allowed_sources: tuple[Cidr, ...] = Field(
        default=(), description="Networks that may reach the gateway; empty means every network that can route to it."
    )

    @field_validator("kind")
    @classmethod
    def _kind_is_built(cls, kind: GatewayKind) -> GatewayKind:
        if kind is GatewayKind.NGINX:
            raise RetiredGatewayError
        _built(kind, _GATEWAY, (GatewayKind.ENVOY,))
        return kind

    @field_validator("websocket_idle")
    @classmethod
    def _terminal_survives(cls, idle: Duration) -> Duration:
        if idle < LEAST_WEBSOCKET_IDLE:
            raise ShortWebsocketError(idle, LEAST_WEBSOCKET_IDLE)
        return idle


class GatewayUse(Model):
    """A Gateway that another stack owns."""

    name: DnsLabel = Field(description="Name of the Gateway.")
    namespace: DnsLabel = Field(description="Namespace of the Gateway.")
    class_name: DnsName = Field(title="GatewayClass", description="Name of its GatewayClass.")
    listeners: dict[DnsLabel, DnsLabel] = Field(
        default={},
        description="Listener that serves each published service, {hub: https-open}; a service that is not named has "
        "the one this program would give it, https-<service>.",
    )


class NetworkUse(Model):
    """What of the network another stack owns, on a cluster that several stacks share."""

    gateway: GatewayUse = Field(description="The Gateway whose listeners serve this stack's host names.")
    issuer: DnsName | None = Field(
        default=None,
        title="ClusterIssuer",
        description="Name of the ClusterIssuer for certificates; those of the Gateway's listeners are its owner's.",
    )


class NetworkConfig(Model):
    """Network section of a stack file."""

    pods: DualStack = Field(
        title="Pod network",
        description="Addresses of pods; overlaps with nothing the hosts can reach. One network, or a list of one per "
        "family, the first the primary one.",
    )
    services: DualStack = Field(
        title="Service network",
        description="Virtual addresses of services; overlaps with nothing the hosts can reach. Of the pods' families, "
        "in their order.",
    )
    hosts: DualStack = Field(
        title="Host network",
        description="The network the machines' own addresses are in; of the pods' families at least, in their order.",
    )
    dhcp: tuple[AddressRange, ...] = Field(
        default=(),
        title="DHCP ranges",
        description="Ranges that a DHCP server of the hosts' network hands out: nothing of the cluster lies in one.",
    )
    management: tuple[Cidr, ...] = Field(
        default=(),
        title="Management networks",
        description="Networks of BMCs, switches and power: no pod may ever reach them.",
    )
    reserved: dict[DnsLabel, Cidr] = Field(
        default={},
        title="Reserved networks",
        description="Other networks in use, by name, that the cluster's keep clear of: {vpn: 10.8.0.0/16}.",
    )
    cluster_domain: DnsName = Field(default="cluster.local", description="DNS domain of services inside the cluster.")
    cni: Calico | None = Field(
        default=None, title="Pod network plugin", description="Left out where the adopted cluster has one."
    )
    load_balancer: MetalLb | None = Field(
        default=None, description="Left out where the adopted cluster has one, or nothing is published."
    )
    gateway: EnvoyGateway | None = Field(default=None, description="Left out where nothing is published.")
    certificates: Certificates | None = Field(
        default=None, description="Needed with a gateway: every listener is HTTPS."
    )
    hostnames: dict[DnsLabel, PublishedName] = Field(
        default={},
        title="Host names",
        description="Published services and the DNS names users know them by: {hub: hub.lab.org}. A name may be a "
        "wildcard, *.apps.lab.org, where certificates allow.",
    )
    use: NetworkUse | None = Field(
        default=None, title="Used from another stack", description="Gateway and issuer that another stack owns."
    )
