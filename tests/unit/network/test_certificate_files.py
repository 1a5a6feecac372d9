"""Certificates as files: what is read out of them, and what is refused before anything is touched."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from lab_authority import Authority

from components.network.certificate_files import chain_faults, check_keys, covers, key_fault
from components.network.checks import Machines, check
from components.network.errors import CertificateKeyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from components.model import Value
    from components.network.config import NetworkConfig


def faults(chain: str, hostname: str = "hub.lab.org", **in_days: int) -> list[str]:
    now = dt.datetime.now(dt.UTC) + dt.timedelta(**in_days) if in_days else None
    return [fault.what for fault in chain_faults(chain, hostname, now)]


def test_a_chain_up_to_an_intermediate_is_right(authority: Authority) -> None:
    intermediate = Authority("Intermediate", signed_by=authority)
    own, _ = intermediate.issue("hub.lab.org")
    assert faults(own) == []
    assert faults(own + intermediate.certificate) == []
    assert faults(own + intermediate.certificate + authority.certificate) == []


def test_certificates_are_in_the_order_of_their_signatures(authority: Authority) -> None:
    intermediate = Authority("Intermediate", signed_by=authority)
    own, _ = intermediate.issue("hub.lab.org")
    assert faults(own + authority.certificate) == ["CN=hub.lab.org is not signed by CN=Lab CA, which follows it"]
    assert "the first certificate is an authority's" in faults(intermediate.certificate + own)


def test_another_authority_of_the_same_name_did_not_sign(authority: Authority) -> None:
    own, _ = authority.issue("hub.lab.org")
    assert faults(own + Authority().certificate) == ["CN=hub.lab.org is not signed by CN=Lab CA, which follows it"]


@pytest.mark.parametrize(("days", "found"), [(-2, "is not valid before"), (0, None), (89, None), (91, "ran out on")])
def test_time(authority: Authority, days: int, found: str | None) -> None:
    own, _ = authority.issue("hub.lab.org")
    told = faults(own, days=days)
    assert told == [] if found is None else found in told[0]


def test_an_intermediate_that_ran_out_is_found_too(authority: Authority) -> None:
    intermediate = Authority("Intermediate", signed_by=authority)
    own, _ = intermediate.issue("hub.lab.org", days=(-1, 5000))
    assert [text.split(" ran")[0] for text in faults(own + intermediate.certificate, days=4000)] == ["CN=Intermediate"]


@pytest.mark.parametrize(
    ("names", "hostname", "right"),
    [
        (("hub.lab.org",), "hub.lab.org", True),
        (("www.lab.org", "hub.lab.org"), "hub.lab.org", True),
        (("*.lab.org",), "hub.lab.org", True),
        (("*.LAB.org",), "hub.lab.org", True),
        (("*.lab.org",), "a.hub.lab.org", False),
        (("*.lab.org",), "lab.org", False),
        (("hub.lab.org",), "*.lab.org", False),
        (("*.lab.org",), "*.lab.org", True),
        (("www.lab.org",), "hub.lab.org", False),
    ],
)
def test_the_name(authority: Authority, names: tuple[str, ...], hostname: str, *, right: bool) -> None:
    assert covers(names, hostname) == right
    chain, _ = authority.issue(*names)
    assert bool(faults(chain, hostname)) != right


labels = st.from_regex(r"[a-z]{1,4}", fullmatch=True)


@given(st.lists(labels, min_size=1, max_size=4), st.lists(labels, min_size=1, max_size=4))
def test_a_wildcard_stands_for_exactly_one_label(parent: list[str], name: list[str]) -> None:
    domain, hostname = ".".join(parent), ".".join(name)
    assert covers([f"*.{domain}"], hostname) == (name[1:] == parent)


def test_the_common_name_is_no_name(authority: Authority) -> None:
    chain, _ = authority.issue()
    assert faults(chain) == ["it is for no DNS name at all, and not for hub.lab.org"]


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "certificate"])
def test_what_is_none_is_told(text: str) -> None:
    assert faults(text) == ["it holds no certificate that can be read"]


def test_keys(authority: Authority) -> None:
    chain, key = authority.issue("hub.lab.org")
    _, other = authority.issue("hub.lab.org")
    assert key_fault(chain, key) is None
    assert key_fault(chain + authority.certificate, key) is None
    assert key_fault(chain, other) == "is not the one of its certificate"
    assert key_fault(chain, chain) == "is no private key in PEM"
    sealed = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
    )
    assert "is encrypted" in str(key_fault(chain, sealed.decode()))


@pytest.fixture
def with_file(network: Callable[..., NetworkConfig]) -> Callable[[str], NetworkConfig]:
    def section(chain: str) -> NetworkConfig:
        file: Mapping[str, Value] = {"chain": chain, "privateKey": {"secret": "hubTlsKey"}}
        return network(certificates={"kind": "files", "services": {"hub": file}})

    return section


def test_a_section_with_files(with_file: Callable[[str], NetworkConfig], authority: Authority) -> None:
    chain, _ = authority.issue("hub.lab.org")
    assert list(check(with_file(chain), Machines())) == []
    (problem,) = check(with_file(authority.issue("www.lab.org")[0]), Machines())
    assert problem.path == ("certificates", "services", "hub", "chain")


def test_a_wrong_key_is_refused_without_showing_it(
    with_file: Callable[[str], NetworkConfig], authority: Authority
) -> None:
    chain, key = authority.issue("hub.lab.org")
    _, other = authority.issue("hub.lab.org")
    check_keys(with_file(chain), {"hubTlsKey": key}.get)
    # A preview without secrets has nothing to compare.
    check_keys(with_file(chain), cast("Mapping[str, str]", {}).get)
    with pytest.raises(CertificateKeyError) as caught:
        check_keys(with_file(chain), {"hubTlsKey": other}.get)
    assert "network.certificates.services.hub" in str(caught.value)
    assert "hubTlsKey is not the one of its certificate" in str(caught.value)
    assert not any(line in str(caught.value) for line in other.splitlines() if len(line) > 20)


def test_the_lab_s_authority_has_to_be_one(network: Callable[..., NetworkConfig], authority: Authority) -> None:
    def section(certificate: str) -> NetworkConfig:
        given = {"kind": "lab-ca", "certificate": certificate, "privateKey": {"secret": "labCaKey"}}
        return network(certificates=given)

    assert list(check(section(authority.certificate), Machines())) == []
    (problem,) = check(section(authority.issue("hub.lab.org")[0]), Machines())
    assert problem.path == ("certificates", "certificate")
    _, other = authority.issue("hub.lab.org")
    with pytest.raises(
        CertificateKeyError, match=r"network\.certificates\.certificate: the private key under labCaKey"
    ):
        check_keys(section(authority.certificate), {"labCaKey": other}.get)


def test_other_kinds_have_no_keys_to_check(network: Callable[..., NetworkConfig]) -> None:
    check_keys(network(), cast("Mapping[str, str]", {}).get)
