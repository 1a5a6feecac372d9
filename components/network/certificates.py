"""Certificates: cert-manager, and the one ClusterIssuer that every certificate of the stack comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from components.namespaces.plan import NamespacePlan, scoped

from .acme import acme_flows, acme_secrets, acme_spec, acme_values
from .certificates_config import AcmeCertificates, HttpSolver, LabCaCertificates
from .flows import api_server, dns, webhook
from .parts import ISSUER_KEY, TLS, CustomResourcePlan, NetworkPart, ReleasePlan, SecretPlan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.model import Value

    from .certificates_config import SelfSignedCertificates
    from .facts import NetworkFacts

    Issued: TypeAlias = AcmeCertificates | LabCaCertificates | SelfSignedCertificates
    """Kinds that cert-manager issues."""

__all__ = ["CHART", "LAB_CA_SECRET", "certificates_part"]

CHART = "cert-manager"
LAB_CA_SECRET = "lab-ca"  # noqa: S105 - the name of a Secret
"""Secret of the authority's certificate and key, in cert-manager's namespace, where a ClusterIssuer looks for it."""

API_VERSION = "cert-manager.io/v1"
WEBHOOK_PORT = 10250
"""Port of cert-manager's webhook (the chart's ``webhook.securePort``)."""
WEBHOOK = {"app.kubernetes.io/component": "webhook"}
CA_LIFETIME_HOURS = 87_600
"""Ten years: the authority of a simulated or test cluster outlives it, and nobody renews trust by hand."""


def certificates_part(
    certificates: Issued,
    facts: NetworkFacts,
    stack: str,
    *,
    gateway_chart: str | None,
) -> NetworkPart:
    """Return cert-manager and the stack's issuer; what the issuer is made of depends on the kind.

    Parameters
    ----------
    certificates
        Where certificates come from; files need none of this.
    facts
        The network; an ACME issuer that proves names over HTTP does so through its gateway.
    stack
        Name of the stack.
    gateway_chart
        Key of the release that brings the Gateway API's kinds; None where the cluster has them already.
    """
    namespace = scoped(CHART, stack)
    acme = certificates if isinstance(certificates, AcmeCertificates) else None
    over_http = acme is not None and isinstance(acme.solver, HttpSolver)
    flows = [
        dns(),
        api_server(facts, "Certificates, their requests and Secrets are objects of the API server."),
        webhook(WEBHOOK_PORT, "The API server has the webhook check and complete issuers and certificates.", WEBHOOK),
        *(() if acme is None else acme_flows(acme, facts)),
    ]
    values: dict[str, Value] = {
        # Deleting the release must not delete every certificate with its kind.
        "crds": {"enabled": True, "keep": True},
        "global": {"leaderElection": {"namespace": namespace}, "priorityClassName": "system-cluster-critical"},
        "config": {
            "apiVersion": "controller.config.cert-manager.io/v1alpha1",
            "kind": "ControllerConfiguration",
            "gatewayAPI": {"enabled": over_http},
        },
        **({} if acme is None else acme_values(acme)),
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
                after=(gateway_chart,) if over_http and gateway_chart is not None else (),
            ),
        ),
        resources=_issuers(certificates, facts, stack),
        secrets=_secrets(certificates),
    )


def _secrets(certificates: Issued) -> tuple[SecretPlan, ...]:
    if isinstance(certificates, AcmeCertificates):
        return acme_secrets(certificates)
    if isinstance(certificates, LabCaCertificates):
        data = {"tls.crt": certificates.certificate, "tls.key": certificates.private_key}
        return (SecretPlan(name=LAB_CA_SECRET, data=data, type=TLS),)
    return ()


def _issuers(certificates: Issued, facts: NetworkFacts, stack: str) -> tuple[CustomResourcePlan, ...]:
    if isinstance(certificates, AcmeCertificates):
        return (_issuer(stack, {"acme": acme_spec(certificates, facts)}, after=(CHART,)),)
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
