"""Stands in for the chart's module of this name: what code in ``hub.extraConfig`` asks for."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import cast

__all__ = ["get_config", "get_secret_value", "set_config_if_not_none"]


@lru_cache
def _settings() -> dict[str, object]:
    return json.loads(Path(os.environ["LAB_HUB_SETTINGS"]).read_text(encoding="utf-8"))


def get_config(key: str, default: object = None) -> object:
    """Return the release's value at a dotted path; `default` where there is none."""
    value = _settings()["values"]
    for level in key.split("."):
        known = cast("dict[str, object]", value) if isinstance(value, dict) else {}
        if level not in known:
            return default
        value = known[level]
    return value


def get_secret_value(key: str, default: object = "never-explicitly-set") -> object:
    """Return a key of the hub's Secrets.

    Raises
    ------
    KeyError
        If there is none and no default.
    """
    secrets = json.loads(Path(str(_settings()["secrets"])).read_text(encoding="utf-8"))
    if key not in secrets and default != "never-explicitly-set":
        return default
    return secrets[key]


def set_config_if_not_none(section: object, name: str, key: str) -> None:
    """Set a trait to the release's value at `key`, if there is one."""
    value = get_config(key)
    if value is not None:
        setattr(section, name, value)
