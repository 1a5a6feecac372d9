"""What can go wrong with a Kubernetes object, one class per failure; every message says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.engine.providers.base import ProviderError, UnfinishedError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ClusterUnreachableError",
    "FieldConflictError",
    "IncompleteObjectError",
    "KubeconfigError",
    "KubernetesError",
    "MissingNameError",
    "NoKubeconfigError",
    "ObjectExistsError",
    "PatchTargetMissingError",
    "RejectedError",
    "StillDeletingError",
    "StuckDeletionError",
    "UnknownKindError",
    "UnsupportedAnnotationError",
    "UnsupportedAuthenticationError",
    "UnsupportedOptionError",
    "UnsupportedTypeError",
]


class KubernetesError(ProviderError):
    """Any failure of this provider."""


class UnsupportedTypeError(KubernetesError):
    """The program uses a resource type that this engine does not run."""

    def __init__(self, *, token: str, remedy: str) -> None:
        super().__init__(f"{token} is not supported by this engine: {remedy}")


class UnsupportedAnnotationError(KubernetesError):
    """The program asks for a behaviour, by annotation, that this engine does not have."""

    def __init__(self, object_name: str, annotation: str, remedy: str) -> None:
        super().__init__(f"{object_name}: annotation {annotation} is not supported by this engine: {remedy}")


class UnsupportedOptionError(KubernetesError):
    """The Provider resource sets an option that this engine does not have."""

    def __init__(self, *, option: str, remedy: str) -> None:
        super().__init__(f"kubernetes Provider option {option} is not supported by this engine: {remedy}")


class UnsupportedAuthenticationError(KubernetesError):
    """The kubeconfig authenticates in a way that this engine does not have."""

    def __init__(self, *, field: str) -> None:
        super().__init__(
            f"kubeconfig: {field} is not supported by this engine; "
            "use a client certificate, a token or a tokenFile (every Kubernetes admin.conf has one of them)"
        )


class KubeconfigError(KubernetesError):
    """The kubeconfig cannot be used as it is."""

    def __init__(self, *, what: str, remedy: str) -> None:
        super().__init__(f"kubeconfig: {what}; {remedy}")


class NoKubeconfigError(KubernetesError):
    """The provider has no kubeconfig, and a person's own is never taken by accident."""

    def __init__(self) -> None:
        super().__init__(
            "no cluster is named: give the kubernetes Provider a kubeconfig (its text or its path); "
            "neither KUBECONFIG nor ~/.kube/config is read"
        )


class MissingNameError(KubernetesError):
    """An object without a fixed name."""

    def __init__(self, logical_name: str, kind: str, field: str) -> None:
        super().__init__(
            f"{kind} {logical_name!r} has no {field}, and this engine invents no names: "
            f'write {field} = "{logical_name}" (or another DNS label)'
        )


class IncompleteObjectError(KubernetesError):
    """An object without apiVersion or kind, which the SDK sets on every object."""

    def __init__(self, logical_name: str, field: str) -> None:
        super().__init__(f"{logical_name!r} has no {field}: a Kubernetes object states its apiVersion and kind")


class ClusterUnreachableError(KubernetesError, UnfinishedError):
    """No answer from the API server; what it was asked for may have been done."""

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(f"the Kubernetes API server {server} does not answer ({reason}): start it, then run again")
        self.server = server


class UnknownKindError(KubernetesError):
    """The API server has no such kind."""

    def __init__(self, object_id: str, api_version: str, kind: str) -> None:
        super().__init__(
            f"{kind} {object_id}: the API server knows no kind {kind} in {api_version}; "
            "let it depend on what brings its CustomResourceDefinition"
        )


class ObjectExistsError(KubernetesError):
    """The object is there already and is not this program's."""

    def __init__(self, kind: str, object_id: str, managers: Sequence[str]) -> None:
        owners = ", ".join(managers) or "nobody on record"
        super().__init__(
            f"{kind} {object_id} exists in the cluster and is not in this stack's state (managed by {owners}). "
            "It was left as it is. Give the program's object another name; or delete the existing one; or let the "
            "stack use what another stack owns"
        )


class FieldConflictError(KubernetesError):
    """Another field manager holds fields that the program sets to other values."""

    def __init__(self, kind: str, object_id: str, conflicts: Sequence[tuple[str, str]]) -> None:
        listed = "; ".join(f"{field} is held by {manager}" for field, manager in conflicts)
        super().__init__(
            f"{kind} {object_id} was not changed: {listed}. Let the program give up the field, stop the other manager "
            'from setting it, or put the annotation pulumi.com/patchForce: "true" on this one object to take it over'
        )
        self.conflicts = tuple(conflicts)


class RejectedError(KubernetesError):
    """The API server refused the object."""

    def __init__(self, kind: str, object_id: str, message: str) -> None:
        super().__init__(f"the Kubernetes API server refused {kind} {object_id}: {message}")


class PatchTargetMissingError(KubernetesError):
    """A Patch resource for an object that is not there; a patch never creates one."""

    def __init__(self, kind: str, object_id: str) -> None:
        super().__init__(
            f"{kind} {object_id} does not exist, so nothing can be set on it: "
            "let the patch depend on what registers it, or remove the patch"
        )


class StuckDeletionError(KubernetesError, UnfinishedError):
    """The object is marked for deletion and something holds it."""

    def __init__(
        self, kind: str, object_id: str, seconds: float, finalizers: Sequence[str], conditions: Sequence[str]
    ) -> None:
        parts = [f"{kind} {object_id} is still there {seconds:.0f} s after its deletion was asked for"]
        if finalizers:
            parts.append(f"it is held by the finalizers {', '.join(finalizers)}, whose controllers have not let it go")
        parts.extend(conditions)
        super().__init__("; ".join(parts) + ". Run again once they have, or remove the finalizer by hand")
        self.finalizers = tuple(finalizers)


class StillDeletingError(KubernetesError, UnfinishedError):
    """The run was stopped while the object was going."""

    def __init__(self, kind: str, object_id: str) -> None:
        super().__init__(f"{kind} {object_id}: stopped while waiting for its deletion; the next run goes on waiting")
