"""Certificates: cert-manager, and the one ClusterIssuer that every certificate of the stack comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.namespaces.flows import Direction, Flow, NetworkPeer, PodPeer, Port
from components.namespaces.plan import NAMESPACE_LABEL, NamespacePlan, scoped

from .config import AcmeCertificates, LabCaCertificates
from .flows import PROXY_PODS, api_server, dns, internet, webhook
from .gateway import HTTP_LISTENER, HTTP_PORT, container_port
from .parts import CustomResourcePlan, NetworkPart, ReleasePlan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.model import Value

    from .config import Certificates
    from .facts import GatewayReference, NetworkFacts

__all__ = ["CHART", "ISSUER_KEY", "LAB_CA_SECRET", "certificates_part"]

CHART = "cert-manager"
ISSUER_KEY = "issuer"
"""Key of the ClusterIssuer that services' certificates come from."""
LAB_CA_SECRET = "lab-ca"  # noqa: S105 - the name of a Secret
"""Secret of the authority's certificate and key, in cert-manager's namespace, where a ClusterIssuer looks for it."""
ACCOUNT_SECRET = "acme-account"  # noqa: S105 - the name of a Secret
"""Secret in which cert-manager keeps the key of its account with the ACME server."""

API_VERSION = "cert-manager.io/v1"
WEBHOOK_PORT = 10250
"""Port of cert-manager's webhook (the chart's ``webhook.securePort``)."""
CONTROLLER = {"app.kubernetes.io/component": "controller"}
WEBHOOK = {"app.kubernetes.io/component": "webhook"}
CA_LIFETIME_HOURS = 87_600
"""Ten years: the authority of a simulated or test cluster outlives it, and nobody renews trust by hand."""


def certificates_part(
    certificates: Certificates, facts: NetworkFacts, stack: str, *, gateway_chart: str | None
) -> NetworkPart:
    """Return cert-manager and the stack's issuer; what the issuer is made of depends on the kind.

    Parameters
    ----------
    certificates
        Where certificates come from.
    facts
        The network; an ACME issuer proves names through its gateway.
    stack
        Name of the stack.
    gateway_chart
        Key of the release that brings the Gateway API's kinds; None where the cluster has them already.
    """
    namespace = scoped(CHART, stack)
    acme = isinstance(certificates, AcmeCertificates)
    flows = [
        dns(),
        api_server(facts, "Certificates, their requests and Secrets are objects of the API server."),
        webhook(WEBHOOK_PORT, "The API server has the webhook check and complete issuers and certificates.", WEBHOOK),
    ]
    if acme and facts.gateway is not None:
        flows += _acme_flows(facts, facts.gateway)
    values: dict[str, Value] = {
        # Deleting the release must not delete every certificate with its kind.
        "crds": {"enabled": True, "keep": True},
        "global": {"leaderElection": {"namespace": namespace}, "priorityClassName": "system-cluster-critical"},
        "config": {
            "apiVersion": "controller.config.cert-manager.io/v1alpha1",
            "kind": "ControllerConfiguration",
            "gatewayAPI": {"enabled": acme},
        },
    }
    return NetworkPart(
        key=CHART,
        namespace=NamespacePlan(name=namespace, stack=stack, flows=tuple(flows)),
        releases=(
            # With gateway support on, cert-manager ends at once where the Gateway API's kinds are missing.
            ReleasePlan(
                chart=CHART,
                release_name=namespace,
                values=values,
                after=(gateway_chart,) if acme and gateway_chart is not None else (),
            ),
        ),
        resources=_issuers(certificates, facts, stack),
    )


def _issuers(certificates: Certificates, facts: NetworkFacts, stack: str) -> tuple[CustomResourcePlan, ...]:
    if isinstance(certificates, AcmeCertificates):
        return (_issuer(stack, {"acme": _acme(certificates, facts)}, after=(CHART,)),)
    if isinstance(certificates, LabCaCertificates):
        return (_issuer(stack, {"ca": {"secretName": LAB_CA_SECRET}}, after=(CHART,)),)
    root = scoped("self-signed", stack)
    return (
        CustomResourcePlan(
            key="self-signed",
            api_version=API_VERSION,
            kind="ClusterIssuer",
            name=root,
            namespaced=False,
            spec={"selfSigned": {}},
            after=(CHART,),
        ),
        CustomResourcePlan(
            key=LAB_CA_SECRET,
            api_version=API_VERSION,
            kind="Certificate",
            name=LAB_CA_SECRET,
            spec={
                "secretName": LAB_CA_SECRET,
                "isCA": True,
                "commonName": f"research-compute {stack}",
                "duration": f"{CA_LIFETIME_HOURS}h",
                "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Never"},
                "issuerRef": {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": root},
            },
            after=("self-signed",),
        ),
        _issuer(stack, {"ca": {"secretName": LAB_CA_SECRET}}, after=(LAB_CA_SECRET,)),
    )


def _issuer(stack: str, spec: Mapping[str, Value], after: tuple[str, ...]) -> CustomResourcePlan:
    return CustomResourcePlan(
        key=ISSUER_KEY,
        api_version=API_VERSION,
        kind="ClusterIssuer",
        name=scoped("lab", stack),
        namespaced=False,
        spec=spec,
        after=after,
    )


def _acme(certificates: AcmeCertificates, facts: NetworkFacts) -> Mapping[str, Value]:
    parents: list[Value] = []
    if facts.gateway is not None:
        parents.append(
            {
                "group": "gateway.networking.k8s.io",
                "kind": "Gateway",
                "name": facts.gateway.name,
                "namespace": facts.gateway.namespace,
                "sectionName": HTTP_LISTENER,
            }
        )
    return {
        "email": certificates.email,
        "server": certificates.server,
        "privateKeySecretRef": {"name": ACCOUNT_SECRET},
        "solvers": [{"http01": {"gatewayHTTPRoute": {"parentRefs": parents}}}],
    }


def _acme_flows(facts: NetworkFacts, gateway: GatewayReference) -> list[Flow]:
    proxies = PodPeer(namespace={NAMESPACE_LABEL: gateway.namespace}, labels=PROXY_PODS)
    return [
        internet(facts, (443,), "The controller orders certificates from the ACME server.", CONTROLLER),
        Flow(
            name="to-own-challenge",
            reason="The controller first looks at its own answer through the gateway, then asks the ACME server to.",
            direction=Direction.EGRESS,
            pods=CONTROLLER,
            peers=(proxies, NetworkPeer(network=facts.hosts)),
            ports=(Port(HTTP_PORT), Port(container_port(HTTP_PORT))),
        ),
    ]
