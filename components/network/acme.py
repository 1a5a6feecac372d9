"""Certificates from an ACME server: the issuer, and what proving a name takes (secrets, flows, chart values)."""

from __future__ import annotations

import base64
from ipaddress import ip_network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from components.namespaces.flows import Direction, Flow, NetworkPeer, PodPeer, Port, Protocol
from components.namespaces.plan import NAMESPACE_LABEL
from components.networks import IPV6

from .certificates_config import CloudflareSolver, HttpSolver, Rfc2136Solver, Route53Solver
from .flows import PROXY_PODS, internet
from .gateway import HTTP_LISTENER, HTTP_PORT, container_port
from .parts import SecretPlan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from components.addresses import AnyAddress
    from components.model import Value

    from .certificates_config import AcmeCertificates
    from .facts import GatewayReference, NetworkFacts

__all__ = ["CONTROLLER", "acme_flows", "acme_secrets", "acme_spec", "acme_values"]

CONTROLLER = {"app.kubernetes.io/component": "controller"}
"""Labels of cert-manager's controller, which talks to ACME and name servers (the chart's ``deployment.yaml``)."""
ACCOUNT_SECRET = "acme-account"  # noqa: S105 - the name of a Secret
"""Secret in which cert-manager keeps the key of its account with the ACME server."""
SOLVER_SECRET = "acme-solver"  # noqa: S105 - the name of a Secret
"""Secret of what it takes to write a DNS record, in cert-manager's namespace, where a ClusterIssuer looks for it."""
HTTPS_PORT = 443
DNS_PORT = 53
_TSIG, _TOKEN, _KEY_ID, _KEY = "tsig", "token", "access-key-id", "secret-access-key"


def acme_spec(certificates: AcmeCertificates, facts: NetworkFacts) -> Mapping[str, Value]:
    """Return the ``acme`` part of the ClusterIssuer."""
    spec: dict[str, Value] = {
        "email": certificates.email,
        "server": certificates.server,
        "privateKeySecretRef": {"name": ACCOUNT_SECRET},
        "solvers": [_solver(certificates, facts.gateway)],
    }
    if certificates.server_authority is not None:
        spec["caBundle"] = base64.b64encode(certificates.server_authority.encode()).decode()
    return spec


def _solver(certificates: AcmeCertificates, gateway: GatewayReference | None) -> Mapping[str, Value]:
    match certificates.solver:
        case HttpSolver():
            parents: list[Value] = [] if gateway is None else [_plain_listener(gateway)]
            return {"http01": {"gatewayHTTPRoute": {"parentRefs": parents}}}
        case Rfc2136Solver() as solver:
            update: dict[str, Value] = {
                "nameserver": _at_port(solver.nameserver, solver.port),
                "tsigKeyName": solver.key_name,
                "tsigAlgorithm": str(solver.algorithm),
                "tsigSecretSecretRef": {"name": SOLVER_SECRET, "key": _TSIG},
            }
            return {"dns01": {"rfc2136": update}}
        case CloudflareSolver():
            return {"dns01": {"cloudflare": {"apiTokenSecretRef": {"name": SOLVER_SECRET, "key": _TOKEN}}}}
        case Route53Solver() as solver:
            zone: dict[str, Value] = {
                "region": solver.region,
                "accessKeyIDSecretRef": {"name": SOLVER_SECRET, "key": _KEY_ID},
                "secretAccessKeySecretRef": {"name": SOLVER_SECRET, "key": _KEY},
            }
            if solver.hosted_zone is not None:
                zone["hostedZoneID"] = solver.hosted_zone
            if solver.role is not None:
                zone["role"] = solver.role
            return {"dns01": {"route53": zone}}


def _plain_listener(gateway: GatewayReference) -> Mapping[str, Value]:
    return {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "name": gateway.name,
        "namespace": gateway.namespace,
        "sectionName": HTTP_LISTENER,
    }


def acme_secrets(certificates: AcmeCertificates) -> tuple[SecretPlan, ...]:
    """Return the Secret of the solver; none for HTTP-01."""
    match certificates.solver:
        case HttpSolver():
            return ()
        case Rfc2136Solver() as solver:
            return (SecretPlan(name=SOLVER_SECRET, data={_TSIG: solver.key}),)
        case CloudflareSolver() as solver:
            return (SecretPlan(name=SOLVER_SECRET, data={_TOKEN: solver.token}),)
        case Route53Solver() as solver:
            data = {_KEY_ID: solver.access_key_id, _KEY: solver.secret_access_key}
            return (SecretPlan(name=SOLVER_SECRET, data=data),)


def acme_values(certificates: AcmeCertificates) -> Mapping[str, Value]:
    """Return the values of cert-manager's chart that the solver needs.

    Before it asks the ACME server to look, cert-manager looks for the record itself, by default at the zone's own name
    servers, which from inside may be anybody's. Only resolvers are asked here, so that no other flow is needed.
    """
    solver = certificates.solver
    if isinstance(solver, HttpSolver):
        return {}
    values: dict[str, Value] = {"dns01RecursiveNameserversOnly": True}
    if solver.resolvers:
        values["dns01RecursiveNameservers"] = ",".join(_at_port(address, DNS_PORT) for address in solver.resolvers)
    return values


def acme_flows(certificates: AcmeCertificates, facts: NetworkFacts) -> Iterator[Flow]:
    """Yield what the controller has to reach: the ACME server, and whatever proves a name."""
    solver = certificates.solver
    server_port = urlsplit(certificates.server).port or HTTPS_PORT
    if certificates.server_networks:
        yield Flow(
            name="to-acme-server",
            reason="The controller orders certificates from the lab's own ACME server.",
            direction=Direction.EGRESS,
            pods=CONTROLLER,
            peers=tuple(NetworkPeer(network=network) for network in certificates.server_networks),
            ports=(Port(server_port),),
        )
    if isinstance(solver, CloudflareSolver | Route53Solver):
        reason = "The controller orders certificates from the ACME server, and writes records through the DNS' API."
        yield internet(facts, (HTTPS_PORT, server_port), reason, CONTROLLER)
    elif not certificates.server_networks:
        yield internet(facts, (server_port,), "The controller orders certificates from the ACME server.", CONTROLLER)
    if isinstance(solver, HttpSolver):
        if facts.gateway is not None:
            yield _own_challenge(facts, facts.gateway)
        return
    if isinstance(solver, Rfc2136Solver):
        reason = "The controller writes the record that proves a name into the lab's own zone."
        yield _to_name_servers("to-name-server", reason, (solver.nameserver,), solver.port)
    if solver.resolvers:
        reason = "The controller looks whether the record that proves a name is seen from outside."
        yield _to_name_servers("to-resolvers", reason, solver.resolvers, DNS_PORT)


def _own_challenge(facts: NetworkFacts, gateway: GatewayReference) -> Flow:
    proxies = PodPeer(namespace={NAMESPACE_LABEL: gateway.namespace}, labels=PROXY_PODS)
    return Flow(
        name="to-own-challenge",
        reason="The controller first looks at its own answer through the gateway, then asks the ACME server to.",
        direction=Direction.EGRESS,
        pods=CONTROLLER,
        peers=(proxies, *(NetworkPeer(network=network) for network in facts.hosts)),
        ports=(Port(HTTP_PORT), Port(container_port(HTTP_PORT))),
    )


def _to_name_servers(name: str, reason: str, servers: Iterable[AnyAddress], port: int) -> Flow:
    return Flow(
        name=name,
        reason=reason,
        direction=Direction.EGRESS,
        pods=CONTROLLER,
        peers=tuple(NetworkPeer(network=ip_network(server)) for server in servers),
        ports=(Port(port, Protocol.UDP), Port(port, Protocol.TCP)),
    )


def _at_port(address: AnyAddress, port: int) -> str:
    return f"[{address}]:{port}" if address.version == IPV6 else f"{address}:{port}"
