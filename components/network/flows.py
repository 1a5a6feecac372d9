"""The flows components ask for again and again, each with its reason.

A component puts them into the ``flows`` of its `components.namespaces.plan.NamespacePlan`; what it needs beyond them
it declares as a `Flow` of its own.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

from components.namespaces.flows import EVERY_POD, Direction, Flow, NetworkPeer, Peer, PodPeer, Port, Protocol
from components.namespaces.plan import GATEWAY_LABEL, NAMESPACE_LABEL

from .errors import NoGatewayError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.addresses import AnyNetwork

    from .facts import NetworkFacts

__all__ = [
    "PRIVATE_NETWORKS",
    "PROXY_PODS",
    "api_server",
    "dns",
    "from_gateway",
    "internet",
    "webhook",
    "within_namespace",
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

PRIVATE_NETWORKS: tuple[AnyNetwork, ...] = tuple(
    ip_network(network)
    for network in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "fc00::/7",
        "fe80::/10",
    )
)
"""Networks that are not the internet: private (RFC 1918, RFC 4193), carrier's (RFC 6598), link-local with the cloud
metadata address (RFC 3927, RFC 4291)."""


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


def within_namespace(reason: str, pods: Mapping[str, str] = EVERY_POD, ports: Sequence[Port] = ()) -> tuple[Flow, Flow]:
    """Return the two flows by which pods of one namespace reach `pods` there, at these ports or all."""
    inside = (PodPeer(),)
    return (
        Flow(
            name="from-own-namespace",
            reason=reason,
            direction=Direction.INGRESS,
            pods=pods,
            peers=inside,
            ports=tuple(ports),
        ),
        Flow(
            name="to-own-namespace",
            reason=reason,
            direction=Direction.EGRESS,
            peers=(PodPeer(labels=pods),),
            ports=tuple(ports),
        ),
    )


def api_server(facts: NetworkFacts, reason: str, pods: Mapping[str, str] = EVERY_POD) -> Flow:
    """Return the flow by which pods reach the API server.

    Both of its addresses are named: a policy engine sees either the service's or, after kube-proxy's translation, that
    of a control-plane host (the NetworkPolicy API leaves open which).
    """
    service = ip_network(facts.services[1])
    peers: tuple[Peer, ...] = (NetworkPeer(network=service), NetworkPeer(network=facts.hosts))
    return Flow(
        name="to-api-server",
        reason=reason,
        direction=Direction.EGRESS,
        pods=pods,
        peers=peers,
        ports=tuple(Port(number) for number in sorted({HTTPS_PORT, facts.api_server_port})),
    )


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

    Besides the private networks, the cluster's own three (hosts, pods, services) stay denied even where a lab's
    machines have public addresses.
    """
    everywhere = ip_network("0.0.0.0/0") if facts.hosts.version == 4 else ip_network("::/0")  # noqa: PLR2004 - IPv4
    denied = {*PRIVATE_NETWORKS, facts.hosts, facts.pods, facts.services}
    but_not = sorted((network for network in denied if network.version == facts.hosts.version), key=str)
    return Flow(
        name=name,
        reason=reason,
        direction=Direction.EGRESS,
        pods=pods,
        peers=(NetworkPeer(network=everywhere, but_not=tuple(but_not)),),
        ports=tuple(Port(number) for number in sorted(set(ports))),
    )
