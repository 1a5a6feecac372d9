"""Waiting on a live object: until it is ready, until it is gone; with the reasons when it takes too long."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from labctl.graph.values import as_mapping, as_text

from .client import ApiError
from .cluster import Cluster, Target
from .exceptions import StillDeletingError, StuckDeletionError
from .readiness import Lookup, Verdict, wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.engine.providers.base import Context
    from labctl.graph.values import Inputs, Value

    from .discovery import ResourceKind

__all__ = ["NotReadyError", "Place", "await_gone", "await_ready"]

FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 1.0
PAUSE_GROWTH: Final = 1.5
"""Polling: quick things are seen quickly, slow ones cost the server one read a second."""

SHOWN_PODS: Final = 3
SHOWN_EVENTS: Final = 3
"""As many as a person reads."""


class NotReadyError(Exception):
    """An object that exists and did not get ready; `live` is its last known state."""

    def __init__(self, live: Inputs, reasons: tuple[str, ...]) -> None:
        super().__init__("; ".join(reasons))
        self.live = live
        self.reasons = reasons


@dataclass(frozen=True)
class Place:
    """An object of one cluster, and how to address it."""

    cluster: Cluster
    resource: ResourceKind
    target: Target

    @property
    def id(self) -> str:
        """The object's Pulumi id."""
        return self.target.id(self.resource)

    def get(self) -> Inputs | None:
        """Return the live object, or None."""
        return self.cluster.get(self.resource, self.target)


class _ClusterLookup(Lookup):
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> Inputs | None:
        target = Target(api_version, kind, name, namespace)
        resource = self._cluster.resource_of(target)
        return self._cluster.get(resource, target) if resource else None

    def list(self, api_version: str, kind: str, namespace: str, label_selector: str) -> list[Inputs]:
        resource = self._cluster.resource_of(Target(api_version, kind, "", namespace))
        return self._cluster.list(resource, namespace, {"labelSelector": label_selector}) if resource else []


def await_ready(place: Place, live: Inputs, timeout_seconds: float | None, context: Context) -> Inputs:
    """Return the live object once it is ready; objects whose kind needs no waiting at once.

    Raises
    ------
    NotReadyError
        It failed, it took longer than `timeout_seconds` (None: its kind's default), or the person asked to stop.
    """
    wait = wait_for(live)
    if wait is None:
        return live
    lookup = _ClusterLookup(place.cluster)
    limit = wait.timeout_seconds if timeout_seconds is None else timeout_seconds
    deadline, pause, shown = time.monotonic() + limit, FIRST_PAUSE_SECONDS, ""
    while True:
        verdict = wait.check(live, lookup)
        if verdict.ready:
            return live
        if verdict.missing != shown:
            shown = verdict.missing
            context.report(shown)
        left = deadline - time.monotonic()
        if verdict.failed or left <= 0:
            raise NotReadyError(live, _reasons(place, live, verdict, limit, lookup))
        if context.cancelled.wait(min(pause, left)):
            raise NotReadyError(live, (f"stopped while waiting: {verdict.missing}",))
        pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE_SECONDS)
        current = place.get()
        if current is None:
            raise NotReadyError(live, ("it was deleted by somebody else while it was waited for",))
        live = current


def _reasons(place: Place, live: Inputs, verdict: Verdict, limit: float, lookup: Lookup) -> tuple[str, ...]:
    first = verdict.missing if verdict.failed else f"not ready after {limit:.0f} s: {verdict.missing}"
    return (first, *_pod_troubles(live, lookup), *_warnings(place, live))


def _pod_troubles(live: Inputs, lookup: Lookup) -> list[str]:
    """Return why the pods that a workload or a Service selects are not running."""
    spec = as_mapping(live.get("spec"))
    selector = as_mapping(spec.get("selector"))
    labels = as_mapping(selector.get("matchLabels")) if "matchLabels" in selector else selector
    namespace = as_text(as_mapping(live.get("metadata")).get("namespace"))
    if not labels or not all(isinstance(value, str) for value in labels.values()):
        return []
    wanted = ",".join(f"{key}={value}" for key, value in labels.items())
    troubles = (_pod_trouble(pod) for pod in lookup.list("v1", "Pod", namespace, wanted))
    return list(dict.fromkeys(trouble for trouble in troubles if trouble))[:SHOWN_PODS]


def _pod_trouble(pod: Mapping[str, Value]) -> str:
    status = as_mapping(pod.get("status"))
    name = as_text(as_mapping(pod.get("metadata")).get("name"))
    for collection in ("initContainerStatuses", "containerStatuses"):
        statuses = status.get(collection)
        for container in statuses if isinstance(statuses, list) else []:
            waiting = as_mapping(as_mapping(as_mapping(container).get("state")).get("waiting"))
            if waiting.get("reason") not in {None, "ContainerCreating", "PodInitializing"}:
                return f"pod {name}: {as_text(waiting.get('reason'))}: {as_text(waiting.get('message'))}"
    conditions = status.get("conditions")
    for condition in (as_mapping(item) for item in (conditions if isinstance(conditions, list) else [])):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"pod {name} is not scheduled: {as_text(condition.get('message'))}"
    return ""


def _warnings(place: Place, live: Inputs) -> list[str]:
    """Return the newest warning events about the object itself."""
    metadata = as_mapping(live.get("metadata"))
    events = Target("v1", "Event", "", place.target.namespace)
    query = {"fieldSelector": f"involvedObject.uid={as_text(metadata.get('uid'))},type=Warning", "limit": "20"}
    try:
        resource = place.cluster.resource_of(events)
        found = place.cluster.list(resource, place.target.namespace, query) if resource else []
    except ApiError:
        return []
    lines = [f"{as_text(event.get('reason'))}: {as_text(event.get('message'))}" for event in found]
    return list(dict.fromkeys(lines))[-SHOWN_EVENTS:]


def await_gone(place: Place, uid: str, timeout_seconds: float, context: Context) -> None:
    """Return once the object with `uid` is gone; another of the same name may be there already.

    Raises
    ------
    StuckDeletionError
        It took longer than `timeout_seconds`; names the finalizers that hold it.
    StillDeletingError
        The person asked to stop.
    """
    started, pause, shown = time.monotonic(), FIRST_PAUSE_SECONDS, False
    while True:
        live = place.get()
        if live is None or (uid and as_mapping(live.get("metadata")).get("uid") != uid):
            return
        passed = time.monotonic() - started
        if passed >= timeout_seconds:
            raise StuckDeletionError(place.target.kind, place.id, passed, _finalizers(live), _conditions(live))
        if not shown:
            shown = True
            context.report("deletion asked for, waiting until it is gone")
        if context.cancelled.wait(min(pause, max(timeout_seconds - passed, FIRST_PAUSE_SECONDS))):
            raise StillDeletingError(place.target.kind, place.id)
        pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE_SECONDS)


def _finalizers(live: Mapping[str, Value]) -> list[str]:
    """Return what holds a live object; a namespace has its own list beside the ordinary one."""
    ordinary = as_mapping(live.get("metadata")).get("finalizers")
    own = as_mapping(live.get("spec")).get("finalizers") if live.get("kind") == "Namespace" else None
    lists = [names for names in (ordinary, own) if isinstance(names, list)]
    return [as_text(name) for names in lists for name in names]


def _conditions(live: Mapping[str, Value]) -> list[str]:
    """Return what a namespace or a CustomResourceDefinition says about what is left in it."""
    conditions = as_mapping(live.get("status")).get("conditions")
    fields = [as_mapping(item) for item in conditions] if isinstance(conditions, list) else []
    return [
        as_text(item.get("message")).rstrip(".")
        for item in fields
        if item.get("status") == "True" and as_text(item.get("type")).startswith(("Namespace", "Terminating"))
    ]
