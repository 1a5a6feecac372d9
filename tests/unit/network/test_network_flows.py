"""The flows components share."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.namespaces.flows import NetworkPeer, PodPeer, Port, Protocol
from components.network.errors import NoGatewayError
from components.network.facts import GatewayReference, NetworkFacts, network_facts
from components.network.flows import (
    PRIVATE_NETWORKS,
    Party,
    api_server,
    between,
    dns,
    from_gateway,
    internet,
    lab_peer,
    webhook,
)
from components.networks import Networks

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.network.config import NetworkConfig

FACTS = NetworkFacts(
    pods=Networks.of("10.244.0.0/16"),
    services=Networks.of("10.96.0.0/16"),
    hosts=Networks.of("203.0.113.0/24"),
    cluster_domain="cluster.local",
    gateway=GatewayReference(name="lab", namespace="gateway-prod", class_name="envoy-prod"),
)


def test_names_are_looked_up_over_both_transports() -> None:
    assert dns().ports == (Port(53, Protocol.UDP), Port(53, Protocol.TCP))
    assert dns().peers == (
        PodPeer(namespace={"kubernetes.io/metadata.name": "kube-system"}, labels={"k8s-app": "kube-dns"}),
    )


def test_the_api_server_has_two_addresses_each_with_its_own_port() -> None:
    flow = api_server(FACTS, "because")
    assert flow.peers == (
        NetworkPeer(network=ip_network("10.96.0.1/32"), ports=(Port(443),)),
        NetworkPeer(network=FACTS.hosts.primary, ports=(Port(6443),)),
    )
    assert [(peers, ports) for peers, ports in flow.rules()] == [
        (flow.peers[:1], (Port(443),)),
        (flow.peers[1:], (Port(6443),)),
    ]


@given(value=st.integers(min_value=0, max_value=2**32 - 1))
def test_the_internet_is_what_is_nobody_s_own(value: int) -> None:
    address = ip_address(value)
    (peer,) = internet(FACTS, (443,), "because").peers
    assert isinstance(peer, NetworkPeer)
    allowed = address in peer.network and not any(address in network for network in peer.but_not)
    own = (
        *(network for network in PRIVATE_NETWORKS if network.version == 4),
        *FACTS.hosts,
        *FACTS.pods,
        *FACTS.services,
    )
    assert allowed == (not any(address in network for network in own))


def test_the_internet_over_ipv6_denies_only_ipv6() -> None:
    facts = NetworkFacts(
        pods=Networks.of("fd00:1::/56"),
        services=Networks.of("fd00:2::/112"),
        hosts=Networks.of("2001:db8::/64"),
        cluster_domain="cluster.local",
    )
    (peer,) = internet(facts, (443, 80, 443), "because").peers
    assert isinstance(peer, NetworkPeer)
    assert peer.network == ip_network("::/0")
    assert {network.version for network in peer.but_not} == {6}
    assert facts.hosts.primary in peer.but_not
    assert [port.number for port in internet(facts, (443, 80, 443), "because").ports] == [80, 443]


def test_only_the_proxies_of_the_gateway_reach_a_service() -> None:
    flow = from_gateway(FACTS, 8000, "because", pods={"component": "proxy"})
    (peer,) = flow.peers
    assert isinstance(peer, PodPeer)
    assert peer.namespace == {"kubernetes.io/metadata.name": "gateway-prod"}
    assert peer.labels["app.kubernetes.io/managed-by"] == "envoy-gateway"
    with pytest.raises(NoGatewayError):
        from_gateway(replace(FACTS, gateway=None), 8000, "because")


def test_a_webhook_is_reached_from_addresses_nobody_can_name() -> None:
    flow = webhook(9443, "because", pods={"app": "x"})
    assert (flow.peers, flow.ports, flow.pods) == ((), (Port(9443),), {"app": "x"})


def test_between_parties_both_ends_are_opened_and_nothing_else() -> None:
    hub, proxy = Party(key="hub", labels={"app": "hub"}), Party(key="proxy", labels={"app": "proxy"})
    out, into = between(hub, proxy, 8001, "because")
    assert (out.name, out.pods, out.peers) == ("hub-to-proxy", {"app": "hub"}, (PodPeer(labels={"app": "proxy"}),))
    assert (into.name, into.pods, into.peers) == ("proxy-from-hub", {"app": "proxy"}, (PodPeer(labels={"app": "hub"}),))
    assert out.ports == into.ports == (Port(8001),)


def test_a_network_of_the_lab_is_opened_without_what_of_the_cluster_lies_in_it() -> None:
    facts = replace(FACTS, management=(ip_network("10.250.0.0/24"), ip_network("172.16.0.0/16")))
    peer = lab_peer(facts, ip_network("10.0.0.0/8"))
    assert [str(network) for network in peer.but_not] == ["10.244.0.0/16", "10.250.0.0/24", "10.96.0.0/16"]
    assert lab_peer(facts, ip_network("198.51.100.0/28")).but_not == ()


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "192.0.0.192", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fe80::a9fe:a9fe"],
)
def test_metadata_addresses_are_never_the_internet(address: str) -> None:
    found = ip_address(address)
    facts = replace(FACTS, pods=Networks.of("10.244.0.0/16", "fd00:244::/56"))
    for peer in internet(facts, (80,), "because").peers:
        assert isinstance(peer, NetworkPeer)
        assert found not in peer.network or any(found in network for network in peer.but_not)


def test_facts_follow_from_the_section(network: Callable[..., NetworkConfig]) -> None:
    facts = network_facts(network(), "prod", 8443)
    assert facts.gateway == GatewayReference(name="lab", namespace="gateway-prod", class_name="envoy-prod")
    assert (facts.issuer, facts.hostnames, facts.api_server_port) == ("lab-prod", {"hub": "hub.lab.org"}, 8443)
