"""A certificate as a server shows it to whoever comes; nothing is sent but the beginning of a TLS connection."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509

from .fact import Fact, Known, Unknown

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["ServedCertificate", "parse_certificate", "served_certificate"]

SECONDS: Final = 5.0
"""For a connection and a TLS handshake, on a busy machine."""


@dataclass(frozen=True, kw_only=True)
class ServedCertificate:
    """The first certificate that a server shows."""

    place: str
    """Who shows it: ``10.20.0.200:443 (hub.lab.example.org)``."""
    not_after: datetime
    names: tuple[str, ...]
    """DNS names and addresses it is for, as it has them: ``*.lab.example.org``."""

    def is_for(self, name: str) -> bool:
        """Tell whether it is for a name (RFC 9525, 6.3: a wildcard stands for one whole label)."""
        parent = name.partition(".")[2]
        return any(known.lower() in {name.lower(), f"*.{parent}".lower()} for known in self.names)


def served_certificate(address: str, port: int, name: str, *, remedy: str) -> Fact[ServedCertificate]:
    """Return the certificate shown at an address to who asks for a name.

    Parameters
    ----------
    address, port
        Where to connect.
    name
        What is asked for (SNI); an address asks for nothing.
    remedy
        What to do where nothing is shown.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # It is looked at, not trusted: one that is expired is just what is looked for.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    place = f"{address}:{port}" if name == address else f"{address}:{port} ({name})"
    asked = None if _is_address(name) else name
    try:
        with (
            socket.create_connection((address, port), timeout=SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=asked) as encrypted,
        ):
            shown = encrypted.getpeercert(binary_form=True)
    except OSError as error:
        return Unknown(f"nothing shows a certificate at {place}: {error.strerror or error}", remedy, is_down=True)
    if not shown:
        return Unknown(f"{place} shows no certificate", remedy)
    try:
        return Known(parse_certificate(shown, place))
    except ValueError as error:
        return Unknown(f"the certificate of {place} cannot be read ({error})", remedy)


def parse_certificate(der: bytes, place: str) -> ServedCertificate:
    """Return what is judged of a certificate in DER; raises ValueError where it is none."""
    certificate = x509.load_der_x509_certificate(der)
    names: tuple[str, ...] = ()
    with suppress(x509.ExtensionNotFound):
        known = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = (
            *known.get_values_for_type(x509.DNSName),
            *(str(address) for address in known.get_values_for_type(x509.IPAddress)),
        )
    return ServedCertificate(place=place, not_after=certificate.not_valid_after_utc, names=names)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
