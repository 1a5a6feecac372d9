"""What a node and its pods say, as plain data. Pure: from Kubernetes' objects to `NodeFacts`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from lightkube.utils.quantity import parse_quantity

from components.gpu.plan import MIG_CONFIG_LABEL, PLUGIN_CONFIG_LABEL
from components.gpu.slices import WHOLE, resource_name

from .record import ANNOTATION, EVICTION_ANNOTATION, Record, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .objects import Condition, ContainerObject, Metadata, NodeObject, PodObject

__all__ = [
    "LABELS",
    "MIG_MANAGER",
    "STATE_LABEL",
    "Holder",
    "Kind",
    "MigState",
    "NodeFacts",
    "Operand",
    "is_gpu_resource",
    "node_facts",
    "owned_labels",
]

LABELS = frozenset({MIG_CONFIG_LABEL, PLUGIN_CONFIG_LABEL})
"""Node labels that name an entry of the operator's two ConfigMaps."""
STATE_LABEL = "nvidia.com/mig.config.state"
"""Node label by which the MIG manager answers (NVIDIA/mig-parted, ``pkg/mig/reconfigure/reconfigure.go``)."""
MIG_MANAGER = "nvidia-mig-manager"
OPERANDS = (MIG_MANAGER, "nvidia-device-plugin-daemonset", "gpu-feature-discovery")
"""Label ``app`` of the operator's pods that read the two ConfigMaps (gpu-operator, ``assets/*/*_daemonset.yaml``)."""
_WHOLE = resource_name(WHOLE)
_MIG_PREFIX = resource_name("1g.10gb").removesuffix("1g.10gb")
_MIRROR = "kubernetes.io/config.mirror"
"""Annotation of a static pod's image in the API server (kubelet)."""


class MigState(StrEnum):
    """What the MIG manager may answer."""

    PENDING = "pending"
    REBOOTING = "rebooting"
    SUCCESS = "success"
    FAILED = "failed"


class Kind(StrEnum):
    """What an eviction would do to a pod."""

    ORDINARY = "ordinary"
    """It ends."""
    STATIC = "static"
    """Nothing: its kubelet reads it from a file."""
    DAEMON = "daemon"
    """Its DaemonSet starts it again on the same node at once."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A pod that holds GPUs of a node."""

    namespace: str
    name: str
    uid: str
    kind: Kind = Kind.ORDINARY
    is_ending: bool = False
    told: str | None = None
    """Time of eviction it was told, as its annotation has it."""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Operand:
    """A pod of the operator's on a node, one that reads the ConfigMaps."""

    name: str
    uid: str
    app: str
    is_running: bool
    """Past its init containers: it has its mounts since some time."""
    is_ready: bool
    is_ending: bool = False


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """One node, now."""

    name: str
    version: str = ""
    """The object's resourceVersion: what is decided on these facts is done to no other state of the node."""
    is_ready: bool = True
    is_unschedulable: bool = False
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels it has: those of `LABELS`, and whatever else its goal names."""
    owned: frozenset[str] = frozenset()
    """Labels that our field manager owns."""
    state: str | None = None
    """What the MIG manager answered; None where it never did."""
    allocatable: Mapping[str, int] = field(default_factory=dict[str, int])
    """GPU resources it offers; none at 0."""
    record: Record | None = None
    holders: tuple[Holder, ...] = ()
    operands: tuple[Operand, ...] = ()

    @property
    def is_working(self) -> bool:
        """Whether the MIG manager says it is at work."""
        return self.state in {MigState.PENDING, MigState.REBOOTING}


def is_gpu_resource(name: str) -> bool:
    """Tell whether an extended resource is a GPU or a part of one; other devices of NVIDIA's are not ours."""
    return name in {_WHOLE, f"{_WHOLE}.shared"} or name.startswith(_MIG_PREFIX)


def node_facts(
    node: NodeObject, pods: Iterable[PodObject], *, manager: str, namespace: str, watched: Iterable[str] = ()
) -> NodeFacts:
    """Return what a node and the pods bound to it say.

    Parameters
    ----------
    node, pods
        As the API server has them.
    manager
        Our field manager.
    namespace
        The operator's namespace: its own pods are operands, and hold no GPU against us.
    watched
        Labels to know beside `LABELS`.

    Raises
    ------
    DamagedRecordError
        If the annotation is unreadable.
    """
    found = list(pods)
    metadata = node.metadata
    labels = metadata.labels or {}
    offered = node.status.allocatable or {}
    # A count in thousands comes back as "2k".
    counts = {key: int(parse_quantity(count) or 0) for key, count in offered.items() if is_gpu_resource(key)}
    return NodeFacts(
        name=metadata.name,
        version=metadata.resource_version,
        is_ready=_is_ready(node.status.conditions),
        is_unschedulable=bool(node.spec.unschedulable),
        labels={key: labels[key] for key in sorted({*LABELS, *watched}) if key in labels},
        owned=owned_labels(node, manager),
        state=labels.get(STATE_LABEL),
        allocatable={key: count for key, count in sorted(counts.items()) if count},
        record=read(metadata.name, (metadata.annotations or {}).get(ANNOTATION)),
        holders=tuple(sorted(_holders(found, namespace), key=str)),
        operands=tuple(sorted(_operands(found, namespace), key=lambda operand: operand.name)),
    )


def owned_labels(node: NodeObject, manager: str) -> frozenset[str]:
    """Return the labels that a field manager declares on a node by server-side apply, the MIG manager's answer aside.

    That one is set together with a question (`Label.marks_pending`); it stays the MIG manager's own.
    """
    owned: set[str] = set()
    for entry in node.metadata.managed_fields or ():
        if entry.manager == manager and entry.operation == "Apply" and not entry.subresource:
            declared = (entry.fields_v1 or {}).get("f:metadata", {}).get("f:labels")
            fields = declared if isinstance(declared, dict) else {}
            owned |= {field.removeprefix("f:") for field in fields if field.startswith("f:")}
    return frozenset(owned - {STATE_LABEL})


def _is_ready(conditions: tuple[Condition, ...] | None) -> bool:
    return any(condition.type == "Ready" and condition.status == "True" for condition in conditions or ())


def _holders(pods: Iterable[PodObject], namespace: str) -> Iterable[Holder]:
    for pod in pods:
        metadata = pod.metadata
        is_over = pod.status.phase in {"Succeeded", "Failed"}
        # What an init container asked for stays with the pod to its end, for scheduler and kubelet alike.
        containers = [*pod.spec.containers, *(pod.spec.init_containers or ())]
        if is_over or metadata.namespace == namespace or not any(map(_asks_for_gpu, containers)):
            continue
        yield Holder(
            namespace=metadata.namespace,
            name=metadata.name,
            uid=metadata.uid,
            kind=_kind(metadata),
            is_ending=metadata.deletion_timestamp is not None,
            told=(metadata.annotations or {}).get(EVICTION_ANNOTATION),
        )


def _asks_for_gpu(container: ContainerObject) -> bool:
    if container.resources is None:
        return False
    asked = {**(container.resources.limits or {}), **(container.resources.requests or {})}
    return any(is_gpu_resource(name) and amount != "0" for name, amount in asked.items())


def _kind(metadata: Metadata) -> Kind:
    if _MIRROR in (metadata.annotations or {}):
        return Kind.STATIC
    owners = metadata.owner_references or ()
    return Kind.DAEMON if any(owner.kind == "DaemonSet" and owner.controller for owner in owners) else Kind.ORDINARY


def _operands(pods: Iterable[PodObject], namespace: str) -> Iterable[Operand]:
    for pod in pods:
        metadata = pod.metadata
        app = (metadata.labels or {}).get("app", "")
        if metadata.namespace == namespace and app in OPERANDS:
            yield Operand(
                name=metadata.name,
                uid=metadata.uid,
                app=app,
                is_running=pod.status.phase == "Running",
                is_ready=_is_ready(pod.status.conditions),
                is_ending=metadata.deletion_timestamp is not None,
            )
