"""Certificates from an ACME server: what proving a name takes, by each solver."""

from __future__ import annotations

import base64
from ipaddress import ip_network
from typing import TYPE_CHECKING, cast

import pytest
from solver_samples import CLOUDFLARE, RFC2136, ROUTE53, SOLVERS

from components.namespaces.flows import Flow, NetworkPeer, Port, Protocol
from components.network.plan import NetworkPlan, network_plan, secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from components.model import Value
    from components.network.config import NetworkConfig
    from components.network.parts import CustomResourcePlan, NetworkPart


@pytest.fixture
def plan(network: Callable[..., NetworkConfig]) -> Callable[..., NetworkPlan]:
    def made(solver: Mapping[str, Value], **changes: Value) -> NetworkPlan:
        certificates: dict[str, Value] = {"kind": "acme", "email": "a@lab.org", "solver": solver, **changes}
        return network_plan(network(certificates=certificates), "prod")

    return made


def part(plan: NetworkPlan) -> NetworkPart:
    return next(part for part in plan.parts if part.key == "cert-manager")


def flows(plan: NetworkPlan) -> dict[str, Flow]:
    return {flow.name: flow for flow in part(plan).namespace.flows}


def issuer(plan: NetworkPlan) -> CustomResourcePlan:
    return next(step for step in part(plan).resources if step.kind == "ClusterIssuer")


def solver(plan: NetworkPlan) -> Value:
    acme = cast("Mapping[str, Sequence[Value]]", issuer(plan).spec["acme"])
    (only,) = acme["solvers"]
    return only


def test_an_update_of_the_lab_s_own_zone(plan: Callable[..., NetworkPlan]) -> None:
    made = plan(RFC2136)
    assert solver(made) == {
        "dns01": {
            "rfc2136": {
                "nameserver": "[2001:db8::53]:53",
                "tsigKeyName": "acme",
                "tsigAlgorithm": "HMACSHA256",
                "tsigSecretSecretRef": {"name": "acme-solver", "key": "tsig"},
            }
        }
    }
    flow = flows(made)["to-name-server"]
    assert flow.peers == (NetworkPeer(network=ip_network("2001:db8::53/128")),)
    assert flow.ports == (Port(53, Protocol.UDP), Port(53, Protocol.TCP))
    assert flow.pods == {"app.kubernetes.io/component": "controller"}


def test_a_record_through_an_api(plan: Callable[..., NetworkPlan]) -> None:
    token = {"name": "acme-solver", "key": "token"}
    assert solver(plan(CLOUDFLARE)) == {"dns01": {"cloudflare": {"apiTokenSecretRef": token}}}
    assert solver(plan(ROUTE53)) == {
        "dns01": {
            "route53": {
                "region": "us-east-1",
                "accessKeyIDSecretRef": {"name": "acme-solver", "key": "access-key-id"},
                "secretAccessKeySecretRef": {"name": "acme-solver", "key": "secret-access-key"},
                "hostedZoneID": "Z0123456789",
                "role": "arn:aws:iam::123456789012:role/dns",
            }
        }
    }


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("http01", []),
        ("rfc2136", ["dnsUpdateKey"]),
        ("cloudflare", ["cloudflareToken"]),
        ("route53", ["route53KeyId", "route53Key"]),
    ],
)
def test_the_issuer_reads_what_its_secret_holds(
    plan: Callable[..., NetworkPlan], network: Callable[..., NetworkConfig], kind: str, keys: list[str]
) -> None:
    certificates: dict[str, Value] = {"kind": "acme", "email": "a@lab.org", "solver": SOLVERS[kind]}
    assert [reference.secret for reference in secrets(network(certificates=certificates))] == keys
    made = plan(SOLVERS[kind])
    held = {(secret.name, key) for secret in part(made).secrets for key in secret.data}
    assert held == set(_references(solver(made)))


def _references(value: object) -> list[tuple[str, str]]:
    """Return every Secret and key that something refers to."""
    if not isinstance(value, dict):
        return []
    mapping = cast("Mapping[str, object]", value)
    found = [(str(mapping["name"]), str(mapping["key"]))] if set(mapping) == {"name", "key"} else []
    return [*found, *(entry for item in mapping.values() for entry in _references(item))]


@pytest.mark.parametrize(
    ("kind", "inside", "wanted"),
    [
        ("http01", False, {"to-internet", "to-own-challenge"}),
        ("http01", True, {"to-acme-server", "to-own-challenge"}),
        ("rfc2136", False, {"to-internet", "to-name-server"}),
        ("rfc2136", True, {"to-acme-server", "to-name-server"}),
        ("cloudflare", False, {"to-internet"}),
        ("cloudflare", True, {"to-acme-server", "to-internet"}),
        ("route53", False, {"to-internet"}),
    ],
)
def test_only_what_a_solver_needs_is_open(
    plan: Callable[..., NetworkPlan], kind: str, *, inside: bool, wanted: set[str]
) -> None:
    made = plan(SOLVERS[kind], **({"serverNetworks": ["198.51.100.0/28"]} if inside else {}))
    assert set(flows(made)) - {"to-dns", "to-api-server", "webhook-10250"} == wanted
    over_http = kind == "http01"
    gateway = next(part for part in made.parts if part.key == "gateway")
    assert ("challenge-from-proxies" in {flow.name for flow in gateway.namespace.flows}) == over_http
    (release,) = part(made).releases
    assert release.values["config"] == {
        "apiVersion": "controller.config.cert-manager.io/v1alpha1",
        "kind": "ControllerConfiguration",
        "gatewayAPI": {"enabled": over_http},
    }
    assert release.after == (("gateway-helm",) if over_http else ())
    assert release.values.get("dns01RecursiveNameserversOnly", False) is not over_http


def test_a_server_of_the_lab_s_own(plan: Callable[..., NetworkPlan]) -> None:
    authority = "-----BEGIN CERTIFICATE-----\nMIIB\n"
    made = plan(
        RFC2136,
        server="https://acme.lab.org:14000/directory",
        serverNetworks=["198.51.100.0/28"],
        serverAuthority=authority,
    )
    acme = issuer(made).spec["acme"]
    assert isinstance(acme, dict)
    assert base64.b64decode(str(acme["caBundle"])).decode() == authority
    flow = flows(made)["to-acme-server"]
    assert (flow.peers, flow.ports) == ((NetworkPeer(network=ip_network("198.51.100.0/28")),), (Port(14000),))


def test_resolvers_are_asked_and_reached(plan: Callable[..., NetworkPlan]) -> None:
    made = plan({**CLOUDFLARE, "resolvers": ["192.0.2.53", "2001:db8::53"]})
    (release,) = part(made).releases
    assert release.values["dns01RecursiveNameservers"] == "192.0.2.53:53,[2001:db8::53]:53"
    assert [str(peer.network) for peer in flows(made)["to-resolvers"].peers if isinstance(peer, NetworkPeer)] == [
        "192.0.2.53/32",
        "2001:db8::53/128",
    ]


def test_a_wildcard_is_one_listener_and_one_certificate(network: Callable[..., NetworkConfig]) -> None:
    certificates: dict[str, Value] = {"kind": "acme", "email": "a@lab.org", "solver": CLOUDFLARE}
    made = network_plan(network(hostnames={"apps": "*.apps.lab.org"}, certificates=certificates), "prod")
    steps = {step.key: step for part in made.parts for step in part.resources}
    assert steps["apps-tls"].spec["dnsNames"] == ["*.apps.lab.org"]
    assert made.endpoints["apps"].url == "https://*.apps.lab.org"
