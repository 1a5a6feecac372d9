"""How far a start has come, out of what is known of its pod: what the spawn page says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .words import lack_of, pod_trouble, waiting_words, whom

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .upstream import JsonObject
    from .words import Shortage

__all__ = ["Told", "shortage_of", "stage_of", "trouble_of"]

IN_LINE, SETTING_UP, PLACING, STARTING, FETCHING, ANSWERING = 2, 10, 20, 60, 45, 85
"""Where the bar stands, in percent. It says how far the start is, not how long it takes."""
_MOUNTS = {"FailedMount", "FailedAttachVolume"}
"""Reasons of the kubelet's and the attach controller's events about volumes (``pkg/kubelet/events/event.go``)."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the spawn page says."""

    progress: int
    message: str
    detail: str = ""
    """What the cluster itself said, for the event log below; plain text."""
    waits: bool = False
    """Whether it waits for somebody else, and may for long."""

    @classmethod
    def in_line(cls, before: int) -> Told:
        """Return what is said while others start first."""
        if before == 0:
            message = "Many people start their servers at the moment. Yours is next."
        else:
            message = f"Many people start their servers at the moment: {before} before you."
        return cls(progress=IN_LINE, message=message, waits=True)

    @classmethod
    def setting_up(cls) -> Told:
        """Return what is said before there is a pod."""
        return cls(progress=SETTING_UP, message="Your server is being set up.")

    def event(self) -> Mapping[str, object]:
        """Return it as JupyterHub sends it to the page."""
        return {"progress": self.progress, "message": self.message, "detail": self.detail, "waits": self.waits}


def shortage_of(pod: JsonObject) -> Shortage | None:
    """Return why the scheduler has not placed a pod; None where it has, or has not tried yet."""
    status = pod.get("status", {})
    if pod["spec"].get("nodeName"):
        return None
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return lack_of(condition.get("message", ""), is_evicting=bool(status.get("nominatedNodeName")))
    return None


def trouble_of(pod: JsonObject) -> str | None:
    """Return what keeps a placed pod from starting; None where nothing is known to."""
    status = pod.get("status", {})
    for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        reason = container.get("state", {}).get("waiting", {}).get("reason", "")
        if (trouble := pod_trouble(reason)) is not None:
            return trouble
    return None


def stage_of(
    pod: JsonObject, events: Sequence[Mapping[str, object]], figures: str, *, contact: str | None = None
) -> Told:
    """Return what is said of a pod.

    Parameters
    ----------
    pod, events
        The pod and what is said about it, the latest last, as the API server has them.
    figures
        How many GPUs of its kind there are and are free, as sentences; may be empty.
    contact
        Whom to tell.
    """
    if pod.get("status", {}).get("phase") == "Running":
        return Told(progress=ANSWERING, message="Your server runs and is getting ready.")
    if not pod["spec"].get("nodeName"):
        return _placing(pod, figures, contact)
    if (trouble := trouble_of(pod)) is not None:
        latest = _latest(events, {"Failed", "BackOff", "FailedCreatePodSandBox"})
        return Told(progress=FETCHING, message=f"{trouble} Tell {whom(contact)} if it stays like this.", detail=latest)
    event: Mapping[str, object] = events[-1] if events else {}
    if event.get("reason") in _MOUNTS:
        words = f"Connecting your folders takes longer than usual. Tell {whom(contact)} if it stays like this."
    elif event.get("reason") == "Pulling":
        words = "The software of your server is being copied to its machine. The first time that takes some minutes."
    else:
        return Told(progress=STARTING, message="A machine was found. Your server is being started there.")
    return Told(progress=FETCHING, message=words, detail=str(event.get("message", "")))


def _placing(pod: JsonObject, figures: str, contact: str | None) -> Told:
    short = shortage_of(pod)
    if short is None:
        return Told(progress=PLACING, message="A machine is being chosen for your server.")
    said = next(found.get("message", "") for found in pod["status"]["conditions"] if found["type"] == "PodScheduled")
    return Told(progress=PLACING, message=waiting_words(short, figures, contact=contact), detail=str(said), waits=True)


def _latest(events: Sequence[Mapping[str, object]], reasons: set[str]) -> str:
    return next((str(event.get("message", "")) for event in reversed(events) if event.get("reason") in reasons), "")
