"""The network section of a stack file: address plan, CNI, load balancer, gateway, certificates.

Every part but the address plan may be left out: a cluster that exists already has its own, and `NetworkUse` names it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from components.addresses import Address, AddressRange, Cidr, DnsLabel, DnsName
from components.errors import ConfigurationError
from components.model import Model
from components.quantities import Duration
from components.secrets import SecretRef

from .errors import NotBuiltError, RetiredGatewayError, ShortWebsocketError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "LETS_ENCRYPT",
    "AcmeCertificates",
    "AddressPool",
    "Announcement",
    "Calico",
    "Certificates",
    "CniKind",
    "Encapsulation",
    "EnvoyGateway",
    "GatewayKind",
    "GatewayUse",
    "LabCaCertificates",
    "LoadBalancerKind",
    "MetalLb",
    "NetworkConfig",
    "NetworkUse",
    "SelfSignedCertificates",
]

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
"""Let's Encrypt's production directory (RFC 8555); a lab's own ACME server may stand in its place."""
ENVOY_STREAM_IDLE = Duration.parse("5m")
"""Idle time after which Envoy cuts a stream unless told otherwise: ``streamIdleTimeout``'s default in Envoy Gateway's
ClientTrafficPolicy. A terminal nobody types into for as long loses its websocket."""


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


def _built(kind: StrEnum, part: str, built: Iterable[StrEnum]) -> None:
    names = tuple(str(choice) for choice in built)
    if str(kind) not in names:
        raise NotBuiltError(part, str(kind), names)


class Calico(Model):
    """Pod network by the Tigera operator."""

    kind: CniKind = Field(default=CniKind.CALICO, description="Which pod network; only calico is built.")
    encapsulation: Encapsulation = Field(
        default=Encapsulation.VXLAN,
        title="Encapsulation",
        description="VXLAN works on any host network; None needs a fabric that routes pod addresses.",
    )
    block_size: int | None = Field(
        default=None,
        ge=20,
        le=128,
        title="Block prefix length",
        description="Prefix length of the block of pod addresses a node takes at a time; default 26 (64 addresses) for "
        "IPv4 and 122 for IPv6. It cannot be changed on a running pool.",
    )
    host_mtu_bytes: int = Field(
        default=1500,
        ge=1280,
        le=9216,
        title="Host MTU in bytes",
        description="Largest frame the host network carries; the pods' MTU is planned from it.",
    )

    @field_validator("kind")
    @classmethod
    def _kind_is_built(cls, kind: CniKind) -> CniKind:
        _built(kind, "pod network", (CniKind.CALICO,))
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
        _built(kind, "load balancer", (LoadBalancerKind.METALLB,))
        return kind

    @field_validator("announcement")
    @classmethod
    def _announcement_is_built(cls, announcement: Announcement) -> Announcement:
        _built(announcement, "announcement", (Announcement.LAYER2,))
        return announcement


class EnvoyGateway(Model):
    """The one way in: a shared Gateway (Gateway API) with HTTPS for every service."""

    kind: GatewayKind = Field(default=GatewayKind.ENVOY, description="Which gateway; only envoy is built.")
    address: Address | None = Field(
        default=None,
        description="The address users' DNS names point at, out of a pool; left out, MetalLB picks one and keeps it as "
        "long as the service lives.",
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
        _built(kind, "gateway", (GatewayKind.ENVOY,))
        return kind

    @field_validator("websocket_idle")
    @classmethod
    def _terminal_survives(cls, idle: Duration) -> Duration:
        if idle <= ENVOY_STREAM_IDLE:
            raise ShortWebsocketError(idle, ENVOY_STREAM_IDLE)
        return idle


def _https(url: str) -> str:
    if not url.startswith("https://"):
        what = f"{url!r} is not an https:// address"
        raise ConfigurationError(what=what, remedy=f"write the server's directory, such as {LETS_ENCRYPT}")
    return url


class AcmeCertificates(Model):
    """Certificates from an ACME server, proved over HTTP through the gateway itself (HTTP-01)."""

    kind: Literal["acme"] = Field(description="Certificates from an ACME server.")
    email: str = Field(
        pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
        title="Contact address",
        description="Where the server writes when a certificate is about to run out.",
    )
    server: Annotated[str, AfterValidator(_https)] = Field(
        default=LETS_ENCRYPT, title="ACME directory", description="Directory of the ACME server."
    )


class LabCaCertificates(Model):
    """Certificates from the lab's own authority, which its machines already trust."""

    kind: Literal["lab-ca"] = Field(description="Certificates signed by the lab's own authority.")
    certificate: str = Field(
        pattern=r"^-----BEGIN CERTIFICATE-----\n",
        title="CA certificate",
        description="The authority's certificate in PEM, with its chain if it has one.",
    )
    private_key: SecretRef = Field(
        title="CA private key", description="Configuration key that holds the authority's private key in PEM."
    )


class SelfSignedCertificates(Model):
    """Certificates from an authority made in the cluster: browsers warn, everything else is as in production."""

    kind: Literal["self-signed"] = Field(description="Certificates signed by an authority that cert-manager makes.")


Certificates = Annotated[
    AcmeCertificates | LabCaCertificates | SelfSignedCertificates, Field(discriminator="kind", title="Certificates")
]
"""Where the certificates of the services come from."""


class GatewayUse(Model):
    """A Gateway that another stack owns."""

    name: DnsLabel = Field(description="Name of the Gateway.")
    namespace: DnsLabel = Field(description="Namespace of the Gateway.")
    class_name: DnsName = Field(title="GatewayClass", description="Name of its GatewayClass.")


class NetworkUse(Model):
    """What of the network another stack owns, on a cluster that several stacks share."""

    gateway: GatewayUse = Field(description="The Gateway whose listeners serve this stack's host names.")
    issuer: DnsName = Field(title="ClusterIssuer", description="Name of the ClusterIssuer for certificates.")


class NetworkConfig(Model):
    """Network section of a stack file."""

    pods: Cidr = Field(title="Pod network", description="Addresses of pods; overlaps with nothing the hosts can reach.")
    services: Cidr = Field(
        title="Service network", description="Virtual addresses of services; overlaps with nothing the hosts can reach."
    )
    hosts: Cidr = Field(title="Host network", description="The network the machines' own addresses are in.")
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
    hostnames: dict[DnsLabel, DnsName] = Field(
        default={},
        title="Host names",
        description="Published services and the DNS names users know them by: {hub: hub.lab.org}.",
    )
    use: NetworkUse | None = Field(
        default=None, title="Used from another stack", description="Gateway and issuer that another stack owns."
    )
