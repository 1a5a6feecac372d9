"""The flows components ask for again and again, each with its reason.

A component puts them into the ``flows`` of its `components.namespaces.plan.NamespacePlan`; what it needs beyond them
it declares as a `Flow` of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING

from components.namespaces.flows import EVERY_POD, Direction, Flow, NetworkPeer, PodPeer, Port, Protocol
from components.namespaces.plan import GATEWAY_LABEL, NAMESPACE_LABEL

from .errors import NoGatewayError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.addresses import AnyNetwork

    from .facts import NetworkFacts

__all__ = [
    "METADATA_NETWORKS",
    "PRIVATE_NETWORKS",
    "PROXY_PODS",
    "Party",
    "api_server",
    "between",
    "dns",
    "from_gateway",
    "internet",
    "lab_networks",
    "lab_peer",
    "webhook",
]

DNS_PORT = 53
"""Port of DNS (RFC 1035)."""
DNS_PODS = {"k8s-app": "kube-dns"}
"""Label of CoreDNS' pods as kubeadm installs them; the name is older than CoreDNS."""
HTTPS_PORT = 443
"""Port of the ``kubernetes`` service, the first address of the service network."""

PROXY_PODS: Mapping[str, str] = {
    "app.kubernetes.io/component": "proxy",
    "app.kubernetes.io/managed-by": "envoy-gateway",
}
"""Labels Envoy Gateway puts on the proxies it makes."""

EVERY_ADDRESS: Mapping[int, AnyNetwork] = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}
"""All addresses of each family, by IP version."""

METADATA_NETWORKS: tuple[AnyNetwork, ...] = tuple(
    ip_network(network)
    for network in (
        "169.254.0.0/16",
        "192.0.0.0/24",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "fe80::/10",
        "fd00:ec2::254/128",
    )
)
"""Where machines are told secrets about themselves: link-local (RFC 3927, RFC 4291; 169.254.169.254 is every large
cloud's), and the other addresses of Oracle, Alibaba, Azure and, over IPv6, Amazon. Some of them look public."""

PRIVATE_NETWORKS: tuple[AnyNetwork, ...] = (
    *(
        ip_network(network)
        for network in (
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "198.18.0.0/15",
            "fc00::/7",
        )
    ),
    *METADATA_NETWORKS,
)
"""Networks that are not the internet: private (RFC 1918, RFC 4193), carrier's (RFC 6598), of benchmarks, which devices
use inside (RFC 2544), and `METADATA_NETWORKS`."""


def dns(pods: Mapping[str, str] = EVERY_POD) -> Flow:
    """Return the flow by which pods look names up in the cluster's DNS."""
    ports = (Port(DNS_PORT, Protocol.UDP), Port(DNS_PORT, Protocol.TCP))
    return Flow(
        name="to-dns",
        reason="Every name, of a service or of a host outside, is looked up in the cluster's DNS.",
        direction=Direction.EGRESS,
        pods=pods,
        peers=(PodPeer(namespace={NAMESPACE_LABEL: "kube-system"}, labels=DNS_PODS),),
        ports=ports,
    )


@dataclass(frozen=True, kw_only=True)
class Party:
    """Some pods of a namespace, as flows between them name them."""

    key: str
    labels: Mapping[str, str]


def between(source: Party, destination: Party, port: int, reason: str) -> tuple[Flow, Flow]:
    """Return the two flows by which pods of one namespace reach others there: out of the one, into the other."""
    return (
        Flow(
            name=f"{source.key}-to-{destination.key}",
            reason=reason,
            direction=Direction.EGRESS,
            pods=source.labels,
            peers=(PodPeer(labels=destination.labels),),
            ports=(Port(port),),
        ),
        Flow(
            name=f"{destination.key}-from-{source.key}",
            reason=reason,
            direction=Direction.INGRESS,
            pods=destination.labels,
            peers=(PodPeer(labels=source.labels),),
            ports=(Port(port),),
        ),
    )


def api_server(
    facts: NetworkFacts, reason: str, pods: Mapping[str, str] = EVERY_POD, name: str = "to-api-server"
) -> Flow:
    """Return the flow by which pods reach the API server.

    Both of its addresses are named: a policy engine sees either the service's or, after kube-proxy's translation, that
    of a control-plane host (the NetworkPolicy API leaves open which), each with its own port: the hosts' network has
    other things to say at 443. Both are of the primary family, in dual stack too: the ``kubernetes`` service is
    single-stack, and the API server advertises a host's first address.
    """
    service = NetworkPeer(network=ip_network(facts.services.primary[1]), ports=(Port(HTTPS_PORT),))
    hosts = NetworkPeer(network=facts.hosts.primary, ports=(Port(facts.api_server_port),))
    return Flow(name=name, reason=reason, direction=Direction.EGRESS, pods=pods, peers=(service, hosts))


def webhook(port: int, reason: str, pods: Mapping[str, str] = EVERY_POD) -> Flow:
    """Return the flow by which the API server calls an admission webhook.

    It comes from the control plane's host network. Under VXLAN the packet carries the host's tunnel address, out of
    the pod network and different on every host, so no address block can name it: the port alone is opened.
    """
    return Flow(name=f"webhook-{port}", reason=reason, direction=Direction.INGRESS, pods=pods, ports=(Port(port),))


def from_gateway(facts: NetworkFacts, port: int, reason: str, pods: Mapping[str, str] = EVERY_POD) -> Flow:
    """Return the flow by which the shared Gateway's proxies reach a published service's pods.

    The namespace also needs `NamespacePlan.gateway` = ``facts.gateway.label``, or no route of it attaches.

    Raises
    ------
    NoGatewayError
        If the stack neither builds nor uses a Gateway.
    """
    if facts.gateway is None:
        raise NoGatewayError
    proxies = PodPeer(namespace={NAMESPACE_LABEL: facts.gateway.namespace}, labels=PROXY_PODS)
    return Flow(
        name=f"from-gateway-{port}",
        reason=reason,
        direction=Direction.INGRESS,
        pods=pods,
        peers=(proxies,),
        ports=(Port(port),),
    )


def to_routed_namespaces(gateway_label: str) -> Flow:
    """Return the flow by which the proxies reach whatever is published: namespaces that carry the Gateway's label."""
    return Flow(
        name="proxies-to-services",
        reason="Requests go on to the services whose namespaces attach their routes to this Gateway.",
        direction=Direction.EGRESS,
        pods=PROXY_PODS,
        peers=(PodPeer(namespace={GATEWAY_LABEL: gateway_label}),),
    )


def internet(
    facts: NetworkFacts,
    ports: Sequence[int],
    reason: str,
    pods: Mapping[str, str] = EVERY_POD,
    name: str = "to-internet",
) -> Flow:
    """Return the flow by which pods reach hosts outside the lab, at these TCP ports, and nothing private.

    Besides the private networks, the cluster's own three (hosts, pods, services) and the management networks stay
    denied even where a lab's machines have public addresses. There is a peer per family that pods have.
    """
    denied = {*PRIVATE_NETWORKS, *facts.hosts, *facts.pods, *facts.services, *facts.management}
    peers = tuple(
        NetworkPeer(
            network=EVERY_ADDRESS[version],
            but_not=tuple(sorted((network for network in denied if network.version == version), key=str)),
        )
        for version in facts.pods.families
    )
    return Flow(
        name=name,
        reason=reason,
        direction=Direction.EGRESS,
        pods=pods,
        peers=peers,
        ports=tuple(Port(number) for number in sorted(set(ports))),
    )


def lab_networks(facts: NetworkFacts) -> tuple[AnyNetwork, ...]:
    """Return what people's sessions never reach, whatever a stack file opens.

    These are the cluster's own networks, where every flow there is has a policy of its own, the management networks,
    and `METADATA_NETWORKS`.
    """
    return (*facts.hosts, *facts.pods, *facts.services, *facts.management, *METADATA_NETWORKS)


def lab_peer(facts: NetworkFacts, network: AnyNetwork) -> NetworkPeer:
    """Return the lab's servers in a network as a peer, but for what of `lab_networks` lies inside."""
    inside = {
        own
        for own in lab_networks(facts)
        if own.version == network.version and own.overlaps(network) and own.prefixlen > network.prefixlen
    }
    return NetworkPeer(network=network, but_not=tuple(sorted(inside, key=str)))
