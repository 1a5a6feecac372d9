"""What a namespace is made of: Pod Security, a quota, defaults for containers, network policies; and priority classes.

Pure data; `components.namespaces.component` turns it into resources.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from .flows import flow_policies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .flows import Flow, PolicyPlan

__all__ = [
    "GATEWAY_LABEL",
    "LABEL_DOMAIN",
    "NAMESPACE_LABEL",
    "REASON_ANNOTATION",
    "STACK_LABEL",
    "ContainerDefaults",
    "NamespacePlan",
    "PodSecurity",
    "PriorityClassPlan",
    "namespace_labels",
    "priority_classes",
    "scoped",
]

LABEL_DOMAIN = "lab.internal"
"""Prefix of this program's own labels and annotations: ``.internal`` is reserved for private use (ICANN, 2024), so no
stranger's controller has it."""
STACK_LABEL = f"{LABEL_DOMAIN}/stack"
"""Which stack made an object."""
GATEWAY_LABEL = f"{LABEL_DOMAIN}/gateway"
"""On a namespace: the Gateway its routes may attach to. The Gateway's listeners select namespaces by it."""
REASON_ANNOTATION = f"{LABEL_DOMAIN}/reason"
"""On a NetworkPolicy: why the flow it allows is needed."""
NAMESPACE_LABEL = "kubernetes.io/metadata.name"
"""Label the API server itself puts on every namespace: its name (since Kubernetes 1.22)."""


class PodSecurity(StrEnum):
    """Levels of the Pod Security Standards."""

    PRIVILEGED = "privileged"
    BASELINE = "baseline"
    RESTRICTED = "restricted"


@dataclass(frozen=True, kw_only=True)
class ContainerDefaults:
    """What a container gets that names nothing itself (LimitRange), as Kubernetes quantities by resource."""

    requests: Mapping[str, str]
    limits: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class NamespacePlan:
    """One namespace of ours: closed to the network but for its flows, restricted unless it must not be."""

    name: str
    stack: str
    pod_security: PodSecurity = PodSecurity.RESTRICTED
    """Level that is enforced; whatever is between it and restricted is warned about."""
    gateway: str | None = None
    """Name of the Gateway that routes of this namespace may attach to."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels beside those that follow from the rest."""
    quota: Mapping[str, str] = field(default_factory=dict[str, str])
    """Hard limits by resource (``requests.nvidia.com/gpu``, ``persistentvolumeclaims``); empty means none."""
    defaults: ContainerDefaults | None = None
    flows: tuple[Flow, ...] = ()
    """Connections allowed; everything else is denied in both directions."""

    @property
    def policies(self) -> tuple[PolicyPlan, ...]:
        """Network policies of the namespace, the closing one first."""
        return flow_policies(self.flows)


def scoped(base: str, stack: str) -> str:
    """Return the name of something of which every stack on a shared cluster has its own: ``gateway-prod``."""
    return f"{base}-{stack}"


def namespace_labels(plan: NamespacePlan) -> dict[str, str]:
    """Return the labels of a namespace: stack, Pod Security (enforced, audited, warned), gateway, its own."""
    labels = {
        STACK_LABEL: plan.stack,
        "pod-security.kubernetes.io/enforce": plan.pod_security,
        "pod-security.kubernetes.io/audit": PodSecurity.RESTRICTED,
        "pod-security.kubernetes.io/warn": PodSecurity.RESTRICTED,
    }
    if plan.pod_security is PodSecurity.PRIVILEGED:
        labels["pod-security.kubernetes.io/audit"] = PodSecurity.PRIVILEGED
        labels["pod-security.kubernetes.io/warn"] = PodSecurity.PRIVILEGED
    if plan.gateway is not None:
        labels[GATEWAY_LABEL] = plan.gateway
    return {key: str(value) for key, value in {**plan.labels, **labels}.items()}


@dataclass(frozen=True, kw_only=True)
class PriorityClassPlan:
    """One PriorityClass."""

    key: str
    """What components ask for: ``services``, ``interactive``, ``placeholder``."""
    name: str
    value: int
    preempts: bool
    """Whether a pending pod of it may evict pods of lower priority."""
    description: str


def priority_classes(stack: str) -> tuple[PriorityClassPlan, ...]:
    """Return the stack's priority classes, highest first.

    People's sessions neither evict one another nor are evicted by batch work; placeholders keep room warm and give it
    up to anybody. All lie far below the system's own two (2 000 000 000 and up) and none is the cluster's default.
    """
    return (
        PriorityClassPlan(
            key="services",
            name=scoped("services", stack),
            value=1_000_000,
            preempts=True,
            description="What every session needs to run: hub, gateway, storage.",
        ),
        PriorityClassPlan(
            key="interactive",
            name=scoped("interactive", stack),
            value=10_000,
            preempts=True,
            description="A person is waiting: sessions. They take the room of placeholders and batch work.",
        ),
        PriorityClassPlan(
            key="batch",
            name=scoped("batch", stack),
            value=1_000,
            preempts=False,
            description="Nobody is waiting: jobs. They queue for free room.",
        ),
        PriorityClassPlan(
            key="placeholder",
            name=scoped("placeholder", stack),
            value=-10,
            preempts=False,
            description="Keeps room warm for the next session, and gives it up to anybody.",
        ),
    )
