"""The ``network.certificates`` section of a stack file: where the certificates of the services come from."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from components.addresses import Address, Cidr, DnsLabel, DnsName
from components.errors import ConfigurationError
from components.model import Model
from components.secrets import SecretRef

__all__ = [
    "LETS_ENCRYPT",
    "AcmeCertificates",
    "CertificateFile",
    "Certificates",
    "CloudflareSolver",
    "FileCertificates",
    "HttpSolver",
    "LabCaCertificates",
    "Rfc2136Solver",
    "Route53Solver",
    "SelfSignedCertificates",
    "Solver",
    "TsigAlgorithm",
]

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
"""Let's Encrypt's production directory (RFC 8555); a lab's own ACME server may stand in its place."""
DNS_PORT = 53
"""Port of DNS (RFC 1035)."""
_PEM_CERTIFICATE = r"^-----BEGIN CERTIFICATE-----\n"


class TsigAlgorithm(StrEnum):
    """Ways to sign an update of a DNS zone, in cert-manager's words (RFC 8945; MD5 and SHA-1 are left out)."""

    SHA256 = "HMACSHA256"
    SHA512 = "HMACSHA512"


class HttpSolver(Model):
    """A name is proved over HTTP, through the gateway itself (HTTP-01, RFC 8555 8.3)."""

    kind: Literal["http01"] = Field(description="The ACME server fetches a file from port 80 of the name.")


class DnsSolver(Model):
    """A name is proved by a TXT record (DNS-01, RFC 8555 8.4): the gateway need not be reachable from outside."""

    resolvers: tuple[Address, ...] = Field(
        default=(),
        title="Resolvers",
        description="Name servers asked whether the record is there yet; without any, the cluster's own DNS. Needed "
        "where the lab's DNS answers differently inside than outside.",
    )


class Rfc2136Solver(DnsSolver):
    """The record is written by a signed update of the lab's own zone (RFC 2136)."""

    kind: Literal["rfc2136"] = Field(description="A name server of the lab takes signed updates.")
    nameserver: Address = Field(description="Address of the zone's primary name server.")
    port: int = Field(default=DNS_PORT, ge=1, le=65_535, description="Its port.")
    key_name: DnsName = Field(title="TSIG key name", description="Name of the key, as the name server knows it.")
    algorithm: TsigAlgorithm = Field(
        default=TsigAlgorithm.SHA256, title="TSIG algorithm", description="How updates are signed."
    )
    key: SecretRef = Field(
        title="TSIG key", description="Configuration key that holds the TSIG key, base64 as in the name server's file."
    )


class CloudflareSolver(DnsSolver):
    """The record is written through Cloudflare's API."""

    kind: Literal["cloudflare"] = Field(description="The zone is at Cloudflare.")
    token: SecretRef = Field(
        title="API token", description="Configuration key that holds a token with Zone:Read and DNS:Edit of the zone."
    )


class Route53Solver(DnsSolver):
    """The record is written through Route 53's API."""

    kind: Literal["route53"] = Field(description="The zone is at Amazon Route 53.")
    access_key_id: SecretRef = Field(
        title="Access key ID", description="Configuration key that holds the access key's ID."
    )
    secret_access_key: SecretRef = Field(
        title="Secret access key", description="Configuration key that holds the access key itself."
    )
    region: str = Field(
        default="us-east-1",
        pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$",
        description="Region that requests are signed for; Route 53 itself is the same everywhere.",
    )
    hosted_zone: str | None = Field(
        default=None,
        pattern=r"^Z[0-9A-Z]{1,31}$",
        description="ID of the hosted zone; found by name if left out, which takes the right to list zones.",
    )
    role: str | None = Field(
        default=None, pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/\S+$", description="ARN of a role to take first."
    )


Solver = Annotated[
    HttpSolver | Rfc2136Solver | CloudflareSolver | Route53Solver, Field(discriminator="kind", title="Solver")
]
"""How it is proved that a name is the lab's."""


def _https(url: str) -> str:
    if not url.startswith("https://"):
        what = f"{url!r} is not an https:// address"
        raise ConfigurationError(what=what, remedy=f"write the server's directory, such as {LETS_ENCRYPT}")
    return url


class AcmeCertificates(Model):
    """Certificates from an ACME server, renewed in time by cert-manager."""

    kind: Literal["acme"] = Field(description="Certificates from an ACME server.")
    email: str = Field(
        pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
        title="Contact address",
        description="Where the server writes when a certificate is about to run out.",
    )
    server: Annotated[str, AfterValidator(_https)] = Field(
        default=LETS_ENCRYPT, title="ACME directory", description="Directory of the ACME server."
    )
    server_authority: str | None = Field(
        default=None,
        pattern=_PEM_CERTIFICATE,
        title="ACME server's authority",
        description="Certificate, in PEM, that the ACME server's own is signed by, where it is no public one.",
    )
    server_networks: tuple[Cidr, ...] = Field(
        default=(),
        title="ACME server's networks",
        description="Where the ACME server is, if it is inside: only public addresses are reached otherwise.",
    )
    solver: Solver = Field(
        default=HttpSolver(kind="http01"),
        description="How it is proved that a name is the lab's: http01 through the gateway, or a DNS record by "
        "rfc2136, cloudflare or route53. Wildcard names need a DNS record.",
    )


class LabCaCertificates(Model):
    """Certificates from the lab's own authority, which its machines already trust."""

    kind: Literal["lab-ca"] = Field(description="Certificates signed by the lab's own authority.")
    certificate: str = Field(
        pattern=_PEM_CERTIFICATE,
        title="CA certificate",
        description="The authority's certificate in PEM, with its chain if it has one.",
    )
    private_key: SecretRef = Field(
        title="CA private key", description="Configuration key that holds the authority's private key in PEM."
    )


class SelfSignedCertificates(Model):
    """Certificates from an authority made in the cluster: browsers warn, everything else is as in production."""

    kind: Literal["self-signed"] = Field(description="Certificates signed by an authority that cert-manager makes.")


class CertificateFile(Model):
    """One certificate somebody gave the lab."""

    chain: str = Field(
        pattern=_PEM_CERTIFICATE,
        title="Certificate chain",
        description="The service's certificate in PEM, then those that sign one another up to the root, without it.",
    )
    private_key: SecretRef = Field(
        title="Private key", description="Configuration key that holds the certificate's private key in PEM."
    )


class FileCertificates(Model):
    """Certificates as files, renewed by hand: no cert-manager is installed."""

    kind: Literal["files"] = Field(description="Certificates that the lab was given.")
    services: dict[DnsLabel, CertificateFile] = Field(
        min_length=1, description="Chain and private key of each published service, by its key in hostnames."
    )


Certificates = Annotated[
    AcmeCertificates | LabCaCertificates | FileCertificates | SelfSignedCertificates,
    Field(discriminator="kind", title="Certificates"),
]
"""Where the certificates of the services come from."""
