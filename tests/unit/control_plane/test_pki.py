"""The certificates: who signed them, for whom, how long, and that the next start keeps them."""

import datetime as dt
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from labctl.control_plane.errors import DamagedDataError
from labctl.control_plane.pki import (
    CERTIFICATE_LIFETIME,
    RENEW_BEFORE,
    Authority,
    Usage,
    control_plane_requests,
    ensure_pki,
)

REQUESTS = control_plane_requests("10.96.0.1")
NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def load(directory: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / f"{name}.crt").read_bytes())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    ensure_pki(directory, REQUESTS, now=NOW)
    return directory


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.name)
def test_each_certificate_is_its_authoritys_for_its_use(made: Path, request_: object) -> None:
    (wanted,) = [request for request in REQUESTS if request is request_]
    certificate = load(made, wanted.name)
    certificate.verify_directly_issued_by(load(made, wanted.authority))
    for other in set(Authority) - {wanted.authority}:
        with pytest.raises(Exception):  # noqa: B017, PT011 - cryptography raises several kinds
            certificate.verify_directly_issued_by(load(made, other))
    usages = set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    client, server = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
    assert usages == {Usage.CLIENT: {client}, Usage.SERVER: {server}, Usage.PEER: {client, server}}[wanted.usage]
    assert certificate.not_valid_after_utc - NOW == CERTIFICATE_LIFETIME
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_api_server_answers_for_all_its_names(made: Path) -> None:
    names = load(made, "apiserver").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(ip) for ip in names.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "10.96.0.1"}
    assert {"localhost", "kubernetes.default.svc"} <= set(names.get_values_for_type(x509.DNSName))


@pytest.mark.parametrize(
    ("name", "user", "group"),
    [
        ("admin", "labctl-admin", "system:masters"),
        ("controller-manager", "system:kube-controller-manager", None),
        ("scheduler", "system:kube-scheduler", None),
    ],
)
def test_clients_are_who_rbac_expects(made: Path, name: str, user: str, group: str | None) -> None:
    subject = load(made, name).subject
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [user]
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ([group] if group else [])


def test_openssl_loads_every_pair_and_files_are_private(made: Path) -> None:
    for request in REQUESTS:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_cert_chain(made / f"{request.name}.crt", made / f"{request.name}.key")
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.iterdir()} == {0o600}
    assert {path.suffix for path in made.iterdir()} == {".crt", ".key", ".pub"}


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_next_start_changes_nothing(tmp_path: Path) -> None:
    assert set(ensure_pki(tmp_path, REQUESTS, now=NOW)) == {"sa", *Authority, *(request.name for request in REQUESTS)}
    before = contents(tmp_path)
    assert ensure_pki(tmp_path, REQUESTS, now=NOW + dt.timedelta(days=100)) == ()
    assert contents(tmp_path) == before


def test_near_their_end_certificates_are_renewed_and_authorities_stay(tmp_path: Path) -> None:
    ensure_pki(tmp_path, REQUESTS, now=NOW)
    before = contents(tmp_path)
    later = NOW + CERTIFICATE_LIFETIME - RENEW_BEFORE + dt.timedelta(seconds=1)
    assert set(ensure_pki(tmp_path, REQUESTS, now=later)) == {request.name for request in REQUESTS}
    after = contents(tmp_path)
    kept = {name for name in before if before[name] == after[name]}
    assert kept == {"sa.key", "sa.pub", *(f"{authority}{end}" for authority in Authority for end in (".crt", ".key"))}
    load(tmp_path, "apiserver").verify_directly_issued_by(load(tmp_path, "ca"))


def test_other_addresses_mean_a_new_certificate_for_that_server_alone(tmp_path: Path) -> None:
    ensure_pki(tmp_path, REQUESTS, now=NOW)
    assert ensure_pki(tmp_path, control_plane_requests("10.112.0.1"), now=NOW) == ("apiserver",)


@pytest.mark.parametrize("name", ["admin.key", "admin.crt"])
def test_what_an_interrupted_run_left_half_done_is_made_again(tmp_path: Path, name: str) -> None:
    ensure_pki(tmp_path, REQUESTS, now=NOW)
    (tmp_path / name).unlink()
    assert ensure_pki(tmp_path, REQUESTS, now=NOW) == ("admin",)
    (tmp_path / name).write_text("cut off")
    assert ensure_pki(tmp_path, REQUESTS, now=NOW) == ("admin",)


def test_an_authority_cut_off_between_key_and_certificate_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "ca.key").write_text("the key of an authority nobody has used")
    ensure_pki(tmp_path, REQUESTS, now=NOW)
    load(tmp_path, "admin").verify_directly_issued_by(load(tmp_path, "ca"))


@pytest.mark.parametrize("name", ["ca.crt", "ca.key", "sa.key"])
def test_a_damaged_authority_is_named_and_not_replaced(tmp_path: Path, name: str) -> None:
    ensure_pki(tmp_path, REQUESTS, now=NOW)
    (tmp_path / name).write_text("damaged")
    with pytest.raises(DamagedDataError, match=name):
        ensure_pki(tmp_path, REQUESTS, now=NOW)
    assert (tmp_path / name).read_text() == "damaged"


def test_an_authority_with_anothers_key_is_named(tmp_path: Path) -> None:
    ensure_pki(tmp_path, REQUESTS, now=NOW)
    (tmp_path / "ca.key").write_bytes((tmp_path / "etcd-ca.key").read_bytes())
    with pytest.raises(DamagedDataError, match=r"ca\.crt.*does not belong"):
        ensure_pki(tmp_path, REQUESTS, now=NOW)
