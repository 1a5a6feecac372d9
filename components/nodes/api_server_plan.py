"""Files the API server reads: what it audits, and who may sign in.

How Secrets are encrypted is a third one, which ``files/encryption-check.sh`` writes: no planner ever sees a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .control_plane_config import AuditLevel
from .yaml_text import yaml_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .control_plane_config import OidcConfig

__all__ = ["audit_policy", "authentication_configuration"]

HEALTH_PATHS = ("/livez", "/readyz", "/healthz", "/version")
"""What may be asked without signing in: the probes of the kubelet, of the load balancers and of whoever watches."""

_CORE = ""
_QUIET: tuple[Mapping[str, object], ...] = (
    {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi/*", "/metrics"]},
    {
        "level": "None",
        "users": ["system:kube-proxy"],
        "verbs": ["watch"],
        "resources": [{"group": _CORE, "resources": ["endpoints", "services", "nodes"]}],
    },
    {
        "level": "None",
        "userGroups": ["system:nodes"],
        "verbs": ["get"],
        "resources": [{"group": _CORE, "resources": ["nodes", "nodes/status"]}],
    },
    {
        "level": "None",
        "users": ["system:kube-controller-manager", "system:kube-scheduler", "system:apiserver"],
        "verbs": ["get", "update"],
        "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}],
    },
    {
        "level": "None",
        "userGroups": ["system:nodes"],
        "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}],
    },
    {
        "level": "None",
        "resources": [{"group": _CORE, "resources": ["events"]}, {"group": "events.k8s.io", "resources": ["events"]}],
    },
)
"""What machines ask all the time and nobody wants to read (kubernetes/kubernetes, cluster/gce: its audit policy)."""
_BODIES_NEVER: Mapping[str, object] = {
    "level": "Metadata",
    "resources": [
        {"group": _CORE, "resources": ["secrets", "configmaps", "serviceaccounts/token"]},
        {"group": "authentication.k8s.io", "resources": ["tokenreviews"]},
        {"group": "certificates.k8s.io", "resources": ["certificatesigningrequests"]},
    ],
}
_CHANGES: Mapping[str, object] = {
    "level": "Request",
    "verbs": ["create", "update", "patch", "delete", "deletecollection"],
}


def audit_policy(level: AuditLevel) -> str:
    """Return the audit policy (audit.k8s.io/v1) as YAML; empty where nothing is audited."""
    if level is AuditLevel.NONE:
        return ""
    bodies = [_CHANGES] if level is AuditLevel.REQUEST else []
    return yaml_document(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            # A request is logged once, when it was answered.
            "omitStages": ["RequestReceived"],
            "omitManagedFields": True,
            "rules": [*_QUIET, _BODIES_NEVER, *bodies, {"level": "Metadata"}],
        }
    )


def authentication_configuration(oidc: OidcConfig | None) -> str:
    """Return who may sign in beside holders of certificates (apiserver.config.k8s.io/v1), as YAML.

    Whoever does not sign in is answered on `HEALTH_PATHS` alone.
    """
    return yaml_document(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AuthenticationConfiguration",
            "jwt": [] if oidc is None else [_jwt(oidc)],
            "anonymous": {"enabled": True, "conditions": [{"path": path} for path in HEALTH_PATHS]},
        }
    )


def _jwt(oidc: OidcConfig) -> Mapping[str, object]:
    issuer: dict[str, object] = {"url": oidc.issuer_url, "audiences": [oidc.client_id]}
    if oidc.certificate_authority is not None:
        issuer["certificateAuthority"] = oidc.certificate_authority
    claims: dict[str, object] = {"username": {"claim": oidc.username_claim, "prefix": oidc.prefix}}
    if oidc.groups_claim is not None:
        claims["groups"] = {"claim": oidc.groups_claim, "prefix": oidc.prefix}
    return {"issuer": issuer, "claimMappings": claims}
