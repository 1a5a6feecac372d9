"""What a network section may say, and what it is told otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.model import Value
    from components.network.config import NetworkConfig

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"cni": {"kind": "cilium"}},
            "cilium as pod network is not built here: nothing here plans its address pools and tunnels yet; write",
        ),
        ({"cni": {"kind": "flannel"}}, "flannel as pod network is not built here: it enforces no network policies"),
        (
            {"loadBalancer": {"kind": "kube-vip", "pools": [{"name": "a", "addresses": ["192.0.2.9/32"]}]}},
            "kube-vip as load balancer is not built here: keepalived keeps the API server's address",
        ),
        (
            {"loadBalancer": {"announcement": "bgp", "pools": [{"name": "a", "addresses": ["192.0.2.9/32"]}]}},
            "bgp as announcement is not built here: nothing here plans routers, peers and AS numbers yet; write layer2",
        ),
        (
            {"loadBalancer": {"kind": "cilium", "pools": [{"name": "a", "addresses": ["192.0.2.9/32"]}]}},
            "cilium as load balancer is not built here: it needs Cilium as pod network",
        ),
        ({"gateway": {"kind": "traefik"}}, "traefik as gateway is not built here: nothing here plans its entry points"),
        ({"gateway": {"kind": "nginx"}}, "nginx is retired as gateway: ingress-nginx had its last release"),
        ({"gateway": {"kind": "nginx"}}, "write envoy: services are published by HTTPRoutes"),
        ({"gateway": {"websocketIdle": "5m"}}, "websockets idle for 5m would be cut; write 1h or more"),
        ({"gateway": {"websocketIdle": "59m"}}, "websockets idle for 59m would be cut; write 1h or more"),
        ({"pods": ["10.244.0.0/16", "10.245.0.0/16"]}, "10.244.0.0/16 and 10.245.0.0/16 are both IPv4"),
        ({"pods": []}, "'an empty list' is not one network or two"),
        ({"hostnames": {"hub": "*"}}, "is not a DNS name"),
        ({"certificates": {"kind": "acme", "email": "a@b.org", "server": "http://x"}}, "is not an https:// address"),
    ],
)
def test_what_is_refused_says_why_and_what_else(
    network: Callable[..., NetworkConfig], changes: dict[str, Value], message: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        network(**changes)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "certificates",
    [
        {"kind": "acme", "email": "a@b.org"},
        {"kind": "lab-ca", "certificate": CERTIFICATE, "privateKey": {"secret": "labCaKey"}},
        {"kind": "self-signed"},
    ],
)
def test_kinds_of_certificates(network: Callable[..., NetworkConfig], certificates: dict[str, Value]) -> None:
    made = network(certificates=certificates).certificates
    assert made is not None
    assert made.kind == certificates["kind"]


@pytest.mark.parametrize(
    "certificates",
    [
        {"kind": "acme"},
        {"kind": "acme", "email": "nobody"},
        {"kind": "lab-ca", "certificate": "not PEM", "privateKey": {"secret": "k"}},
        {"kind": "lab-ca", "certificate": CERTIFICATE, "privateKey": "-----BEGIN PRIVATE KEY-----"},
        {"kind": "self-signed", "email": "a@b.org"},
        {"email": "a@b.org"},
    ],
)
def test_certificates_that_are_not_taken(network: Callable[..., NetworkConfig], certificates: dict[str, Value]) -> None:
    with pytest.raises(ValidationError):
        network(certificates=certificates)


def test_everything_but_the_address_plan_may_be_left_out(network: Callable[..., NetworkConfig]) -> None:
    bare = network(cni=None, loadBalancer=None, gateway=None, certificates=None, hostnames=None)
    assert (bare.cni, bare.load_balancer, bare.gateway, bare.certificates, bare.use) == (None,) * 5
    assert bare.cluster_domain == "cluster.local"
