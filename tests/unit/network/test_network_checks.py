"""Everything that can be wrong between the fields of a network section."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.network.checks import Machine, Machines, check
from components.network.config import NetworkConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.model import Value


def machines(*addresses: str, endpoint: str | None = None) -> Machines:
    """Return nodes with one address each, or two with a comma between."""
    return Machines(
        hosts={
            f"host-{index}": Machine(addresses=tuple(ip_address(one) for one in text.split(",")))
            for index, text in enumerate(addresses)
        },
        endpoint=None if endpoint is None else ip_address(endpoint),
    )


HOSTS = machines("192.0.2.11", "192.0.2.31")


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
        ({"pods": "fd00::/48"}, "services: 10.96.0.0/16 is IPv4 and the first network of pods is IPv6"),
        (
            {"pods": ["10.244.0.0/16", "fd00::/48"]},
            "services: pods have a network of each family and services only one",
        ),
        (
            {"services": ["10.96.0.0/16", "fd00::/112"]},
            "pods: services have a network of each family and pods only one",
        ),
        ({"pods": "10.244.0.0/26"}, "pods: 10.244.0.0/26 has 1 blocks of /26, fewer than there are nodes (2)"),
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
        (
            {"services": "10.96.0.0/29"},
            "services: 10.96.0.0/29 has 8 addresses, and the cluster's own services take ten",
        ),
        ({"dhcp": ["192.0.2.210/31"]}, "192.0.2.200-192.0.2.219 overlaps the DHCP range 192.0.2.210-192.0.2.211"),
        (
            {"dhcp": ["192.0.2.2-192.0.2.20"]},
            "dhcp[0]: 192.0.2.2-192.0.2.20 holds 192.0.2.11, the address of host host-0",
        ),
        ({"management": ["10.244.7.0/24"]}, "management[0]: 10.244.7.0/24 overlaps the network of pods, 10.244.0.0/16"),
        (
            {"reserved": {"vpn": "10.0.0.0/8"}},
            "reserved.vpn: 10.0.0.0/8 overlaps the network of services, 10.96.0.0/16",
        ),
        ({"management": ["192.0.2.192/26"]}, "192.0.2.200-192.0.2.219 overlaps the network of management"),
        ({"pods": "127.1.0.0/16"}, "pods: 127.1.0.0/16 is a loopback network"),
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


def test_both_families_are_right(dual_stack: Callable[..., NetworkConfig]) -> None:
    assert list(check(dual_stack(), machines("192.0.2.11,2001:db8:1::11"))) == []


@pytest.mark.parametrize(
    ("pods", "wrong"),
    [
        (["10.0.0.0/8", "fd00::/48"], []),
        (["10.1.2.0/24", "fd00::/64"], []),
        (["10.0.0.0/7", "fd00::/47"], [0, 1]),
        (["10.1.2.0/25", "fd00::/65"], [0, 1]),
    ],
)
def test_kubeadm_has_bounds_of_its_own(
    dual_stack: Callable[..., NetworkConfig], pods: list[str], wrong: list[int]
) -> None:
    nodes = machines("192.0.2.11,2001:db8:1::11")
    section = dual_stack(pods=pods, services=["172.16.0.0/16", "fd01::/112"])
    assert list(check(section, nodes)) == []
    made = replace(nodes, is_bootstrapped=True)
    assert [entry.path for entry in check(section, made)] == [("pods", index) for index in wrong]


def test_ipv6_may_be_the_first(dual_stack: Callable[..., NetworkConfig]) -> None:
    section = dual_stack(
        pods=["fd00:10:244::/56", "10.244.0.0/16"],
        services=["fd00:10:96::/112", "10.96.0.0/16"],
        hosts=["2001:db8:1::/64", "192.0.2.0/24"],
        gateway={"address": "2001:db8:1::200", "secondAddress": "192.0.2.200"},
    )
    assert list(check(section, machines("2001:db8:1::11,192.0.2.11"))) == []


def test_ipv6_alone_is_refused_by_name(network: Callable[..., NetworkConfig]) -> None:
    section = network(
        pods="fd00:10:244::/56",
        services="fd00:10:96::/112",
        hosts="2001:db8:1::/64",
        loadBalancer={"pools": [{"name": "lab", "addresses": ["2001:db8:1::200-2001:db8:1::210"]}]},
        gateway={"address": "2001:db8:1::200"},
    )
    (problem,) = check(section, machines("2001:db8:1::11"))
    assert problem.path == ("pods",)
    assert "DNS64 and NAT64" in problem.what


@pytest.mark.parametrize(
    ("changes", "hosts", "problem"),
    [
        ({"hosts": "192.0.2.0/24"}, HOSTS, "hosts: pods and services have both families, and the hosts only one"),
        (
            {},
            machines("192.0.2.11", "192.0.2.12,2001:db8:1::12"),
            "hosts[1]: the cluster has both families, and host-0 no",
        ),
        (
            {},
            machines("192.0.2.11,2001:db8:1::201"),
            "holds 2001:db8:1::201, the address of host host-0, second address",
        ),
        (
            {"pods": ["10.244.0.0/16", "2001:db8:1:0::/72"]},
            HOSTS,
            "hosts[1]: 2001:db8:1::/64 overlaps the network of pods",
        ),
        (
            {"services": ["10.96.0.0/16", "fd00:10:96::/64"]},
            HOSTS,
            "services[1]: fd00:10:96::/64 is larger than the API",
        ),
        (
            {"services": ["fd00:10:96::/112", "10.96.0.0/16"]},
            HOSTS,
            "services[0]: fd00:10:96::/112 is IPv6 and the first",
        ),
        ({"cni": {"blockSize": 26}}, HOSTS, "cni.blockSize: 26 does not say of which of the two pod networks"),
        (
            {"pods": ["10.244.0.0/16", "fd00::/122"]},
            machines("192.0.2.11", "192.0.2.12"),
            "pods[1]: fd00::/122 has 1 blocks",
        ),
        ({"cni": {"hostMtuBytes": 1349}}, HOSTS, "cni.hostMtuBytes: 1349 bytes leave pods less than the 1280"),
        ({"gateway": {"address": "192.0.2.200", "secondAddress": "2001:db8:1::9"}}, HOSTS, "2001:db8:1::9 is in none"),
        ({"gateway": {"secondAddress": "2001:db8:1::200"}}, HOSTS, "is not the other family's of a dual-stack gateway"),
    ],
)
def test_what_is_wrong_with_two_families(
    dual_stack: Callable[..., NetworkConfig], changes: dict[str, Value], hosts: Machines, problem: str
) -> None:
    found = [str(entry) for entry in check(dual_stack(**changes), hosts)]
    assert any(problem in entry for entry in found), found


def test_smallest_packets_of_ipv6_fit(dual_stack: Callable[..., NetworkConfig]) -> None:
    hosts = machines("192.0.2.11,2001:db8:1::11")
    assert list(check(dual_stack(cni={"hostMtuBytes": 1350}), hosts)) == []
    assert list(check(dual_stack(cni={"hostMtuBytes": 1280, "encapsulation": "None"}), hosts)) == []


@pytest.mark.parametrize(("mtu", "is_node", "wrong"), [(1500, True, True), (9000, True, False), (1500, False, False)])
def test_only_nodes_carry_pods_packets(
    network: Callable[..., NetworkConfig], *, mtu: int, is_node: bool, wrong: bool
) -> None:
    hosts = Machines(
        hosts={
            "worker-1": Machine(addresses=(ip_address("192.0.2.31"),)),
            "other": Machine(addresses=(ip_address("192.0.2.32"),), is_node=is_node, mtu_bytes=mtu),
        }
    )
    found = [str(entry) for entry in check(network(cni={"hostMtuBytes": 9000}), hosts)]
    assert bool(found) == wrong
    assert all(
        "cni.hostMtuBytes: packets of 9000 bytes do not fit the interfaces of other (1500)" in text for text in found
    )


def test_the_lab_s_other_networks_may_lie_in_one_another(network: Callable[..., NetworkConfig]) -> None:
    section = network(reserved={"campus": "198.51.100.0/24", "vpn": "198.51.100.64/26"}, management=["198.51.100.0/26"])
    assert list(check(section, HOSTS)) == []


@pytest.mark.parametrize(
    ("pools", "gateway", "problem"),
    [
        ([("a", "192.0.2.200/30", False)], {}, "gateway: no pool gives addresses unasked"),
        ([("a", "192.0.2.200/30", False)], {"pool": "a"}, None),
        ([("a", "192.0.2.200/30", False)], {"address": "192.0.2.201"}, None),
        ([("a", "192.0.2.200/30", True)], {"pool": "b"}, "gateway.pool: there is no pool b; name one of a"),
        (
            [("a", "192.0.2.200/30", True), ("b", "192.0.2.204/30", True)],
            {"pool": "a", "address": "192.0.2.205"},
            "gateway.address: 192.0.2.205 is not in its pool; write an address of 192.0.2.200-192.0.2.203",
        ),
        ([("a", "192.0.2.252/30", True)], {}, "holds 192.0.2.255, the broadcast address of 192.0.2.0/24"),
        ([("a", "192.0.2.0-192.0.2.3", True)], {}, "holds 192.0.2.0, the network address of 192.0.2.0/24"),
    ],
)
def test_the_gateway_gets_an_address(
    network: Callable[..., NetworkConfig],
    pools: list[tuple[str, str, bool]],
    gateway: dict[str, Value],
    problem: str | None,
) -> None:
    balancer: Value = {
        "pools": [{"name": name, "addresses": [text], "automatic": automatic} for name, text, automatic in pools]
    }
    found = [str(entry) for entry in check(network(loadBalancer=balancer, gateway=gateway), HOSTS)]
    assert found == [] if problem is None else any(problem in entry for entry in found), found


@pytest.mark.parametrize(
    ("address", "problem"),
    [("192.0.2.31", "is already the address of host host-1"), ("192.0.2.120", "lies in the DHCP range"),
     ("192.0.2.10", "is already the address of the API server"), ("192.0.2.200", None)],
)  # fmt: skip
def test_the_gateway_of_an_adopted_cluster_takes_nobody_s_address(
    network: Callable[..., NetworkConfig], address: str, problem: str | None
) -> None:
    section = network(loadBalancer=None, gateway={"address": address}, dhcp=["192.0.2.100-192.0.2.199"])
    found = [str(entry) for entry in check(section, machines("192.0.2.11", "192.0.2.31", endpoint="192.0.2.10"))]
    assert found == [] if problem is None else problem in found[0], found


ACME: dict[str, Value] = {"kind": "acme", "email": "a@lab.org"}
DNS_SOLVER: Value = {"kind": "cloudflare", "token": {"secret": "cloudflareToken"}}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"hostnames": {"apps": "*.lab.org"}},
            "hostnames.apps: *.lab.org is a wildcard, which no file on a web server",
        ),
        ({"hostnames": {"apps": "*.lab.org"}, "certificates": {**ACME, "solver": DNS_SOLVER}}, None),
        ({"hostnames": {"apps": "*.lab.org"}, "certificates": {"kind": "self-signed"}}, None),
        (
            {"hostnames": {"hub": "*.lab.org"}, "certificates": {"kind": "self-signed"}},
            "write one, such as hub.lab.org",
        ),
        (
            {"hostnames": {"hub": "hub.lab.internal"}, "certificates": {**ACME, "serverNetworks": ["198.51.100.0/28"]}},
            None,
        ),
        ({"gateway": None, "hostnames": {}}, "certificates: names are to be proved over HTTP, and there is no gateway"),
        ({"gateway": None, "hostnames": {}, "certificates": {**ACME, "solver": DNS_SOLVER}}, None),
    ],
)
def test_names_that_are_proved(
    network: Callable[..., NetworkConfig], changes: dict[str, Value], problem: str | None
) -> None:
    found = [str(entry) for entry in check(network(**changes), HOSTS)]
    assert found == [] if problem is None else any(problem in entry for entry in found), found


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
    three = (config.pods.primary, config.services.primary, config.hosts.primary)
    shared = {
        (first, second)
        for index, first in enumerate(three)
        for second in three[index + 1 :]
        if int(first[0]) <= int(second[-1]) and int(second[0]) <= int(first[-1])
    }
    assert bool(list(check(config, Machines()))) == bool(shared)


@given(
    first=st.integers(min_value=1, max_value=249),
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
    found = list(check(config, machines(f"192.0.2.{host}")))
    assert bool(found) == (first <= host <= first + length)


@st.composite
def networks_of(draw: st.DrawFn, family: type[IPv4Network | IPv6Network], base: str, bits: int) -> str:
    """Draw a network of a small space, so that two often meet: `bits` of addresses, prefixes in the upper half."""
    around = family(base)
    offset = draw(st.integers(min_value=0, max_value=2**bits - 1))
    prefix = draw(st.integers(around.max_prefixlen - bits, around.max_prefixlen - bits // 2))
    return str(family((int(around[0]) + offset, prefix), strict=False))


fours = networks_of(IPv4Network, "10.0.0.0/12", 16)
sixes = networks_of(IPv6Network, "fd00::/112", 16)
pairs = st.tuples(fours, sixes)


@given(pods=pairs, services=pairs, hosts=pairs, management=st.lists(fours, max_size=2), reserved=st.none() | sixes)
def test_dual_stack_is_right_exactly_if_all_networks_of_the_cluster_s_are_disjoint(
    pods: tuple[str, str],
    services: tuple[str, str],
    hosts: tuple[str, str],
    management: list[str],
    reserved: str | None,
) -> None:
    others = [*management, *([] if reserved is None else [reserved])]
    config = NetworkConfig.model_validate(
        {
            "pods": list(pods),
            "services": list(services),
            "hosts": list(hosts),
            "management": management,
            "reserved": {} if reserved is None else {"other": reserved},
        }
    )
    own = [set_of(text) for text in (*pods, *services, *hosts)]
    meet = any(one & other for one, other in combinations(own, 2)) or any(
        one & set_of(text) for one in own for text in others
    )
    assert bool(list(check(config, Machines()))) == meet


def set_of(text: str) -> Span:
    network = ip_network(text)
    return Span(network.version, int(network[0]), int(network[-1]))


@dataclass(frozen=True)
class Span:
    """Numbers from first to last of a family: overlap by another way than the checks'."""

    version: int
    first: int
    last: int

    def __and__(self, other: Span) -> bool:
        return self.version == other.version and max(self.first, other.first) <= min(self.last, other.last)


last_bytes = st.integers(min_value=1, max_value=254)


@given(pool=st.tuples(last_bytes, last_bytes).map(sorted), leased=st.tuples(last_bytes, last_bytes).map(sorted))
def test_a_pool_and_a_dhcp_range_never_share_an_address(pool: list[int], leased: list[int]) -> None:
    config = NetworkConfig.model_validate(
        {
            "pods": "10.244.0.0/16",
            "services": "10.96.0.0/16",
            "hosts": "192.0.2.0/24",
            "dhcp": [f"192.0.2.{leased[0]}-192.0.2.{leased[1]}"],
            "loadBalancer": pools(f"192.0.2.{pool[0]}-192.0.2.{pool[1]}"),
        }
    )
    shared = set(range(pool[0], pool[1] + 1)) & set(range(leased[0], leased[1] + 1))
    assert bool(list(check(config, Machines()))) == bool(shared)
