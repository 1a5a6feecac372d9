from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from components.addresses import Address, AddressRange, Cidr, DnsLabel, DnsName, HostKey, parse_address
from components.errors import ConfigurationError
from components.images import ImageReference
from components.labels import LabelKey, LabelValue

DIGEST = f"sha256:{'a' * 64}"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICQ5h0WpOOUL5c+6YPQkmCkQNyu8U71JlFTv6/DxtS5V"

addresses = st.ip_addresses(v=4)
ranges = st.tuples(addresses, addresses).map(lambda ends: AddressRange(min(ends), max(ends)))


@given(ranges, ranges)
def test_overlap_is_symmetric_and_means_a_shared_end(one: AddressRange, other: AddressRange) -> None:
    assert one.overlaps(other) == other.overlaps(one)
    assert one.overlaps(other) == any((one.first in other, one.last in other, other.first in one))


@given(ranges)
def test_a_range_renders_and_reads_back(addresses: AddressRange) -> None:
    assert AddressRange.parse(str(addresses)) == addresses
    assert addresses.count >= 1


def test_ranges_and_networks() -> None:
    pool = AddressRange.parse("192.0.2.200-192.0.2.210")
    assert pool.within(ipaddress.ip_network("192.0.2.0/24"))
    assert not pool.within(ipaddress.ip_network("192.0.2.192/28"))
    assert pool.overlaps(ipaddress.ip_network("192.0.2.192/28"))
    assert not pool.overlaps(ipaddress.ip_network("2001:db8::/32"))
    assert AddressRange.parse("192.0.2.8/30").count == 4
    assert parse_address("2001:db8::1") not in pool


@pytest.mark.parametrize("text", ["192.0.2.9-192.0.2.1", "192.0.2.1", "192.0.2.1-2001:db8::1", "a-b", "1-2-3", ""])
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(ConfigurationError):
        AddressRange.parse(text)


@pytest.mark.parametrize(
    ("kind", "right"),
    [
        (Cidr, ["192.0.2.0/24", "2001:db8::/64", "10.0.0.0/8"]),
        (Address, ["192.0.2.1", "2001:db8::1"]),
        (DnsLabel, ["a", "gpu-1", "a" * 63]),
        (DnsName, ["hub.lab.example.org", "localhost"]),
        (HostKey, [KEY]),
        (LabelKey, ["rack", "lab.example.org/rack"]),
        (LabelValue, ["", "r1", "A.b_c-d"]),
        (ImageReference, [f"quay.io/jupyter/minimal-notebook:2026-03-23@{DIGEST}", f"localhost:5000/a/b@{DIGEST}"]),
    ],
)
def test_right(kind: type[object], right: list[str]) -> None:
    adapter = TypeAdapter(kind)
    for text in right:
        assert adapter.dump_python(adapter.validate_python(text), mode="json") == text


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Cidr, ["192.0.2.1/24", "192.0.2.0", "192.0.2.0/33", 24]),
        (Address, ["192.0.2.1/24", "192.0.2", "host", 3221225985]),
        (DnsLabel, ["", "-a", "A", "a.b", "a" * 64, "a\n"]),
        (DnsName, ["", "a..b", ".a", "a.", f"{'a' * 63}." * 4 + "a"]),
        (HostKey, ["", "ssh-ed25519", "ssh-ed25519 AAAA", KEY.replace("ssh-ed25519", "ssh-rsa", 1), "ssh-dss AAAA"]),
        (LabelKey, ["", "a/b/c", "Example.org/rack", "/rack"]),
        (LabelValue, ["a b", "-a", "a" * 64]),
        (
            ImageReference,
            ["jupyter/minimal-notebook:1", f"minimal@{DIGEST}", "quay.io/a:latest", f"quay.io/A@{DIGEST}"],
        ),
    ],
)
def test_wrong(kind: type[object], wrong: list[object]) -> None:
    adapter = TypeAdapter(kind)
    for text in wrong:
        with pytest.raises(ValidationError):
            adapter.validate_python(text)


def test_the_comment_of_a_host_key_is_dropped() -> None:
    assert TypeAdapter(HostKey).validate_python(f"{KEY} root@gpu-1") == KEY


def test_parts_of_an_image() -> None:
    image = ImageReference.parse(f"quay.io/jupyter/minimal-notebook:2026-03-23@{DIGEST}")
    assert image.name == "quay.io/jupyter/minimal-notebook"
    assert image.tag_and_digest == f"2026-03-23@{DIGEST}"
    with pytest.raises(ConfigurationError, match="with a tag"):
        _ = ImageReference.parse(f"quay.io/jupyter/minimal-notebook@{DIGEST}").tag_and_digest
