"""The certificates of one control plane: three authorities, made once, and what they sign, renewed in time."""

import datetime as dt
import ipaddress
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .errors import DamagedDataError

__all__ = ["Authority", "CertificateRequest", "Usage", "control_plane_requests", "ensure_pki", "write_private"]

AUTHORITY_LIFETIME = dt.timedelta(days=3650)
"""As kubeadm's: an authority outlives the development cluster it was made for."""

CERTIFICATE_LIFETIME = dt.timedelta(days=365)
"""As kubeadm's."""

RENEW_BEFORE = dt.timedelta(days=30)
"""A start with less time left renews: nobody leaves a development cluster running for longer than this."""

CLOCK_SKEW = dt.timedelta(minutes=5)
"""Certificates are valid from this long ago, for clocks that are set back after a resume."""


class Usage(StrEnum):
    """What a certificate may be used for."""

    CLIENT = "client"
    SERVER = "server"
    PEER = "peer"


class Authority(StrEnum):
    """Who signs. Separate authorities, as kubeadm has them: a client of the API server is not one of etcd."""

    CLUSTER = "ca"
    ETCD = "etcd-ca"
    FRONT_PROXY = "front-proxy-ca"


@dataclass(frozen=True, kw_only=True)
class CertificateRequest:
    """One certificate that must exist: file stem, subject, and who signs it for what."""

    name: str
    authority: Authority
    common_name: str
    usage: Usage
    organization: str | None = None
    addresses: tuple[str, ...] = ()
    """IP addresses and DNS names a server is reached by."""


_LOOPBACK = ("127.0.0.1", "localhost")


def control_plane_requests(service_address: str) -> tuple[CertificateRequest, ...]:
    """Return every certificate of a control plane. Pure.

    Parameters
    ----------
    service_address
        Address of the Service `kubernetes`: the first of the service network.
    """
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    cluster, etcd = Authority.CLUSTER, Authority.ETCD
    client, server = Usage.CLIENT, Usage.SERVER

    def api_client(name: str, user: str, group: str | None = None) -> CertificateRequest:
        return CertificateRequest(name=name, authority=cluster, common_name=user, usage=client, organization=group)

    return (
        CertificateRequest(
            name="apiserver",
            authority=cluster,
            common_name="kube-apiserver",
            usage=server,
            addresses=(*_LOOPBACK, service_address, *names),
        ),
        # Shared by the two components that serve nothing but metrics and health.
        CertificateRequest(
            name="component", authority=cluster, common_name="component", usage=server, addresses=_LOOPBACK
        ),
        api_client("admin", "labctl-admin", "system:masters"),
        api_client("controller-manager", "system:kube-controller-manager"),
        api_client("scheduler", "system:kube-scheduler"),
        # It plays kubelet for every node and provisioner for every class; a simulator needs no least privilege.
        api_client("kwok", "labctl-kwok", "system:masters"),
        api_client("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
        CertificateRequest(
            name="front-proxy-client", authority=Authority.FRONT_PROXY, common_name="front-proxy-client", usage=client
        ),
        CertificateRequest(
            name="etcd-server", authority=etcd, common_name="etcd", usage=Usage.PEER, addresses=_LOOPBACK
        ),
        CertificateRequest(name="etcd-client", authority=etcd, common_name="labctl-etcd-client", usage=client),
    )


def write_private(path: Path, content: bytes) -> None:
    """Leave `content` at `path`, readable by its owner only, complete or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)


def ensure_pki(
    directory: Path, requests: Iterable[CertificateRequest], *, now: dt.datetime | None = None
) -> tuple[str, ...]:
    """Make what is missing below `directory`, renew what is near its end or asks for other names; return what was made.

    Files are ``<name>.crt`` and ``<name>.key`` (PEM, mode 0600), and ``sa.key``/``sa.pub``, with which tokens of
    service accounts are signed. Authorities and ``sa.key`` are never replaced: all that was given out depends on them.

    Raises
    ------
    DamagedDataError
        A file cannot be parsed, or an authority's certificate is not that of its key.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    moment = now or dt.datetime.now(dt.UTC)
    made: list[str] = []
    authorities = {authority: _ensure_authority(directory, authority, moment, made) for authority in Authority}
    if not (directory / "sa.key").exists():
        write_private(directory / "sa.key", _key_pem(ec.generate_private_key(ec.SECP256R1())))
        made.append("sa")
    public = _load_key(directory / "sa.key").public_key()
    if not (directory / "sa.pub").exists():
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        write_private(directory / "sa.pub", pem)
    for request in requests:
        signer = authorities[request.authority]
        if not _is_current(directory, request, signer, moment):
            _issue(directory, request, signer, moment)
            made.append(request.name)
    return tuple(made)


@dataclass(frozen=True)
class _Signer:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)


def _ensure_authority(directory: Path, authority: Authority, now: dt.datetime, made: list[str]) -> _Signer:
    certificate_path, key_path = directory / f"{authority}.crt", directory / f"{authority}.key"
    if certificate_path.exists() and key_path.exists():
        signer = _Signer(_load_certificate(certificate_path), _load_key(key_path))
        if signer.certificate.public_key() != signer.key.public_key():
            raise DamagedDataError(path=certificate_path, reason=f"it does not belong to {key_path.name}")
        return signer
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"labctl-{authority}")])
    certificate = (
        _builder(name, name, key.public_key(), now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(signs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    # Key first: an interrupted run leaves a key without certificate, which the next run replaces as a whole.
    write_private(key_path, _key_pem(key))
    write_private(certificate_path, certificate.public_bytes(serialization.Encoding.PEM))
    made.append(authority)
    return _Signer(certificate, key)


def _is_current(directory: Path, request: CertificateRequest, signer: _Signer, now: dt.datetime) -> bool:
    certificate_path, key_path = directory / f"{request.name}.crt", directory / f"{request.name}.key"
    if not (certificate_path.exists() and key_path.exists()):
        return False
    try:
        certificate, key = _load_certificate(certificate_path), _load_key(key_path)
        certificate.verify_directly_issued_by(signer.certificate)
    except Exception:  # noqa: BLE001 - whatever is wrong with a leaf certificate, a new one is the remedy
        return False
    return (
        certificate.public_key() == key.public_key()
        and certificate.subject == _subject(request)
        and certificate.not_valid_after_utc - now > RENEW_BEFORE
        and _addresses_of(certificate) == set(request.addresses)
    )


def _addresses_of(certificate: x509.Certificate) -> set[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {*names.get_values_for_type(x509.DNSName), *(str(ip) for ip in names.get_values_for_type(x509.IPAddress))}


def _issue(directory: Path, request: CertificateRequest, signer: _Signer, now: dt.datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    purposes: Mapping[Usage, list[x509.ObjectIdentifier]] = {
        Usage.CLIENT: [ExtendedKeyUsageOID.CLIENT_AUTH],
        Usage.SERVER: [ExtendedKeyUsageOID.SERVER_AUTH],
        Usage.PEER: [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
    }
    builder = _builder(_subject(request), signer.certificate.subject, key.public_key(), now, CERTIFICATE_LIFETIME)
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes[request.usage]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()),
            critical=False,
        )
    )
    if request.addresses:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general_name(a) for a in request.addresses]), critical=False
        )
    certificate = builder.sign(signer.key, hashes.SHA256())
    write_private(directory / f"{request.name}.key", _key_pem(key))
    write_private(directory / f"{request.name}.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: dt.datetime,
    lifetime: dt.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _subject(request: CertificateRequest) -> x509.Name:
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, request.organization)] if request.organization else []
    return x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, request.common_name)])


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise DamagedDataError(path=path, reason=str(error)) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise DamagedDataError(path=path, reason="not an elliptic-curve key")
    return key


def _load_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise DamagedDataError(path=path, reason=str(error)) from error
