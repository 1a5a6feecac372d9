"""Custom resources against the structural schema of their kind, as strict field validation would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from .findings import Finding
from .schemas import closed, schema_findings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .facts import KindFacts

__all__ = ["BUILT_IN_GROUPS", "custom_resource_findings", "is_custom"]

BUILT_IN_GROUPS: Final = frozenset(
    {
        "", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "apps",
        "authentication.k8s.io", "authorization.k8s.io", "autoscaling", "batch", "certificates.k8s.io",
        "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "flowcontrol.apiserver.k8s.io", "networking.k8s.io",
        "node.k8s.io", "policy", "rbac.authorization.k8s.io", "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io",
        "storagemigration.k8s.io",
    }
)  # fmt: skip
"""API groups that kube-apiserver itself serves (Kubernetes 1.36); their objects are typed by the SDK."""
HELD_BY_ALL: Final = ("apiVersion", "kind", "metadata")


def is_custom(api_version: str) -> bool:
    """Tell whether a kind of this ``apiVersion`` comes with a chart, not with Kubernetes."""
    group, _, _ = api_version.rpartition("/")
    return group not in BUILT_IN_GROUPS


def custom_resource_findings(
    resource: Mapping[str, object], facts: KindFacts, unknown: Callable[[object], bool] = lambda _: False
) -> list[Finding]:
    """Return everything the API server would not take of a custom resource.

    Parameters
    ----------
    resource
        The whole object.
    facts
        What its kind may hold.
    unknown
        Tells placeholders for values that only exist after applying.
    """
    found: list[Finding] = []
    if not facts.served:
        found.append(Finding(("apiVersion",), f"version {facts.version} is no longer served"))
    metadata = resource.get("metadata")
    namespace = cast("Mapping[str, object]", metadata).get("namespace") if isinstance(metadata, dict) else None
    if facts.scope == "Namespaced" and namespace is None:
        found.append(Finding(("metadata", "namespace"), f"a {facts.kind} lives in a namespace"))
    if facts.scope == "Cluster" and namespace is not None:
        found.append(Finding(("metadata", "namespace"), f"a {facts.kind} lives in no namespace"))
    schema = closed(facts.schema)
    # Metadata is the API server's own business, and the same for all kinds.
    anything: dict[str, object] = {}
    schema["properties"] = {**cast("dict[str, object]", schema["properties"]), **dict.fromkeys(HELD_BY_ALL, anything)}
    found += schema_findings(resource, schema, unknown)
    return sorted(set(found), key=str)
