"""Pods of the stack's namespaces that are not as they should be, and why. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from labctl.doctor.facts.fact import value_of
from labctl.doctor.findings import Verdict, problem, warning

from .cluster import cluster_of
from .storage import GRACE, own_namespaces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from labctl.doctor.declared import Declared
    from labctl.doctor.facts.everything import Facts
    from labctl.doctor.facts.objects import PodFacts
    from labctl.doctor.findings import Finding

__all__ = ["pods"]

SYSTEM: Final = "kube-system"
"""Namespace of the control plane's own pods, which is ours where the cluster is."""
ENDED: Final = "Succeeded"
SERVER: Final = "singleuser-server"
"""A user's own, who sees what is wrong with it; here only a warning."""
PLACEHOLDER: Final = "user-placeholder"
"""Keeps room for users, and waits whenever there is none: as it should."""
HOPELESS: Final = (
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
)
"""Reasons that do not go away by waiting (kubelet)."""


def pods(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge whether the pods of the stack's own namespaces are ready."""
    namespaces = {*own_namespaces(facts), *(() if declared.is_adopted else (SYSTEM,))}
    found = [pod for pod in value_of(cluster_of(facts).pods) if pod.namespace in namespaces]
    findings: list[Finding] = []
    for pod in found:
        if not pod.is_ready and not pod.is_ending and pod.phase != ENDED and pod.component != PLACEHOLDER:
            findings += _unready(pod, declared, now)
    running = sum(pod.is_ready for pod in found)
    said = f"{running} pods are ready" if found else "no pod runs in its namespaces"
    return Verdict(said=said, findings=tuple(findings))


def _unready(pod: PodFacts, declared: Declared, now: datetime) -> Iterator[Finding]:
    why = "; ".join(pod.reasons) or "nobody says why"
    is_hopeless = any(word in why for word in HOPELESS) or pod.phase == "Failed"
    is_new = pod.created is not None and now - pod.created < GRACE
    if is_new and not is_hopeless:
        return
    counted = f", restarted {pod.restarts} times" if pod.restarts else ""
    what = f"it is {pod.phase or 'of no phase'} and not ready{counted}: {why}"
    looks = declared.kubectl(f"logs -n {pod.namespace} {pod.name} --all-containers --previous")
    look = looks if pod.restarts else declared.kubectl(f"describe pod -n {pod.namespace} {pod.name}")
    make = warning if pod.component == SERVER else problem
    yield make(f"pod {pod.namespace}/{pod.name}", what, look)
