"""Kinds and type tokens: what the program may use, and which built-in kinds live in a namespace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .exceptions import UnsupportedTypeError

__all__ = ["BUILT_IN_GROUPS", "RELEASE_TYPE", "TypeToken", "group_of", "is_namespaced", "refuse_unsupported"]

RELEASE_TYPE: Final = "kubernetes:helm.sh/v3:Release"
"""Token of the one Helm resource that is supported."""

BUILT_IN_GROUPS: Final = frozenset(
    {
        "",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "apps",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
    }
)
"""API groups that the API server serves itself (``kubectl api-versions`` on Kubernetes 1.36 without any CRD)."""

CLUSTER_SCOPED: Final = frozenset(
    {
        "APIService",
        "CSIDriver",
        "CSINode",
        "CertificateSigningRequest",
        "ClusterRole",
        "ClusterRoleBinding",
        "ClusterTrustBundle",
        "ComponentStatus",
        "CustomResourceDefinition",
        "DeviceClass",
        "FlowSchema",
        "IPAddress",
        "IngressClass",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "ResourceSlice",
        "RuntimeClass",
        "ServiceCIDR",
        "StorageClass",
        "StorageVersionMigration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
        "VolumeAttributesClass",
    }
)
"""Built-in kinds without a namespace (``kubectl api-resources --namespaced=false``, Kubernetes 1.36)."""

PATCH_SUFFIX: Final = "Patch"
PATCHABLE: Final = frozenset({"Node"})
"""Kinds that the program may own single fields of: Nodes belong to their kubelets."""


@dataclass(frozen=True)
class TypeToken:
    """A Kubernetes type token, for example ``kubernetes:apps/v1:Deployment``."""

    group_version: str
    kind: str

    @classmethod
    def parse(cls, token: str) -> TypeToken:
        """Return the parts of `token`."""
        _, group_version, kind = token.split(":", 2)
        return cls(group_version, kind)

    def is_patch_of(self, kind: str) -> bool:
        """Tell whether this is the Patch resource of objects of `kind` (official: ``kinds.IsPatchResource``)."""
        return self.kind == kind + PATCH_SUFFIX


def group_of(api_version: str) -> str:
    """Return the API group of `api_version`: empty for ``v1`` (and for its alias ``core/v1``)."""
    group, slash, _ = api_version.partition("/")
    return group if slash and group != "core" else ""


def is_namespaced(api_version: str, kind: str) -> bool | None:
    """Tell whether objects of a built-in `kind` live in a namespace; None for kinds that a CRD defines."""
    if group_of(api_version) not in BUILT_IN_GROUPS:
        return None
    return kind not in CLUSTER_SCOPED


REFUSED_PREFIXES: Final = (
    ("kubernetes:helm.sh/v3:Chart", "use kubernetes.helm.v3.Release, which Helm itself installs"),
    ("kubernetes:helm.sh/v4:", "use kubernetes.helm.v3.Release: a v4 Chart hides its objects from the state"),
    ("kubernetes:yaml", "write the objects as resources, so that each can be seen, compared and removed by name"),
    ("kubernetes:kustomize", "write the objects as resources, so that each can be seen, compared and removed by name"),
)


def refuse_unsupported(token: str, kind: str) -> None:
    """Return if objects of the type `token` with `kind` can be run.

    Raises
    ------
    UnsupportedTypeError
        For types that expand into others and for Patch resources other than ``NodePatch``; official: lists cannot be
        created either (``provider.go``, ``Check``).
    """
    for prefix, remedy in REFUSED_PREFIXES:
        if token.startswith(prefix):
            raise UnsupportedTypeError(token=token, remedy=remedy)
    parsed = TypeToken.parse(token)
    if parsed.is_patch_of(kind) and kind not in PATCHABLE:
        raise UnsupportedTypeError(
            token=token, remedy="only NodePatch is; own the whole object, or let its owner set the field"
        )
    if parsed.kind.endswith("List") and group_of(parsed.group_version) in BUILT_IN_GROUPS:
        raise UnsupportedTypeError(token=token, remedy="a list cannot be created; write its items as resources")
