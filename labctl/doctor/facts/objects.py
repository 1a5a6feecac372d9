"""Objects of the API server as the few things that are judged about them. Pure: JSON in, plain data out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from components.gpu.slices import RESOURCE_PREFIX
from labctl.control_plane.quantities import amount
from labctl.graph.values import as_mapping, as_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labctl.graph.values import Inputs, Value

__all__ = [
    "CertificateFacts",
    "ClaimFacts",
    "ClassFacts",
    "NodeFacts",
    "PodFacts",
    "VolumeFacts",
    "WorkloadFacts",
    "certificate_facts",
    "claim_facts",
    "class_facts",
    "moment",
    "name_of",
    "node_facts",
    "pod_facts",
    "volume_facts",
    "workload_facts",
]

READY: Final = "Ready"
TRUE: Final = "True"
RELEASE_ANNOTATION: Final = "meta.helm.sh/release-name"
NAMESPACE_ANNOTATION: Final = "meta.helm.sh/release-namespace"
"""What Helm writes on every object of a release (helm, ``pkg/action/validate.go``)."""


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """One node."""

    name: str
    ready: str
    """``True``, ``False``, ``Unknown``: status of the condition Ready."""
    reason: str
    """What the kubelet, or the node controller, says about that."""
    pressures: tuple[str, ...]
    """Other conditions that are true: ``MemoryPressure``, ``DiskPressure``, ``PIDPressure``, ``NetworkUnavailable``."""
    is_cordoned: bool
    labels: Mapping[str, str]
    taints: frozenset[tuple[str, str, str]]
    """Key, value and effect."""
    annotations: Mapping[str, str]
    gpus: Mapping[str, int]
    """What it offers of NVIDIA's resources; none at 0."""
    kubelet: str = ""
    """Version of its kubelet."""


@dataclass(frozen=True, kw_only=True)
class ClassFacts:
    """One StorageClass."""

    name: str
    waits_for_pods: bool
    """Whether claims of it are bound only once a pod wants them (``WaitForFirstConsumer``)."""


@dataclass(frozen=True, kw_only=True)
class ClaimFacts:
    """One PersistentVolumeClaim."""

    namespace: str
    name: str
    phase: str
    class_name: str
    created: datetime | None


@dataclass(frozen=True, kw_only=True)
class VolumeFacts:
    """One PersistentVolume."""

    name: str
    phase: str
    claim: str
    """``namespace/name`` of the claim it is for; empty where there is none."""


@dataclass(frozen=True, kw_only=True)
class PodFacts:
    """One pod."""

    namespace: str
    name: str
    phase: str
    is_ready: bool
    reasons: tuple[str, ...]
    """Why it is not: ``CrashLoopBackOff in container hub``, ``Unschedulable: 0/5 nodes are available``."""
    restarts: int
    created: datetime | None
    is_ending: bool
    component: str
    """What it is in JupyterHub's chart: ``singleuser-server``, ``user-placeholder``; empty elsewhere."""


@dataclass(frozen=True, kw_only=True)
class WorkloadFacts:
    """One Deployment, StatefulSet or DaemonSet."""

    kind: str
    namespace: str
    name: str
    wanted: int
    ready: int
    release: tuple[str, str] | None
    """Namespace and name of the Helm release it belongs to."""


@dataclass(frozen=True, kw_only=True)
class CertificateFacts:
    """One Certificate of cert-manager's."""

    namespace: str
    name: str
    is_ready: bool | None
    """None: nobody has said so yet."""
    reason: str
    not_after: datetime | None
    renewal: datetime | None = field(default=None)
    """When cert-manager means to renew it."""


def name_of(item: Inputs) -> str:
    """Return the object's name."""
    return as_text(as_mapping(item.get("metadata")).get("name"))


def moment(value: Value) -> datetime | None:
    """Return a time as Kubernetes writes it (RFC 3339), None where there is none."""
    try:
        return datetime.fromisoformat(as_text(value)).astimezone(UTC)
    except ValueError:
        return None


def node_facts(item: Inputs) -> NodeFacts:
    """Return a node."""
    metadata, spec, status = _parts(item)
    conditions = {as_text(found.get("type")): found for found in _objects(status.get("conditions"))}
    ready = conditions.pop(READY, {})
    offered = _texts(status.get("allocatable"))
    counts = {name: int(amount(count)) for name, count in offered.items() if name.startswith(RESOURCE_PREFIX)}
    return NodeFacts(
        name=as_text(metadata.get("name")),
        ready=as_text(ready.get("status")) or "Unknown",
        reason=as_text(ready.get("message")) or as_text(ready.get("reason")),
        pressures=tuple(sorted(kind for kind, found in conditions.items() if found.get("status") == TRUE)),
        is_cordoned=spec.get("unschedulable") is True,
        labels=_texts(metadata.get("labels")),
        taints=frozenset(
            (as_text(taint.get("key")), as_text(taint.get("value")), as_text(taint.get("effect")))
            for taint in _objects(spec.get("taints"))
        ),
        annotations=_texts(metadata.get("annotations")),
        gpus={name: count for name, count in sorted(counts.items()) if count},
        kubelet=as_text(as_mapping(status.get("nodeInfo")).get("kubeletVersion")),
    )


def class_facts(item: Inputs) -> ClassFacts:
    """Return a StorageClass."""
    return ClassFacts(name=name_of(item), waits_for_pods=item.get("volumeBindingMode") == "WaitForFirstConsumer")


def claim_facts(item: Inputs) -> ClaimFacts:
    """Return a claim."""
    metadata, spec, status = _parts(item)
    return ClaimFacts(
        namespace=as_text(metadata.get("namespace")),
        name=as_text(metadata.get("name")),
        phase=as_text(status.get("phase")),
        class_name=as_text(spec.get("storageClassName")),
        created=moment(metadata.get("creationTimestamp")),
    )


def volume_facts(item: Inputs) -> VolumeFacts:
    """Return a volume."""
    metadata, spec, status = _parts(item)
    reference = as_mapping(spec.get("claimRef"))
    named = f"{as_text(reference.get('namespace'))}/{as_text(reference.get('name'))}" if reference else ""
    return VolumeFacts(name=as_text(metadata.get("name")), phase=as_text(status.get("phase")), claim=named)


def pod_facts(item: Inputs) -> PodFacts:
    """Return a pod, with why it is not ready."""
    metadata, _, status = _parts(item)
    conditions = {as_text(found.get("type")): found for found in _objects(status.get("conditions"))}
    containers = [*_objects(status.get("initContainerStatuses")), *_objects(status.get("containerStatuses"))]
    restarts = [found.get("restartCount") for found in containers]
    labels = _texts(metadata.get("labels"))
    return PodFacts(
        namespace=as_text(metadata.get("namespace")),
        name=as_text(metadata.get("name")),
        phase=as_text(status.get("phase")),
        is_ready=conditions.get(READY, {}).get("status") == TRUE,
        reasons=(*_unscheduled(conditions), *_waiting(containers)),
        restarts=sum(count for count in restarts if isinstance(count, int)),
        created=moment(metadata.get("creationTimestamp")),
        is_ending="deletionTimestamp" in metadata,
        component=labels.get("component", ""),
    )


def workload_facts(kind: str, item: Inputs) -> WorkloadFacts:
    """Return a Deployment, StatefulSet or DaemonSet."""
    metadata, spec, status = _parts(item)
    is_daemon = kind == "DaemonSet"
    wanted = status.get("desiredNumberScheduled") if is_daemon else spec.get("replicas", 1)
    ready = status.get("numberReady" if is_daemon else "readyReplicas")
    annotations = _texts(metadata.get("annotations"))
    release = annotations.get(RELEASE_ANNOTATION)
    namespace = as_text(metadata.get("namespace"))
    return WorkloadFacts(
        kind=kind,
        namespace=namespace,
        name=as_text(metadata.get("name")),
        wanted=wanted if isinstance(wanted, int) else 0,
        ready=ready if isinstance(ready, int) else 0,
        release=None if release is None else (annotations.get(NAMESPACE_ANNOTATION, namespace), release),
    )


def certificate_facts(item: Inputs) -> CertificateFacts:
    """Return a Certificate."""
    metadata, _, status = _parts(item)
    conditions = {as_text(found.get("type")): found for found in _objects(status.get("conditions"))}
    ready = conditions.get(READY)
    return CertificateFacts(
        namespace=as_text(metadata.get("namespace")),
        name=as_text(metadata.get("name")),
        is_ready=None if ready is None else ready.get("status") == TRUE,
        reason="" if ready is None else as_text(ready.get("message")) or as_text(ready.get("reason")),
        not_after=moment(status.get("notAfter")),
        renewal=moment(status.get("renewalTime")),
    )


def _unscheduled(conditions: Mapping[str, Inputs]) -> Iterator[str]:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled and scheduled.get("status") != TRUE:
        yield f"{as_text(scheduled.get('reason'))}: {as_text(scheduled.get('message'))}".strip(": ")


def _waiting(containers: Sequence[Inputs]) -> Iterator[str]:
    for found in containers:
        state = as_mapping(found.get("state"))
        waiting, ended = as_mapping(state.get("waiting")), as_mapping(state.get("terminated"))
        last = as_mapping(as_mapping(found.get("lastState")).get("terminated"))
        name = as_text(found.get("name"))
        if reason := as_text(waiting.get("reason")):
            before = as_text(last.get("reason"))
            status = last.get("exitCode")
            why = f", which ended before with {before} (status {status})" if before else ""
            yield f"{reason} in container {name}{why}"
        elif ended and ended.get("exitCode") != 0:
            yield f"container {name} ended with {as_text(ended.get('reason'))} (status {ended.get('exitCode')})"


def _parts(item: Inputs) -> tuple[Inputs, Inputs, Inputs]:
    return as_mapping(item.get("metadata")), as_mapping(item.get("spec")), as_mapping(item.get("status"))


def _objects(value: Value) -> list[Inputs]:
    return [as_mapping(found) for found in value] if isinstance(value, list) else []


def _texts(value: Value) -> dict[str, str]:
    return {key: as_text(text) for key, text in as_mapping(value).items()}
