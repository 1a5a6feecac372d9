"""An authority of the tests' own, and what it signs."""

from __future__ import annotations

import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

__all__ = ["Authority"]


class Authority:
    """An authority of the tests' own, and what it signs."""

    def __init__(self, name: str = "Lab CA", signed_by: Authority | None = None) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        above = signed_by or self
        self.certificate = self._sign(above, self.name, self.key, (), is_authority=True)

    def issue(
        self, *names: str, days: tuple[int, int] = (-1, 90), key: ec.EllipticCurvePrivateKey | None = None
    ) -> tuple[str, str]:
        """Return a certificate for `names`, valid between two days counted from now, and its key, both in PEM."""
        own = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])] if names else [])
        pem = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return self._sign(self, subject, own, names, days=days), pem

    def _sign(  # noqa: PLR0913 - what a certificate says
        self,
        signer: Authority,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        names: tuple[str, ...],
        *,
        days: tuple[int, int] = (-1, 3650),
        is_authority: bool = False,
    ) -> str:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signer.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + dt.timedelta(days=days[0]))
            .not_valid_after(now + dt.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if names:
            alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
