"""What each subject of the hub adds to its release, and all of it together.

Sign-in, identity, profiles, limits, pages and operation are planned apart, each as a `HubPart`; `components.hub.values`
puts them into the chart's terms. Two parts that say different things of one setting are a mistake of ours, and refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from .errors import ContradictingPartsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from components.model import Value

__all__ = ["HubFile", "HubPart", "together"]


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """A file of ours in the hub's container."""

    source: str
    """Its path below ``components/hub/files``."""
    target: str
    """Where it is mounted, absolute."""
    text: str | None = None
    """What is in it, where that comes from the stack file and `source` is only its name."""


def _empty() -> dict[str, Value]:
    return {}


@dataclass(frozen=True, kw_only=True)
class HubPart:
    """What one subject adds to the hub's release; whatever is left out adds nothing."""

    sections: Mapping[str, Mapping[str, Value]] = field(default_factory=dict[str, "Mapping[str, Value]"])
    """Settings of the hub's classes by class (the chart's ``hub.config``)."""
    settings: Mapping[str, Value] = field(default_factory=_empty)
    """What modules of ours read, by key of `LabSettings` (``files/lab_hub/configure.py``)."""
    files: tuple[HubFile, ...] = ()
    """Templates and the like; modules named ``lab_*.py`` are mounted by themselves."""
    environment: Mapping[str, Value] = field(default_factory=_empty)
    """Variables of the hub's process (``hub.extraEnv``), secrets as ``valueFrom``."""
    volumes: Mapping[str, Value] = field(default_factory=_empty)
    """Volumes of the hub's pod by name, without the name (``hub.extraVolumes``)."""
    mounts: Mapping[str, Value] = field(default_factory=_empty)
    """Where the hub's container has them, by volume name, without the name (``hub.extraVolumeMounts``)."""
    services: Mapping[str, Value] = field(default_factory=_empty)
    """Services beside the hub, by name (``hub.services``); the chart makes each a token."""
    roles: Mapping[str, Value] = field(default_factory=_empty)
    """What services, users and groups may ask of the hub's API, by role (``hub.loadRoles``)."""
    hub: Mapping[str, Value] = field(default_factory=_empty)
    """Other values below the chart's ``hub``."""
    singleuser: Mapping[str, Value] = field(default_factory=_empty)
    """Other values below the chart's ``singleuser``."""
    server_volumes: Mapping[str, Value] = field(default_factory=_empty)
    """Volumes of every user's server by name, without the name (``singleuser.storage.extraVolumes``)."""
    server_mounts: Mapping[str, Value] = field(default_factory=_empty)
    """Where its container has them, by a name of their own, each with ``name`` of the volume."""
    server_environment: Mapping[str, Value] = field(default_factory=_empty)
    """Variables of every user's server (``singleuser.extraEnv``)."""


def together(parts: Iterable[HubPart]) -> HubPart:
    """Return all parts as one.

    Raises
    ------
    ContradictingPartsError
        If two say different things of the same setting.
    """
    sections: dict[str, dict[str, Value]] = {}
    files: list[HubFile] = []
    maps: dict[str, dict[str, Value]] = {
        each.name: {} for each in fields(HubPart) if each.name not in {"sections", "files"}
    }
    for part in parts:
        for section, settings in part.sections.items():
            _add(sections.setdefault(section, {}), settings, f"hub.config.{section}")
        files += part.files
        for name, known in maps.items():
            added: Mapping[str, Value] = getattr(part, name)
            _add(known, added, name)
    return HubPart(sections=sections, files=tuple(files), **maps)


def _add(known: dict[str, Value], added: Mapping[str, Value], where: str) -> None:
    for key, value in added.items():
        if key in known and known[key] != value:
            raise ContradictingPartsError(where, key)
        known[key] = value
