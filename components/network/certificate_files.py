"""Certificates that were given to the lab as files: read, and refused before anything is touched where they do not fit.

Only labs with ``certificates.kind: files`` or ``lab-ca`` load this module, and the library it stands on.
"""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from .certificates_config import FileCertificates, LabCaCertificates
from .errors import CertificateKeyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .config import NetworkConfig

__all__ = ["Fault", "authority_faults", "chain_faults", "check_keys", "covers", "key_fault"]


class Fault(NamedTuple):
    """What is wrong with a chain, and what would be right."""

    what: str
    remedy: str


def chain_faults(chain: str, hostname: str, now: dt.datetime | None = None) -> Iterator[Fault]:
    """Yield what is wrong with a certificate chain for a name.

    Parameters
    ----------
    chain
        Certificates in PEM, the service's own first, each signed by the next.
    hostname
        The name it is shown for; a wildcard needs a wildcard.
    now
        The time it is to be good at; the present if left out.
    """
    try:
        certificates = x509.load_pem_x509_certificates(chain.encode())
    except ValueError:
        yield Fault("it holds no certificate that can be read", "write it in PEM, as the authority sent it")
        return
    own = certificates[0]
    at = now or dt.datetime.now(dt.UTC)
    yield from _validity(certificates, at)
    names = _names(own)
    if _is_authority(own):
        yield Fault("the first certificate is an authority's", "write the service's own first, then its issuers")
    elif not covers(names, hostname):
        shown = ", ".join(names) or "no DNS name at all"
        yield Fault(f"it is for {shown}, and not for {hostname}", f"get one whose alternative names hold {hostname}")
    for below, above in pairwise(certificates):
        if not _signed(below, above):
            yield Fault(
                f"{_subject(below)} is not signed by {_subject(above)}, which follows it",
                "write each certificate before the one that signed it, and nothing else",
            )


def authority_faults(chain: str, now: dt.datetime | None = None) -> Iterator[Fault]:
    """Yield what is wrong with the certificate of an authority that is to sign others.

    Parameters
    ----------
    chain
        Certificates in PEM, the authority's own first, each signed by the next.
    now
        The time it is to be good at; the present if left out.
    """
    try:
        certificates = x509.load_pem_x509_certificates(chain.encode())
    except ValueError:
        yield Fault("it holds no certificate that can be read", "write the authority's certificate in PEM")
        return
    yield from _validity(certificates, now or dt.datetime.now(dt.UTC))
    if not _is_authority(certificates[0]):
        yield Fault(
            "the first certificate is no authority's (CA:TRUE)",
            "write the authority's own, or take kind: files for a service's",
        )


def _validity(certificates: Sequence[x509.Certificate], at: dt.datetime) -> Iterator[Fault]:
    for certificate in certificates:
        if at > certificate.not_valid_after_utc:
            yield Fault(
                f"{_subject(certificate)} ran out on {certificate.not_valid_after_utc:%Y-%m-%d}",
                "get a new one from the authority: files are renewed by hand",
            )
        elif at < certificate.not_valid_before_utc:
            yield Fault(
                f"{_subject(certificate)} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}",
                "use the one that is valid now",
            )


def covers(names: Sequence[str], hostname: str) -> bool:
    """Tell whether a certificate for `names` is one for `hostname` (RFC 9525, 6.3: a wildcard stands for one label).

    Examples
    --------
    >>> [covers(["*.lab.org"], name) for name in ("hub.lab.org", "*.lab.org", "a.hub.lab.org", "lab.org")]
    [True, True, False, False]
    """
    _, _, parent = hostname.partition(".")
    wanted = {hostname.lower(), f"*.{parent.lower()}"}
    return any(name.lower() in wanted for name in names)


def key_fault(chain: str, key: str) -> str | None:
    """Return why a private key in PEM is not the one of a chain's first certificate, or None where it is."""
    try:
        private = load_pem_private_key(key.encode(), password=None)
    except TypeError:
        return "is encrypted, and a gateway has nobody to ask for its passphrase"
    except (ValueError, UnsupportedAlgorithm):
        return "is no private key in PEM"
    own = x509.load_pem_x509_certificates(chain.encode())[0]
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != own.public_key().public_bytes(*form):
        return "is not the one of its certificate"
    return None


def check_keys(config: NetworkConfig, text_of: Callable[[str], str | None]) -> None:
    """Refuse private keys that do not fit their certificates; to be called before anything is registered.

    Parameters
    ----------
    config
        Network section, checked.
    text_of
        Returns the text behind a configuration key, or None where it is not set (a preview without secrets).

    Raises
    ------
    CertificateKeyError
        With the first pair that does not fit.
    """
    certificates = config.certificates
    if isinstance(certificates, FileCertificates):
        pairs = [
            (f"services.{service}", file.chain, file.private_key) for service, file in certificates.services.items()
        ]
    elif isinstance(certificates, LabCaCertificates):
        pairs = [("certificate", certificates.certificate, certificates.private_key)]
    else:
        return
    for place, chain, reference in pairs:
        key = text_of(reference.secret)
        if key is not None and (fault := key_fault(chain, key)) is not None:
            raise CertificateKeyError(place, reference.secret, fault)


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return extension.value.get_values_for_type(x509.DNSName)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _signed(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or ", ".join(_names(certificate)) or "a certificate without a name"
