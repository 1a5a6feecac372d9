"""What changed between two property values, by readable path."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from .values import Secret, Unknown, Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Change", "differences", "join", "top_level", "value_at"]

PLAIN_KEY: Final = re.compile(r"^[A-Za-z0-9_$-]+$")
"""A key written bare in a path; any other is quoted in brackets (Pulumi: ``resource.PropertyPath``)."""
TOKEN: Final = re.compile(r'\[(\d+|\*|"(?:[^"\\]|\\.)*")\]|\.?([^.\[\]]+)')
"""One step of a property path."""


class Change(StrEnum):
    """What happened to one property; the words are those of ``pulumi preview --json``."""

    ADD = "add"
    UPDATE = "update"
    DELETE = "delete"


def join(path: str, key: str | int) -> str:
    """Return the path of `key` under `path`, for example ``metadata.labels["app.kubernetes.io/name"]``."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if PLAIN_KEY.match(key):
        return f"{path}.{key}" if path else key
    return f"{path}[{json.dumps(key)}]"


def top_level(path: str) -> str:
    """Return the name of the resource's property that `path` lies in."""
    return next(steps(path), "")


def steps(path: str) -> Iterator[str]:
    """Yield the keys of `path`, indices as decimal text."""
    for match in TOKEN.finditer(path):
        bracket, plain = match.groups()
        if plain is not None:
            yield plain
        else:
            yield json.loads(bracket) if bracket.startswith('"') else bracket


def value_at(properties: Mapping[str, Value], path: str) -> Value:
    """Return what lies at `path`, or None where nothing does; secrets on the way are opened, the last one kept."""
    value: Value = dict(properties)
    for step in steps(path):
        if isinstance(value, Secret):
            value = value.value
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def differences(old: Value, new: Value, path: str = "") -> dict[str, Change]:
    """Return the paths whose leaves differ, in the order of the keys.

    A secret equals the plain value it holds; an unknown differs from everything known. Two unknowns are the same: a
    state that was applied holds none, one that was only rehearsed (`labctl.revisions`) may. An object against an absent
    one is one change at the object's own path.
    """
    while isinstance(old, Secret):
        old = old.value
    while isinstance(new, Secret):
        new = new.value
    if isinstance(old, dict) and isinstance(new, dict):
        return _object_differences(old, new, path)
    if isinstance(old, list) and isinstance(new, list):
        return _list_differences(old, new, path)
    if old is None and new is None:
        return {}
    if old is None:
        return {path: Change.ADD}
    if new is None:
        return {path: Change.DELETE}
    same = old is new if isinstance(old, Unknown) or isinstance(new, Unknown) else _same_leaf(old, new)
    return {} if same else {path: Change.UPDATE}


def _same_leaf(old: Value, new: Value) -> bool:
    """Compare two leaves; ``True`` is not ``1``."""
    return isinstance(old, bool) == isinstance(new, bool) and old == new


def _object_differences(old: dict[str, Value], new: dict[str, Value], path: str) -> dict[str, Change]:
    changes: dict[str, Change] = {}
    for key in sorted(old.keys() | new.keys()):
        changes |= differences(old.get(key), new.get(key), join(path, key))
    return changes


def _list_differences(old: list[Value], new: list[Value], path: str) -> dict[str, Change]:
    changes: dict[str, Change] = {}
    for index in range(max(len(old), len(new))):
        before = old[index] if index < len(old) else None
        after = new[index] if index < len(new) else None
        changes |= differences(before, after, join(path, index))
    return changes
