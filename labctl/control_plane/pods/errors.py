"""Why a pod cannot run here; each message becomes the container's, so that its user reads it."""

from __future__ import annotations

from labctl.control_plane.errors import ControlPlaneError

__all__ = [
    "MissingCommandError",
    "MissingContentError",
    "OutsideVolumeError",
    "PodError",
    "RootUserError",
    "UnboundClaimError",
    "UnknownSourceError",
]


class PodError(ControlPlaneError):
    """Base of every failure of this package."""

    reason = "CreateContainerConfigError"


class UnknownSourceError(PodError):
    """A variable or a file of the pod comes from something this runner does not have."""

    def __init__(self, what: str, source: str) -> None:
        super().__init__(f"{what} comes from {source}, which a pod that runs as a local process does not have")


class MissingContentError(PodError):
    """A ConfigMap or Secret is not there, or lacks a key."""

    def __init__(self, kind: str, name: str, key: str | None = None) -> None:
        super().__init__(f'{kind} "{name}" not found' if key is None else f'{kind} "{name}" has no key "{key}"')


class UnboundClaimError(PodError):
    """A claim is not there, or has no volume yet."""

    reason = "FailedMount"

    def __init__(self, name: str) -> None:
        super().__init__(f'persistentvolumeclaim "{name}" is not bound to a volume')


class RootUserError(PodError):
    """A container wants to run as root."""

    def __init__(self, container: str) -> None:
        super().__init__(f'container "{container}" would run as root, which no local process of a pod does')


class MissingCommandError(PodError):
    """There is no such program on this machine: images are not run here."""

    reason = "StartError"

    def __init__(self, container: str, command: str) -> None:
        super().__init__(f'container "{container}": there is no program "{command}" here; its image is not run')


class OutsideVolumeError(PodError):
    """A part of a volume is a link that leads out of it."""

    reason = "FailedMount"

    def __init__(self, target: str) -> None:
        super().__init__(f"what is to be mounted at {target} is a link that leads out of its volume")
