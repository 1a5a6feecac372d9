"""How the control plane is set up and kept: its configuration, its keys, its backups, its upgrades."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from components.addresses import DnsName
from components.model import Model
from components.quantities import Duration, Size
from components.repositories import RepositoryConfig
from components.secrets import SecretRef

from .host_system_config import KubeProxyConfig

__all__ = [
    "AuditLevel",
    "BackupConfig",
    "BackupRetention",
    "CertificatesConfig",
    "ControlPlaneConfig",
    "EncryptionConfig",
    "EncryptionKeyConfig",
    "EtcdConfig",
    "OidcConfig",
    "UpgradeConfig",
]

MOST_KEYS = 4
"""Encryption keys at once: a rotation has two; a few more are a rotation somebody never finished."""


class AuditLevel(StrEnum):
    """How much of each request the API server's audit log keeps (audit.k8s.io/v1)."""

    NONE = "none"
    """No audit log."""
    METADATA = "metadata"
    """Who did what to which object, when; no bodies."""
    REQUEST = "request"
    """The body of every change, too; never a Secret's, a ConfigMap's or a token's."""


class EncryptionKeyConfig(Model):
    """One key that Secrets are encrypted with in etcd."""

    name: str = Field(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", description="Name of the key, kept with all that it encrypts."
    )
    key: SecretRef | None = Field(
        default=None,
        description="Configuration key with 32 random bytes in base64: `openssl rand -base64 32 | pulumi config set "
        "--secret KEY`. Every key has one but `identity`, which stands for no encryption: in the first place, it lets "
        "a cluster that has no encryption yet get its first key in second place.",
    )


class EncryptionConfig(Model):
    """Encryption of Secrets in etcd. A key is rotated in four changes of this section, each an `up` of its own.

    Add the new key in second place; move it to the first; name it under `rewritten`; take the old one away.
    """

    keys: Annotated[tuple[EncryptionKeyConfig, ...], Field(min_length=1, max_length=MOST_KEYS)] = Field(
        description="The first encrypts, all of them decrypt."
    )
    rewritten: str | None = Field(
        default=None, description="Name of the first key, once every Secret is to be written anew with it."
    )


class OidcConfig(Model):
    """Sign-in to the API server by the lab's identity provider (OpenID Connect)."""

    issuer_url: str = Field(title="Issuer URL", pattern=r"^https://\S+$", description="The provider's issuer.")
    client_id: str = Field(title="Client ID", min_length=1, description="Audience that tokens are issued for.")
    username_claim: str = Field(default="sub", min_length=1, description="Claim that names the user.")
    groups_claim: str | None = Field(default=None, min_length=1, description="Claim that lists the user's groups.")
    prefix: str = Field(
        default="oidc:", description="Put before user and group names, so that none is one of Kubernetes' own."
    )
    certificate_authority: str | None = Field(
        default=None,
        pattern=r"^-----BEGIN CERTIFICATE-----",
        description="The provider's CA certificates (PEM), where the system does not know them.",
    )


class EtcdConfig(Model):
    """etcd's tuning (etcd.io, Operations guide: tuning, maintenance)."""

    quota: Size = Field(default=Size.gibibytes(4), description="Largest database; at this size etcd refuses writes.")
    heartbeat_milliseconds: int = Field(
        default=100, ge=10, le=5_000, description="Between heartbeats: about the round trip between members."
    )
    election_milliseconds: int = Field(
        default=1_000,
        ge=50,
        le=50_000,
        description="Silence after which members elect a leader: ten heartbeats, five at the least.",
    )


class BackupRetention(Model):
    """Which snapshots are kept (restic forget)."""

    hourly: int = Field(default=24, ge=0, le=1000, description="Of the last so many hours, one each.")
    daily: int = Field(default=14, ge=0, le=1000, description="Of the last so many days, one each.")
    weekly: int = Field(default=8, ge=0, le=1000, description="Of the last so many weeks, one each.")


class BackupConfig(RepositoryConfig):
    """Backups of etcd and the cluster's CA, encrypted by restic."""

    schedule: str = Field(
        default="hourly", min_length=1, description="When, as systemd.time(7) writes it: hourly, *-*-* 02:30:00."
    )
    keep: BackupRetention = Field(default=BackupRetention(), description="Which snapshots are kept.")


class CertificatesConfig(Model):
    """The control plane's own certificates, valid for a year; an upgrade renews them too."""

    renewal: int = Field(
        default=0, ge=0, description="Raise it by one to renew them all, and the administrator's kubeconfig, now."
    )


class UpgradeConfig(Model):
    """How hosts are brought to another version of Kubernetes."""

    batch: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Workers that are drained and upgraded at the same time; a twentieth of them if none is given.",
    )
    drain_timeout: Duration = Field(
        default=Duration.parse("10m"), description="How long a node may take to become empty before its upgrade fails."
    )
    evict_unmanaged: bool = Field(
        default=False,
        description="Whether pods that nothing starts again, such as notebook servers, may be ended by a drain.",
    )
    drain_last_storage: bool = Field(
        default=False,
        description="Whether the only host with storage that is a node may be drained, which ends all its pods.",
    )


class ControlPlaneConfig(Model):
    """The control plane."""

    san: tuple[DnsName, ...] = Field(
        default=(), title="Subject alternative names", description="Further names the API server's certificate is for."
    )
    audit: AuditLevel = Field(default=AuditLevel.METADATA, description="How much the audit log keeps.")
    encryption: EncryptionConfig | None = Field(
        default=None, description="Encryption of Secrets in etcd; without it they lie there in plain."
    )
    oidc: OidcConfig | None = Field(default=None, title="OIDC", description="Sign-in by the lab's identity provider.")
    etcd: EtcdConfig = Field(default=EtcdConfig(), title="etcd", description="etcd's tuning.")
    kube_proxy: KubeProxyConfig = Field(default=KubeProxyConfig(), title="kube-proxy", description="kube-proxy.")
    backup: BackupConfig | None = Field(default=None, description="Backups of etcd and the cluster's CA.")
    ignore_preflight: tuple[str, ...] = Field(
        default=(),
        description="Checks of kubeadm whose failure is tolerated, such as SystemVerification on cgroup v1.",
    )
