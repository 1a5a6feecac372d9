"""What can go wrong with the local hub: what happened, where, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.control_plane.errors import ControlPlaneError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "DamagedHubFileError",
    "HubFailedError",
    "LocalHubError",
    "MissingSecretError",
    "NoNodeError",
    "NotInstalledError",
    "UnresolvableVariableError",
    "UntranslatedValuesError",
]


class LocalHubError(ControlPlaneError):
    """Base of every failure of this package; its message is meant for the person at the keyboard."""


class NotInstalledError(LocalHubError):
    """The programs of the hub could not be installed."""

    def __init__(self, *, what: str, log: Path, tail: str) -> None:
        super().__init__(
            f"{what} could not be installed; the end of {log}:\n{tail}\n"
            "The package registries have to be reachable the first time. The lab itself needs none of this:"
            " `labctl up --no-hub` leaves the hub out."
        )


class NoNodeError(LocalHubError):
    """There is no Node.js that the proxy could run on."""

    def __init__(self, *, minimum: int, found: str | None) -> None:
        there = f"the one on PATH is {found}" if found else "none is on PATH"
        super().__init__(f"The hub's proxy needs Node.js {minimum} or newer with npm; {there}, and none was installed.")


class UntranslatedValuesError(LocalHubError):
    """The release has values whose meaning the local hub does not know; to run without them would be another hub."""

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__(
            "The local hub does not know what these values of the hub's release mean, and ignores none: "
            f"{', '.join(paths)}. Say it in labctl/local_hub/chart_keys.py."
        )


class UnresolvableVariableError(LocalHubError):
    """A variable of the hub's container comes from something that only a pod has."""

    def __init__(self, name: str, source: str) -> None:
        super().__init__(f"The hub's variable {name} comes from {source}, which the local hub cannot resolve.")


class MissingSecretError(LocalHubError):
    """A Secret that the release names is not in the cluster, or lacks the key."""

    def __init__(self, *, namespace: str, name: str, key: str) -> None:
        super().__init__(f"The Secret {namespace}/{name} has no {key!r}, which the hub needs. Run `labctl up` again.")


class HubFailedError(LocalHubError):
    """A process of the local hub ended while starting, or never answered."""

    def __init__(self, *, component: str, reason: str, log: Path, tail: str) -> None:
        shown = f" The end of it:\n{tail}" if tail else ""
        super().__init__(f"{component} {reason}. Its log is {log}.{shown}")


class DamagedHubFileError(LocalHubError):
    """A file the local hub keeps is not what it wrote."""

    def __init__(self, *, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be read ({reason}). Remove it and run `labctl up` again.")
