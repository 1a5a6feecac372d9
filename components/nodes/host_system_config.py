"""How the machines themselves are kept: system, container runtime, kubelet, and where downloads come from."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, JsonValue

from components.addresses import Cidr, DnsLabel, DnsName
from components.model import Model

__all__ = [
    "FirewallConfig",
    "FirewallRule",
    "KubeProxyConfig",
    "KubeletConfig",
    "MirrorConfig",
    "ProxyMode",
    "RuntimeConfig",
    "SecurityUpdates",
    "SystemConfig",
    "TransportProtocol",
]

SysctlKey = Annotated[str, Field(pattern=r"^[a-z0-9_]+([./][a-zA-Z0-9_.*-]+)+$")]
"""Name of a kernel parameter: ``net.core.rmem_max`` (sysctl.d(5))."""
Url = Annotated[str, Field(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")]
"""An http or https address without query or fragment."""
PackageName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]
"""Name of a Debian package (Debian Policy, 5.6.1)."""
PackageVersion = Annotated[str, Field(pattern=r"^[0-9][A-Za-z0-9.+:~-]*$")]
"""Exact version of a Debian package (Debian Policy, 5.6.12)."""
Certificates = Annotated[str, Field(pattern=r"^-----BEGIN CERTIFICATE-----")]
"""One or more certificates in PEM."""


class SecurityUpdates(StrEnum):
    """Who installs the distribution's security updates."""

    AUTOMATIC = "automatic"
    """The host itself, never rebooting and never touching Kubernetes, containerd or NVIDIA packages."""
    MANUAL = "manual"
    """Whoever runs the hosts."""


class TransportProtocol(StrEnum):
    """Protocols with ports, in nftables' words."""

    TCP = "tcp"
    UDP = "udp"


class FirewallRule(Model):
    """Something of the lab's own that hosts accept."""

    name: DnsLabel = Field(description="What it is, for people.")
    networks: tuple[Cidr, ...] = Field(min_length=1, description="Networks it is accepted from.")
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = Field(min_length=1, description="Ports of the hosts.")
    protocols: tuple[TransportProtocol, ...] = Field(
        default=(TransportProtocol.TCP,), min_length=1, description="`tcp`, `udp`, or both."
    )


class FirewallConfig(Model):
    """What may reach a host, by an nftables table of our own beside whatever else is there.

    What the cluster itself needs between its hosts is known; everything else is said here.
    """

    ssh: tuple[Cidr, ...] = Field(
        min_length=1,
        title="SSH",
        description="Networks SSH is accepted from, beside the jump host and between storage hosts; this machine's has "
        "to be among them.",
    )
    api_server: tuple[Cidr, ...] = Field(
        default=(), title="API server", description="Networks, beside the hosts' own, that may reach the API server."
    )
    published: tuple[Cidr, ...] = Field(
        default=("0.0.0.0/0", "::/0"),  # pyright: ignore[reportAssignmentType] - validated like the file's
        validate_default=True,
        description="Networks that may reach published services (load-balancer addresses, HTTP and HTTPS).",
    )
    allow: tuple[FirewallRule, ...] = Field(
        default=(), description="What hosts accept of the lab's own, such as a monitoring agent's port."
    )


class SystemConfig(Model):
    """The operating system of every host."""

    time_servers: tuple[DnsName, ...] = Field(
        default=(), description="NTP servers; the distribution's own pool if none is named."
    )
    sysctls: dict[SysctlKey, str] = Field(
        default={}, description="Kernel parameters of the lab, beside those Kubernetes needs."
    )
    security_updates: SecurityUpdates = Field(
        default=SecurityUpdates.AUTOMATIC,
        description="`automatic`: hosts install security updates themselves, never rebooting; `manual`: they do not.",
    )
    firewall: FirewallConfig | None = Field(
        default=None, description="What may reach the hosts; without it nothing is filtered on them."
    )
    nvidia_driver: dict[PackageName, PackageVersion] = Field(
        default={},
        title="NVIDIA driver",
        description="Packages of the driver on GPU hosts, each at an exact version, with gpu.driver.source: host; "
        "without them such a host is expected to have its driver.",
    )


class MirrorConfig(Model):
    """A bundle that stands for every public place hosts would download from (`labctl bundle`)."""

    url: Url = Field(
        title="URL", description="Where the bundle is served: files under /files, packages under /apt, images at /v2."
    )
    apt_key: str | None = Field(
        default=None,
        pattern=r"^-----BEGIN PGP PUBLIC KEY BLOCK-----",
        description="The bundle's key.asc, its packages are signed with it; without it packages come from the "
        "distribution's own sources.",
    )
    certificate_authority: Certificates | None = Field(
        default=None, description="Certificates (PEM) its https address is checked with, where hosts do not know them."
    )


class RuntimeConfig(Model):
    """The container runtime, containerd."""

    registry_mirrors: dict[DnsName, tuple[Url, ...]] = Field(
        default={},
        description="Mirrors asked before a registry, by the registry's name: {docker.io: [https://mirror.lab.org]}.",
    )
    certificate_authority: Certificates | None = Field(
        default=None, description="Certificates (PEM) the mirrors are checked with, where hosts do not know them."
    )


class KubeletConfig(Model):
    """The kubelet of every node."""

    settings: dict[str, JsonValue] = Field(
        default={},
        description="Fields of KubeletConfiguration (kubelet.config.k8s.io/v1beta1), laid over ours.",
    )


class ProxyMode(StrEnum):
    """How kube-proxy makes services reachable."""

    NFTABLES = "nftables"
    IPTABLES = "iptables"


class KubeProxyConfig(Model):
    """kube-proxy, on every node."""

    mode: ProxyMode = Field(
        default=ProxyMode.NFTABLES,
        description="`nftables` (stable since Kubernetes 1.33) or `iptables` where a kernel is older than 5.13.",
    )
    settings: dict[str, JsonValue] = Field(
        default={}, description="Fields of KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1), laid over ours."
    )
