"""Why a server does not start yet, or not at all, in words that need no knowledge of Kubernetes.

Pure: the scheduler's and the kubelet's messages in, sentences out. The engine's capacity planner reads the same
scheduler messages for an administrator; the hub cannot import it, and needs other words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Lack", "Shortage", "is_gpu", "lack_of", "pod_trouble", "resource_words", "waiting_words", "whom"]

_SHORT = re.compile(r"\d+ Insufficient (?P<resource>[^\s,]+?)(?=[,.]?(?:\s|$))")
_MIG = re.compile(r"nvidia\.com/mig-(?P<profile>[\w.]+?)(?P<shared>\.shared)?$")
_GPU_PREFIXES = ("nvidia.com/", "amd.com/", "gpu.intel.com/")
"""Vendors' prefixes of extended resources that are GPUs or parts of one."""


class Lack(StrEnum):
    """What a server waits for."""

    GPU = "gpu"
    MEMORY = "memory"
    CPU = "cpu"
    ROOM = "room"
    """A machine whose places are all taken, or whose disk is full."""
    HOME = "home"
    """A volume that is not there yet."""
    MACHINE = "machine"
    """A machine of the right kind that takes servers at all."""
    EVICTION = "eviction"
    """Something less urgent that is being stopped to make room."""
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Shortage:
    """Why the scheduler has not placed a server."""

    lack: Lack
    resource: str | None = None
    """Of a GPU, Kubernetes' name."""


_VOLUMES = (
    "unbound immediate PersistentVolumeClaims",
    "persistentvolumeclaim ",
    "volume node affinity conflict",
    "didn't find available persistent volumes",
    "non-existent pv",
    "exceed max volume count",
)
_BY_RESOURCE = {"memory": Lack.MEMORY, "cpu": Lack.CPU, "ephemeral-storage": Lack.ROOM}
_BY_WORDS = {
    "Too many pods": Lack.ROOM,
    "had untolerated taint": Lack.MACHINE,
    "didn't match Pod's node affinity/selector": Lack.MACHINE,
    "were unschedulable": Lack.MACHINE,
    "no nodes available": Lack.MACHINE,
    "were not ready": Lack.MACHINE,
}
"""In the order in which they count: a full machine is nearer to taking a server than one that takes none."""


def lack_of(message: str, *, is_evicting: bool = False) -> Shortage:
    """Return what a server waits for, by the scheduler's message.

    Where nodes lack different things, the rarest counts: a GPU before memory, memory before processors. Nodes without
    any GPU lack one as well, which says nothing where others have some; the message does not tell them apart.

    Parameters
    ----------
    message
        Of the pod's condition ``PodScheduled``.
    is_evicting
        Whether the scheduler has picked a node to make room on (``status.nominatedNodeName``).
    """
    said = message.partition("preemption:")[0]
    short = [match["resource"] for match in _SHORT.finditer(said)]
    if is_evicting:
        found = Shortage(lack=Lack.EVICTION)
    elif any(words in said for words in _VOLUMES):
        found = Shortage(lack=Lack.HOME)
    elif (gpu := next(filter(is_gpu, short), None)) is not None:
        found = Shortage(lack=Lack.GPU, resource=gpu)
    else:
        by_resource = (lack for resource, lack in _BY_RESOURCE.items() if resource in short)
        by_words = (lack for words, lack in _BY_WORDS.items() if words in said)
        found = Shortage(lack=next(by_resource, next(by_words, Lack.OTHER)))
    return found


def is_gpu(resource: str) -> bool:
    """Return whether an extended resource is a GPU or a part of one."""
    return resource.startswith(_GPU_PREFIXES)


def resource_words(resource: str, names: Mapping[str, str]) -> str:
    """Return what people call a GPU resource.

    Examples
    --------
    >>> resource_words("nvidia.com/mig-1g.10gb", {})
    '1g.10gb'
    >>> resource_words("nvidia.com/gpu", {"nvidia.com/gpu": "A100"})
    'A100'
    """
    if resource in names:
        return names[resource]
    if (match := _MIG.match(resource)) is not None:
        return match["profile"] + (" (shared)" if match["shared"] else "")
    return "GPU" if resource.endswith("/gpu") else resource.partition("/")[2] or resource


_WAITING = {
    Lack.GPU: "No GPU of this kind is free at the moment.",
    Lack.MEMORY: "No machine has enough free memory for this server at the moment.",
    Lack.CPU: "All processors are in use at the moment.",
    Lack.ROOM: "All machines that take this server are full at the moment.",
    Lack.HOME: "Your home folder is being made ready.",
    Lack.MACHINE: "No machine takes a server of this kind at the moment; one may be under maintenance.",
    Lack.EVICTION: "Room is being made for your server: a less urgent job is being stopped.",
    Lack.OTHER: "No machine has taken your server yet.",
}
_ANOTHER = "Your server starts by itself as soon as there is room. You can wait, or cancel and choose a smaller one."
_ADVICE = {
    Lack.GPU: "Your server starts by itself as soon as one is free. You can wait, or cancel and choose another kind.",
    Lack.MEMORY: _ANOTHER,
    Lack.CPU: _ANOTHER,
    Lack.ROOM: _ANOTHER,
    Lack.HOME: "This usually takes a few seconds.",
    Lack.EVICTION: "This usually takes less than a minute.",
}


def waiting_words(shortage: Shortage, figures: str = "", *, contact: str | None = None) -> str:
    """Return what somebody reads whose server waits.

    Parameters
    ----------
    shortage
        What it waits for.
    figures
        How many there are, how many are free, and the like, as sentences; may be empty.
    contact
        Whom to tell where waiting alone may not help.
    """
    advice = _ADVICE.get(shortage.lack, f"If this does not change within some minutes, tell {whom(contact)}.")
    return " ".join(filter(None, (_WAITING[shortage.lack], figures, advice)))


def whom(contact: str | None) -> str:
    """Return whom to tell."""
    return contact or "whoever runs the lab"


_CONTAINER_WAITS = {
    "ImagePullBackOff": "The software of this server could not be fetched; it is tried again.",
    "ErrImagePull": "The software of this server could not be fetched; it is tried again.",
    "ErrImageNeverPull": "The software of this server is not on the machine that should run it.",
    "InvalidImageName": "The software of this server has a name that cannot be right.",
    "CreateContainerConfigError": "Something this server needs is missing.",
    "CreateContainerError": "The machine could not set the server up.",
    "RunContainerError": "The machine could not start the server.",
    "CrashLoopBackOff": "The server ends right after it begins; it is tried again.",
}
"""The kubelet's reasons why a container waits (``pkg/kubelet/images``, ``pkg/kubelet/kuberuntime``)."""


def pod_trouble(reason: str) -> str | None:
    """Return what a container's reason for waiting means; None where it is nothing to worry about."""
    return _CONTAINER_WAITS.get(reason)
