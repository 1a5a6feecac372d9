"""What the stack file decides, as the program reads it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypedDict, cast

from .errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DirectorySettings", "GroupSettings", "SyncSettings", "UserSettings", "read_settings"]


class UserSettings(TypedDict):
    """Where people are, and in which attributes."""

    base: str
    filter: str
    name: str
    uid: str
    gid: str


class GroupSettings(TypedDict):
    """Where groups are, and in which attributes."""

    base: str
    filter: str
    name: str
    gid: str
    member: str
    membersBy: str
    """``name`` or ``dn``."""


class DirectorySettings(TypedDict):
    """How the directory is reached."""

    server: str
    port: int
    tls: str
    """``ldaps``, ``startTls`` or ``none``."""
    authority: str | None
    """Certificates of the authority, as PEM; None for the system's."""
    bindDn: str | None
    """Who looks people up; None for nobody in particular."""
    users: UserSettings
    groups: GroupSettings | None


class SyncSettings(TypedDict):
    """All of it."""

    directory: DirectorySettings
    namespace: str
    configMap: str
    uids: list[int]
    gids: list[int]
    """Smallest and largest id of people."""
    everySeconds: int
    mostLost: int
    """Percent of the known users."""


def read_settings(path: Path) -> SyncSettings:
    """Return the settings out of a file of JSON.

    Raises
    ------
    SettingsError
        If there is none, or it is no JSON.
    """
    try:
        return cast("SyncSettings", json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as problem:
        raise SettingsError(path, problem) from problem
