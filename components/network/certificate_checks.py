"""What can be wrong with certificates before any exists: names nobody certifies, files that do not fit.

Paths are relative to the network section.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.problems import Path, Problem

from .certificates_config import AcmeCertificates, FileCertificates, HttpSolver, LabCaCertificates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .config import NetworkConfig

__all__ = ["check_certificates"]

PRIVATE_SUFFIXES = (".internal", ".local", ".test", ".invalid", ".localhost", ".lan", ".home.arpa")
"""Ends of names that no public authority certifies: reserved (RFC 2606, RFC 6762, RFC 8375, ICANN 2024) or habit."""


def check_certificates(config: NetworkConfig) -> Iterator[Problem]:
    """Yield what is wrong between host names and where their certificates come from."""
    certificates = config.certificates
    if isinstance(certificates, AcmeCertificates):
        yield from _acme(config, certificates)
    elif isinstance(certificates, FileCertificates):
        yield from _files(config, certificates)
    elif isinstance(certificates, LabCaCertificates):
        from .certificate_files import authority_faults  # noqa: PLC0415 - as below

        for fault in authority_faults(certificates.certificate):
            yield Problem(path=("certificates", "certificate"), what=fault.what, remedy=fault.remedy)


def _acme(config: NetworkConfig, certificates: AcmeCertificates) -> Iterator[Problem]:
    over_http = isinstance(certificates.solver, HttpSolver)
    if over_http and config.gateway is None:
        yield Problem(
            path=("certificates", "solver") if "solver" in certificates.model_fields_set else ("certificates",),
            what="names are to be proved over HTTP, and there is no gateway to do it through",
            remedy="add network.gateway, or take a solver that writes DNS records: rfc2136, cloudflare or route53",
        )
    for service, hostname in config.hostnames.items():
        path: Path = ("hostnames", service)
        if hostname.startswith("*.") and over_http:
            yield Problem(
                path=path,
                what=f"{hostname} is a wildcard, which no file on a web server can prove (HTTP-01)",
                remedy="take a certificates.solver that writes DNS records: rfc2136, cloudflare or route53",
            )
        # A lab's own ACME server certifies what it likes; it is known by what reaching it takes.
        is_own = bool(certificates.server_networks) or certificates.server_authority is not None
        if not is_own and (hostname.endswith(PRIVATE_SUFFIXES) or "." not in hostname):
            yield Problem(
                path=path,
                what=f"no ACME server certifies {hostname}, which only exists inside",
                remedy="write a public name, or take certificates of kind lab-ca, files or self-signed",
            )


def _files(config: NetworkConfig, certificates: FileCertificates) -> Iterator[Problem]:
    from .certificate_files import chain_faults  # noqa: PLC0415 - only labs with files need the library

    for service, hostname in config.hostnames.items():
        if service not in certificates.services:
            yield Problem(
                path=("certificates", "services"),
                what=f"there is no certificate for {service}, which is published as {hostname}",
                remedy=f"add {service}: {{chain: ..., privateKey: {{secret: {service}TlsKey}}}}",
            )
    for service, file in certificates.services.items():
        path: Path = ("certificates", "services", service)
        if service not in config.hostnames:
            yield Problem(
                path=path,
                what=f"{service} is not published, so nothing shows its certificate",
                remedy=f"name it in network.hostnames ({', '.join(config.hostnames) or 'none'}), or leave it out",
            )
            continue
        for fault in chain_faults(file.chain, config.hostnames[service]):
            yield Problem(path=(*path, "chain"), what=fault.what, remedy=fault.remedy)
