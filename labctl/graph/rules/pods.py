"""Pods in the objects of a stack: where a kind keeps its pod's specification, and the containers in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .reading import Path, at, mapping, sequence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.graph.values import Value

    from .model import RuledResource

__all__ = ["CONTAINERS", "REPLICATED", "containers", "pod_spec"]

_TEMPLATE: Final = ("spec", "template", "spec")
POD_SPECS: Final = {
    "Pod": ("spec",),
    "PodTemplate": ("template", "spec"),
    "Deployment": _TEMPLATE,
    "StatefulSet": _TEMPLATE,
    "DaemonSet": _TEMPLATE,
    "ReplicaSet": _TEMPLATE,
    "ReplicationController": _TEMPLATE,
    "Job": _TEMPLATE,
    "CronJob": ("spec", "jobTemplate", *_TEMPLATE),
}
"""Where the kinds of Kubernetes keep the specification of their pods (API reference of Kubernetes 1.36)."""
REPLICATED: Final = frozenset({"Deployment", "StatefulSet"})
"""Kinds that serve with as many pods as they are told."""
CONTAINERS: Final = ("containers", "initContainers")
"""Lists of a pod's specification."""


def pod_spec(resource: RuledResource) -> tuple[Path, dict[str, Value]] | None:
    """Return the path and the specification of the pods that `resource` makes; None when it makes none."""
    path = POD_SPECS.get(resource.kind)
    if path is None or not resource.is_object:
        return None
    return path, mapping(at(resource.inputs, *path))


def containers(resource: RuledResource) -> Iterator[tuple[Path, dict[str, Value]]]:
    """Yield every container of the pods that `resource` makes, init containers included, with its path."""
    found = pod_spec(resource)
    if found is None:
        return
    path, spec = found
    for key in CONTAINERS:
        for index, item in enumerate(sequence(spec.get(key))):
            yield (*path, key, index), mapping(item)
