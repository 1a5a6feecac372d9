"""One network, or one per family."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from components.addresses import AddressRange
from components.errors import ConfigurationError
from components.networks import DualStack, Networks

if TYPE_CHECKING:
    from components.addresses import AnyAddress

ADAPTER: TypeAdapter[Networks] = TypeAdapter(DualStack)


@pytest.mark.parametrize(
    ("value", "text", "families"),
    [
        ("10.0.0.0/8", "10.0.0.0/8", (4,)),
        (["10.0.0.0/8"], "10.0.0.0/8", (4,)),
        (["fd00::/64", "10.0.0.0/8"], "fd00::/64,10.0.0.0/8", (6, 4)),
    ],
)
def test_order_is_kept(value: str | list[str], text: str, families: tuple[int, ...]) -> None:
    made = ADAPTER.validate_python(value)
    assert (str(made), made.families, made.is_dual) == (text, families, len(families) == 2)
    assert ADAPTER.validate_python(ADAPTER.dump_python(made, mode="json")) == made


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["10.0.0.0/8", "172.16.0.0/12"], "are both IPv4"),
        ([], "one network or two"),
        (["10.0.0.0/8", "fd00::/64", "fd01::/64"], "one network or two"),
        (["10.0.0.1/8"], "bits are set beyond its prefix"),
        (10, "is not a network in CIDR notation"),
        ([["10.0.0.0/8"]], "is not a network in CIDR notation"),
        ({"ipv4": "10.0.0.0/8"}, "is not a network in CIDR notation"),
    ],
)
def test_what_is_refused(value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ADAPTER.validate_python(value)
    with pytest.raises(ConfigurationError, match=message):
        Networks.parse(value)


def test_of_each_family() -> None:
    both = Networks.of("10.0.0.0/8", "fd00::/64")
    assert (both.of_family(6), Networks.of("10.0.0.0/8").of_family(6)) == (ip_network("fd00::/64"), None)
    assert ip_address("10.1.2.3") in both
    assert ip_address("fd00::1") in both
    assert ip_address("fd01::1") not in both
    assert both.overlaps(ip_network("fd00::/32"))
    assert not both.overlaps(ip_network("192.0.2.0/24"))


addresses = st.ip_addresses(v=4) | st.ip_addresses(v=6)


@given(addresses, st.sampled_from([Networks.of("0.0.0.0/1", "::/1"), Networks.of("0.0.0.0/1"), Networks.of("::/1")]))
def test_a_range_is_held_by_the_network_of_its_family(address: AnyAddress, networks: Networks) -> None:
    held = AddressRange.parse(f"{address}-{address}")
    assert networks.hold(held) == (address in networks)
    assert networks.overlaps(held) == networks.hold(held)
