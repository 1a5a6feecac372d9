"""Which changes cannot be made in place: pure functions over two inputs of one object.

The table is the official provider's (pulumi-kubernetes ``provider/pkg/provider/diff.go``, ``forceNew``), so that both
engines replace for the same change. `REFUSED_BY_SERVER` adds fields that the API server refuses to change and the
official provider therefore fails on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from labctl.engine.providers.base import Diff, Replacement
from labctl.graph.differences import differences, steps, value_at
from labctl.graph.values import Secret, Unknown, Value, as_mapping, as_text

from .vocabulary import group_of, is_namespaced

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labctl.graph.values import Inputs

__all__ = ["Mutability", "object_diff", "replacing_fields"]

IDENTITY: Final = ("metadata.name", "metadata.namespace")
"""A change of either is another object."""

VOLUME_SOURCES: Final = (
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "glusterfs",
    "hostPath",
    "iscsi",
    "local",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
)
POD_FIELDS: Final = (
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostname",
    "imagePullSecrets",
    "nodeName",
    "nodeSelector",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "volumes",
)
CONTAINER_FIELDS: Final = (
    "args",
    "command",
    "env",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "ports",
    "readinessProbe",
    "resources",
    "securityContext",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
)

OFFICIAL: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("apps", "DaemonSet"): ("spec.selector",),
    ("apps", "Deployment"): ("spec.selector",),
    ("apps", "StatefulSet"): (
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    ("batch", "Job"): ("spec.completions", "spec.parallelism", "spec.selector", "spec.template"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),
    ("storage.k8s.io", "StorageClass"): ("parameters", "provisioner"),
    ("", "PersistentVolume"): tuple(f"spec.{source}" for source in VOLUME_SOURCES),
    ("", "PersistentVolumeClaim"): (
        "spec.accessModes",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeName",
    ),
    ("", "Pod"): (
        *(f"spec.{field}" for field in POD_FIELDS),
        *(f"spec.{kind}[*].{field}" for kind in ("containers", "initContainers") for field in CONTAINER_FIELDS),
    ),
    ("", "ResourceQuota"): ("spec.scopes",),
    ("", "Secret"): ("type",),
    ("", "Service"): ("spec.clusterIP",),
}
"""By API group and kind."""

REFUSED_BY_SERVER: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("apiextensions.k8s.io", "CustomResourceDefinition"): ("spec.scope",),
    ("batch", "Job"): ("spec.completionMode", "spec.podFailurePolicy"),
    ("networking.k8s.io", "IngressClass"): ("spec.controller",),
    ("node.k8s.io", "RuntimeClass"): ("handler",),
    ("scheduling.k8s.io", "PriorityClass"): ("preemptionPolicy", "value"),
    ("storage.k8s.io", "CSIDriver"): ("spec.attachRequired", "spec.volumeLifecycleModes"),
    ("storage.k8s.io", "StorageClass"): ("reclaimPolicy", "volumeBindingMode"),
    ("", "PersistentVolume"): ("spec.nodeAffinity", "spec.volumeMode"),
    ("", "PersistentVolumeClaim"): ("spec.dataSource", "spec.dataSourceRef", "spec.volumeMode"),
}
"""Further fields with "field is immutable" in the API server's validation (``k8s.io/kubernetes/pkg/apis``)."""

CONTENTS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("", "ConfigMap"): ("binaryData", "data"),
    ("", "Secret"): ("data", "stringData"),
}
"""What an object holds: replaced unless the provider's options make it mutable, or the object says ``immutable``."""


@dataclass(frozen=True)
class Mutability:
    """The provider options that let contents be changed in place instead of by delete and create."""

    config_maps: bool = False
    """``enableConfigMapMutable``."""
    secrets: bool = False
    """``enableSecretMutable``."""


def replacing_fields(old: Mapping[str, Value], new: Mapping[str, Value], mutability: Mutability) -> tuple[str, ...]:
    """Return the field paths of an object whose change replaces it; ``[*]`` stands for any index."""
    key = (group_of(as_text(new.get("apiVersion"))), as_text(new.get("kind")))
    fields = (*IDENTITY, *OFFICIAL.get(key, ()), *REFUSED_BY_SERVER.get(key, ()))
    contents = CONTENTS.get(key)
    if contents is None:
        return fields
    was_fixed = old.get("immutable") is True
    in_place = mutability.secrets if key == ("", "Secret") else mutability.config_maps
    if was_fixed:
        return (*fields, *contents, "immutable")
    return (*fields, *contents) if new.get("immutable") is True or not in_place else fields


def object_diff(old: Mapping[str, Value], new: Mapping[str, Value], mutability: Mutability, *, patch: bool) -> Diff:
    """Return how an object's checked inputs change, which changes replace it, and in which order.

    Parameters
    ----------
    old, new
        Checked inputs.
    mutability
        The provider's options.
    patch
        True for a Patch resource, whose fields can all be changed in place.
    """
    before, after = _with_namespace(old), _with_namespace(new)
    changes = differences(before, after)
    fields = IDENTITY if patch else replacing_fields(before, after, mutability)
    replacing = frozenset(path for path in changes if path == "metadata" or _touches(path, fields, before, after))
    same_place = all(value_at(before, path) == value_at(after, path) for path in IDENTITY)
    order = Replacement.DELETE_FIRST if same_place else Replacement.CREATE_FIRST
    return Diff(changes=changes, replace_paths=replacing, order=order)


def _with_namespace(inputs: Mapping[str, Value]) -> Inputs:
    """Make ``default`` explicit where the API server would (official: ``canonicalNamespace``)."""
    copied = dict(inputs)
    metadata = copied.get("metadata")
    opened = metadata.value if isinstance(metadata, Secret) else metadata
    if isinstance(opened, Unknown):
        return copied
    namespaced = is_namespaced(as_text(inputs.get("apiVersion")), as_text(inputs.get("kind")))
    fields = dict(as_mapping(metadata))
    if namespaced and not fields.get("namespace"):
        fields["namespace"] = "default"
    copied["metadata"] = fields
    return copied


def _touches(path: str, fields: Iterable[str], before: Inputs, after: Inputs) -> bool:
    """Tell whether the change at `path` changes one of `fields`: it lies in it, or carries it along."""
    changed = tuple(steps(path))
    for field in fields:
        wanted = tuple(steps(field))
        common = min(len(changed), len(wanted))
        if not all(want in ("*", have) for want, have in zip(wanted[:common], changed[:common], strict=True)):
            continue
        if len(wanted) <= len(changed):
            return True
        rest = wanted[common:]
        if _holds(value_at(before, path), rest) or _holds(value_at(after, path), rest):
            return True
    return False


def _holds(value: Value, path: tuple[str, ...]) -> bool:
    """Tell whether something lies at `path` within `value`."""
    if isinstance(value, Secret):
        value = value.value
    if not path:
        return value is not None
    if isinstance(value, dict):
        return _holds(value.get(path[0]), path[1:])
    if isinstance(value, list):
        return any(_holds(item, path[1:]) for item in value)
    return False
