"""Everything that can be wrong between the fields of a network section."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_address
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.network.checks import check
from components.network.config import NetworkConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.model import Value

HOSTS = {"cp-1": ip_address("192.0.2.11"), "worker-1": ip_address("192.0.2.31")}


def pools(*ranges: str) -> dict[str, Value]:
    return {"pools": [{"name": f"pool-{index}", "addresses": [text]} for index, text in enumerate(ranges)]}


def test_the_lab_s_section_is_right(network: Callable[..., NetworkConfig]) -> None:
    assert list(check(network(), HOSTS)) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"services": "10.244.128.0/20"}, "services: 10.244.128.0/20 overlaps the network of pods, 10.244.0.0/16"),
        ({"pods": "192.0.0.0/16"}, "hosts: 192.0.2.0/24 overlaps the network of pods, 192.0.0.0/16"),
        ({"services": "10.0.0.0/9", "pods": "172.16.0.0/16"}, "services: 10.0.0.0/9 is larger than the API server"),
        ({"pods": "fd00::/48"}, "services: 10.96.0.0/16 is IPv4 and pods are IPv6"),
        ({"pods": "10.244.0.0/26"}, "pods: 10.244.0.0/26 has 1 blocks of /26, and 2 hosts need one each"),
        ({"cni": {"blockSize": 120}}, "cni.blockSize: a block of /120 is not one of an IPv4 pool; write 20 to 32"),
        ({"loadBalancer": pools("192.0.2.30-192.0.2.40")}, "192.0.2.30-192.0.2.40 holds 192.0.2.31, the address of"),
        (
            {"loadBalancer": pools("192.0.2.200/31", "192.0.2.201-192.0.2.205")},
            "loadBalancer.pools[1].addresses[0]: 192.0.2.201-192.0.2.205 overlaps 192.0.2.200-192.0.2.201",
        ),
        ({"loadBalancer": pools("192.0.3.1/32")}, "192.0.3.1-192.0.3.1 is not inside the hosts' network 192.0.2.0/24"),
        ({"loadBalancer": pools("10.244.1.0/24")}, "overlaps the network of pods, 10.244.0.0/16"),
        (
            {"loadBalancer": {"pools": [{"name": "a", "addresses": ["192.0.2.200/31"]}] * 2}},
            "loadBalancer.pools[1].name: there are two pools named a",
        ),
        ({"gateway": {"address": "192.0.2.99"}}, "gateway.address: 192.0.2.99 is in none of the pools"),
        ({"certificates": None}, "gateway: the gateway has nothing to serve HTTPS with"),
        ({"hostnames": {}}, "hostnames: the gateway has no host name to serve"),
        ({"gateway": None}, "hostnames: nothing serves these host names"),
        ({"hostnames": {"hub": "a.lab.org", "grafana": "a.lab.org"}}, "hostnames.hub: a.lab.org names 2 services"),
        ({"hostnames": {"hub": "hub.lab.internal"}}, "hostnames.hub: no ACME server certifies hub.lab.internal"),
        ({"hostnames": {"hub": "hub"}}, "hostnames.hub: no ACME server certifies hub"),
        (
            {"use": {"gateway": {"name": "lab", "namespace": "gateway-prod", "className": "envoy"}, "issuer": "lab"}},
            "gateway: the gateway is both built here and used from another stack",
        ),
    ],
)
def test_what_is_wrong_and_where(
    network: Callable[..., NetworkConfig], changes: dict[str, Value], problem: str
) -> None:
    found = [str(entry) for entry in check(network(**changes), HOSTS)]
    assert any(problem in entry for entry in found), found


def test_private_names_are_right_for_certificates_of_one_s_own(network: Callable[..., NetworkConfig]) -> None:
    section = network(hostnames={"hub": "hub.lab.internal"}, certificates={"kind": "self-signed"})
    assert list(check(section, HOSTS)) == []


def test_ipv6_only_is_right_too(network: Callable[..., NetworkConfig]) -> None:
    section = network(
        pods="fd00:10:244::/56",
        services="fd00:10:96::/112",
        hosts="2001:db8:1::/64",
        loadBalancer={"pools": [{"name": "lab", "addresses": ["2001:db8:1::200-2001:db8:1::210"]}]},
        gateway={"address": "2001:db8:1::200"},
    )
    assert list(check(section, {"cp-1": ip_address("2001:db8:1::11")})) == []
    small = section.model_copy(update={"cni": section.cni.model_copy(update={"host_mtu_bytes": 1300})}
                               if section.cni else {})  # fmt: skip
    assert [entry.path for entry in check(small, {})] == [("cni", "hostMtuBytes")]


def network_around(address: int, prefix: int) -> IPv4Network:
    return IPv4Network((address, prefix), strict=False)


networks = st.builds(
    network_around,
    st.integers(min_value=int(ip_address("10.0.0.0")), max_value=int(ip_address("10.255.255.255"))),
    st.integers(min_value=12, max_value=22),
)


@given(pods=networks, services=networks, hosts=networks)
def test_networks_are_right_exactly_if_disjoint(pods: IPv4Network, services: IPv4Network, hosts: IPv4Network) -> None:
    config = NetworkConfig.model_validate({"pods": str(pods), "services": str(services), "hosts": str(hosts)})
    three = (config.pods, config.services, config.hosts)
    shared = {
        (first, second)
        for index, first in enumerate(three)
        for second in three[index + 1 :]
        if int(first[0]) <= int(second[-1]) and int(second[0]) <= int(first[-1])
    }
    assert bool(list(check(config, {}))) == bool(shared)


@given(
    first=st.integers(min_value=1, max_value=250),
    length=st.integers(min_value=0, max_value=4),
    host=st.integers(min_value=1, max_value=254),
)
def test_a_pool_never_holds_a_host(first: int, length: int, host: int) -> None:
    config = NetworkConfig.model_validate(
        {
            "pods": "10.244.0.0/16",
            "services": "10.96.0.0/16",
            "hosts": "192.0.2.0/24",
            "loadBalancer": pools(f"192.0.2.{first}-192.0.2.{first + length}"),
        }
    )
    found = list(check(config, {"h": ip_address(f"192.0.2.{host}")}))
    assert bool(found) == (first <= host <= first + length)
