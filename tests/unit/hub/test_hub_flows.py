"""What the hub's pods reach."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest
from hub_labs import NETWORK, hub

from components.hub.flows import SERVERS, hub_flows, proxy_exceptions
from components.hub.plan import check_networks
from components.namespaces.flows import Direction, NetworkPeer, PodPeer
from components.networks import Networks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.namespaces.flows import Flow
    from components.network.facts import NetworkFacts

OIDC = {
    "kind": "oidc",
    "clientId": "id",
    "clientSecret": {"secret": "oauthClientSecret"},
    "authorizeUrl": "https://sso.lab.org/authorize",
    "tokenUrl": "https://sso.lab.org:8443/token",
    "userinfoUrl": "https://sso.lab.org/me",
    "everyone": True,
}
PROXY = {"internet": "proxy", "proxy": {"address": "192.0.2.30", "port": 3128}}


def flows(network: NetworkFacts = NETWORK, **section: object) -> Mapping[str, Flow]:
    return {flow.name: flow for flow in hub_flows(hub(**section), network)}


def ports(flow: Flow) -> tuple[int, ...]:
    return tuple(port.number for port in flow.ports)


@pytest.mark.parametrize(
    ("access", "expected"),
    [
        ({"internet": "none"}, {}),
        ({"internet": "web"}, {"servers-to-internet": (22, 80, 443)}),
        ({"internet": "all"}, {"servers-to-internet": ()}),
        (PROXY, {"servers-to-web-proxy": (3128,)}),
        (
            {"internet": "none", "allow": [{"name": "licences", "networks": ["10.1.2.0/24"], "ports": [27000]}]},
            {"servers-to-licences": (27000,)},
        ),
    ],
)
def test_what_servers_reach_beside_the_hub(access: object, expected: Mapping[str, tuple[int, ...]]) -> None:
    found = {flow.name: flow for flow in hub_flows(hub(network=access), NETWORK)}
    outgoing = {
        name: flow for name, flow in found.items() if name.startswith("servers-to-") and name != "servers-to-hub"
    }
    assert {name: ports(flow) for name, flow in outgoing.items()} == expected
    assert all(flow.pods == {"app.kubernetes.io/component": "singleuser-server"} for flow in outgoing.values())
    assert all(flow.direction is Direction.EGRESS for flow in outgoing.values())


def test_with_a_proxy_servers_reach_its_address_alone() -> None:
    (flow,) = (flow for flow in hub_flows(hub(network=PROXY), NETWORK) if flow.name == "servers-to-web-proxy")
    assert flow.peers == (NetworkPeer(network=ip_network("192.0.2.30/32")),)


def test_hub_proxy_and_servers_name_one_another_at_both_ends() -> None:
    found = flows()
    for source, destination, port in (
        ("hub", "proxy", 8001),
        ("proxy", "hub", 8081),
        ("proxy", "servers", 8888),
        ("hub", "servers", 8888),
        ("servers", "hub", 8081),
    ):
        out, into = found[f"{source}-to-{destination}"], found[f"{destination}-from-{source}"]
        assert (out.direction, into.direction) == (Direction.EGRESS, Direction.INGRESS)
        assert ports(out) == ports(into) == (port,)
        assert out.peers == (PodPeer(labels=into.pods),)
        assert into.peers == (PodPeer(labels=out.pods),)


def test_only_hub_and_pullers_ask_the_api_server() -> None:
    asking = {name: flow.pods["app.kubernetes.io/component"] for name, flow in flows().items() if "api-server" in name}
    assert asking == {"hub-to-api-server": "hub", "pullers-to-api-server": "image-puller"}


def test_the_gateway_reaches_the_proxy_where_there_is_one() -> None:
    assert flows()["from-gateway-8000"].pods["app.kubernetes.io/component"] == "proxy"
    assert "from-gateway-8000" not in flows(replace(NETWORK, gateway=None))


def test_the_hub_reaches_its_identity_provider_on_the_internet() -> None:
    flow = flows()["hub-to-identity-provider"]
    (peer,) = flow.peers
    assert isinstance(peer, NetworkPeer)
    assert (peer.network, ports(flow)) == (ip_network("0.0.0.0/0"), (443,))
    assert NETWORK.hosts.primary in peer.but_not


def test_the_hub_reaches_a_provider_of_the_lab_and_nothing_beside() -> None:
    flow = flows(authentication={**OIDC, "networks": ["10.9.0.5/32"]})["hub-to-identity-provider"]
    assert flow.peers == (NetworkPeer(network=ip_network("10.9.0.5/32")),)
    assert ports(flow) == (443, 8443), "those of the endpoints it calls itself"


def test_without_a_provider_the_hub_reaches_nothing_outside() -> None:
    assert "hub-to-identity-provider" not in flows(
        authentication={"kind": "dummy"}, homes={"key": "username", "capacity": "1Gi"}
    )


def test_an_opened_network_never_opens_what_of_the_cluster_lies_inside() -> None:
    rule = {"name": "lab", "networks": ["10.0.0.0/8"], "ports": [1234]}
    network = replace(NETWORK, management=(ip_network("10.250.0.0/24"), ip_network("192.168.250.0/24")))
    found = {flow.name: flow for flow in hub_flows(hub(network={"allow": [rule]}), network)}
    (peer,) = found["servers-to-lab"].peers
    assert isinstance(peer, NetworkPeer)
    assert [str(each) for each in peer.but_not] == ["10.244.0.0/16", "10.250.0.0/24", "10.96.0.0/16"]


@pytest.mark.parametrize(
    ("opened", "what"),
    [
        ("10.244.7.0/24", "pod network 10.244.0.0/16"),
        ("10.96.0.1/32", "service network 10.96.0.0/16"),
        ("192.0.2.21/32", "hosts' network 192.0.2.0/24"),
        ("10.250.0.0/24", "management network 10.250.0.0/24"),
        ("169.254.169.254/32", "metadata addresses 169.254.0.0/16"),
        ("fd00:ec2::254/128", "metadata addresses fd00:ec2::254/128"),
    ],
)
def test_what_stays_closed_cannot_be_opened(opened: str, what: str) -> None:
    network = replace(NETWORK, management=(ip_network("10.250.0.0/24"),))
    config = hub(network={"allow": [{"name": "x", "networks": ["198.51.100.0/28", opened], "ports": [80]}]})
    (problem,) = check_networks(config, network)
    assert problem.path == ("network", "allow", 0, "networks", 1)
    assert problem.what == f"{opened} is of the {what}, which no notebook ever reaches"


def test_a_proxy_may_be_a_host_and_nothing_inside_the_cluster() -> None:
    assert not list(check_networks(hub(network=PROXY), NETWORK))
    inside = {"internet": "proxy", "proxy": {"address": "10.96.3.4", "port": 3128}}
    (problem,) = check_networks(hub(network=inside), NETWORK)
    assert problem.path == ("network", "proxy", "address")


@pytest.mark.parametrize(
    ("access", "what"),
    [
        ({"internet": "proxy"}, "no proxy is named"),
        ({"proxy": {"address": "192.0.2.30", "port": 3128}}, "servers are not sent to it"),
    ],
)
def test_a_proxy_is_named_where_it_is_wanted(access: object, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        hub(network=access)


def test_the_cluster_itself_is_reached_without_the_proxy() -> None:
    dual = replace(NETWORK, services=Networks.of("10.96.0.0/16", "fd00:96::/112"))
    found = proxy_exceptions(dual)
    assert {"hub", ".svc", ".cluster.local", "10.96.0.0/16", "fd00:96::/112", "localhost"} <= set(found)


def test_in_dual_stack_there_is_an_internet_of_each_family() -> None:
    dual = replace(
        NETWORK, pods=Networks.of("10.244.0.0/16", "fd00:244::/56"), hosts=Networks.of("192.0.2.0/24", "2001:db8::/64")
    )
    peers = flows(dual)["servers-to-internet"].peers
    assert [str(peer.network) for peer in peers if isinstance(peer, NetworkPeer)] == ["0.0.0.0/0", "::/0"]
    (_, six) = peers
    assert isinstance(six, NetworkPeer)
    assert ip_network("2001:db8::/64") in six.but_not
    assert ip_network("fc00::/7") in six.but_not


def test_a_class_reaches_what_it_says_and_nothing_of_the_others() -> None:
    licences = {"name": "licences", "networks": ["198.51.100.0/28"], "ports": [27000]}
    classes = {"closed": {"internet": "none"}, "licensed": {"internet": "none", "allow": [licences]}}
    config = hub(network={"internet": "web", "classes": classes})
    found = {flow.name: flow for flow in hub_flows(config, NETWORK)}
    reached: dict[str, list[str]] = {}
    for name, flow in found.items():
        if flow.direction is Direction.EGRESS and "lab.internal/network" in flow.pods:
            reached.setdefault(flow.pods["lab.internal/network"], []).append(name)
    assert reached == {"default": ["servers-to-internet"], "licensed": ["servers-licensed-to-licences"]}
    # What every server may do, whatever its class, is the hub and names, and nothing beyond the cluster.
    for flow in found.values():
        if flow.direction is Direction.EGRESS and dict(flow.pods) == dict(SERVERS.labels):
            assert all(isinstance(peer, PodPeer) for peer in flow.peers), flow.name
