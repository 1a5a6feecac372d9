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
    api_server,
    dns,
    from_gateway,
    internet,
    webhook,
    within_namespace,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.network.config import NetworkConfig

FACTS = NetworkFacts(
    pods=ip_network("10.244.0.0/16"),
    services=ip_network("10.96.0.0/16"),
    hosts=ip_network("203.0.113.0/24"),
    cluster_domain="cluster.local",
    gateway=GatewayReference(name="lab", namespace="gateway-prod", class_name="envoy-prod"),
)


def test_names_are_looked_up_over_both_transports() -> None:
    assert dns().ports == (Port(53, Protocol.UDP), Port(53, Protocol.TCP))
    assert dns().peers == (
        PodPeer(namespace={"kubernetes.io/metadata.name": "kube-system"}, labels={"k8s-app": "kube-dns"}),
    )


def test_the_api_server_has_two_addresses() -> None:
    flow = api_server(FACTS, "because")
    assert flow.peers == (NetworkPeer(network=ip_network("10.96.0.1/32")), NetworkPeer(network=FACTS.hosts))
    assert [port.number for port in flow.ports] == [443, 6443]


@given(value=st.integers(min_value=0, max_value=2**32 - 1))
def test_the_internet_is_what_is_nobody_s_own(value: int) -> None:
    address = ip_address(value)
    (peer,) = internet(FACTS, (443,), "because").peers
    assert isinstance(peer, NetworkPeer)
    allowed = address in peer.network and not any(address in network for network in peer.but_not)
    own = (*(network for network in PRIVATE_NETWORKS if network.version == 4), FACTS.hosts, FACTS.pods, FACTS.services)
    assert allowed == (not any(address in network for network in own))


def test_the_internet_over_ipv6_denies_only_ipv6() -> None:
    facts = NetworkFacts(
        pods=ip_network("fd00:1::/56"),
        services=ip_network("fd00:2::/112"),
        hosts=ip_network("2001:db8::/64"),
        cluster_domain="cluster.local",
    )
    (peer,) = internet(facts, (443, 80, 443), "because").peers
    assert isinstance(peer, NetworkPeer)
    assert peer.network == ip_network("::/0")
    assert {network.version for network in peer.but_not} == {6}
    assert facts.hosts in peer.but_not
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


def test_within_a_namespace_both_ends_are_opened() -> None:
    first, second = within_namespace("because", pods={"app": "hub"}, ports=(Port(8081),))
    assert (first.pods, first.peers) == ({"app": "hub"}, (PodPeer(),))
    assert (second.pods, second.peers) == ({}, (PodPeer(labels={"app": "hub"}),))
    assert first.ports == second.ports == (Port(8081),)


def test_facts_follow_from_the_section(network: Callable[..., NetworkConfig]) -> None:
    facts = network_facts(network(), "prod", 8443)
    assert facts.gateway == GatewayReference(name="lab", namespace="gateway-prod", class_name="envoy-prod")
    assert (facts.issuer, facts.hostnames, facts.api_server_port) == ("lab-prod", {"hub": "hub.lab.org"}, 8443)
