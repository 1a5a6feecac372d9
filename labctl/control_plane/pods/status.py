"""What the API is told of a pod that runs here: patches of its status, and events. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labctl.control_plane.client import JsonValue

    from .model import Container, Pod

__all__ = ["ContainerState", "event", "now", "status_patch"]

REPORTER = "labctl-pods"
"""Who says so, in events."""


@dataclass(frozen=True, kw_only=True)
class ContainerState:
    """A container as it is now."""

    container: Container
    is_init: bool = False
    started_at: str | None = None
    """None: not started yet."""
    is_ready: bool = False
    exit_code: int | None = None
    """None: still runs, or was never started."""
    reason: str = ""
    """Why it waits, or why it ended."""
    message: str = ""
    finished_at: str | None = None
    restarts: int = 0

    @property
    def runs(self) -> bool:
        """Whether it has been started and has not ended."""
        return self.started_at is not None and self.exit_code is None


def now() -> str:
    """Return the time as the API has it."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def status_patch(  # noqa: PLR0913 - what a status consists of
    pod: Pod,
    states: Iterable[ContainerState],
    *,
    phase: str,
    address: str,
    since: str,
    reason: str = "",
    message: str = "",
) -> dict[str, JsonValue]:
    """Return a strategic merge patch of the pod's status.

    Parameters
    ----------
    pod
        The pod as it was read last.
    states
        All of its containers.
    phase
        ``Pending``, ``Running``, ``Succeeded`` or ``Failed``.
    address
        Its address on this machine.
    since
        When this runner took it over.
    """
    every = tuple(states)
    ready = phase == "Running" and all(state.is_ready for state in every if not state.is_init)
    begun = all(state.exit_code == 0 for state in every if state.is_init)
    conditions: list[JsonValue] = [
        _condition("PodReadyToStartContainers", holds=True),
        _condition("Initialized", holds=begun),
        _condition("ContainersReady", holds=ready),
        _condition("Ready", holds=ready),
    ]
    status: dict[str, JsonValue] = {
        "phase": phase,
        "conditions": conditions,
        "hostIP": "127.0.0.1",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": since,
        "containerStatuses": [_container(state) for state in every if not state.is_init],
        "initContainerStatuses": [_container(state) for state in every if state.is_init],
    }
    if reason:
        status |= {"reason": reason, "message": message}
    return {"metadata": {"uid": pod.metadata.uid}, "status": status}


def event(pod: Pod, reason: str, message: str, *, is_warning: bool = False) -> dict[str, JsonValue]:
    """Return an event about the pod, which its user sees while it starts."""
    at = now()
    return {
        "metadata": {"generateName": f"{pod.metadata.name}.", "namespace": pod.metadata.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": pod.metadata.name,
            "namespace": pod.metadata.namespace,
            "uid": pod.metadata.uid,
        },
        "type": "Warning" if is_warning else "Normal",
        "reason": reason,
        "message": message[:1000],
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "source": {"component": REPORTER, "host": pod.spec.node_name},
        "reportingComponent": REPORTER,
        "reportingInstance": pod.spec.node_name,
    }


def _condition(kind: str, *, holds: bool) -> JsonValue:
    return {"type": kind, "status": "True" if holds else "False", "lastTransitionTime": now()}


def _container(state: ContainerState) -> JsonValue:
    shown: dict[str, JsonValue]
    if state.exit_code is not None:
        shown = {
            "terminated": {
                "exitCode": state.exit_code,
                "reason": state.reason or ("Completed" if state.exit_code == 0 else "Error"),
                "message": state.message,
                "startedAt": state.started_at,
                "finishedAt": state.finished_at,
            }
        }
    elif state.started_at is not None:
        shown = {"running": {"startedAt": state.started_at}}
    else:
        shown = {"waiting": {"reason": state.reason or "ContainerCreating", "message": state.message}}
    image = state.container.image or "none"
    return {
        "name": state.container.name,
        "image": image,
        "imageID": image,
        "ready": state.is_ready,
        "started": state.runs,
        "restartCount": state.restarts,
        "state": {"running": None, "terminated": None, "waiting": None, **shown},
    }
