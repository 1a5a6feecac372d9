"""Reading property values in which secrets and unknowns may be anywhere.

A secret's content is judged like everything else, and nothing of it is ever shown: below a secret, a node's path ends
at the secret, and its text is ``[secret]``. An unknown value is judged by no rule; it is in the plan that knows it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from labctl.graph.values import REDACTED, Secret, Unknown, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Node", "Path", "at", "mapping", "nodes", "opened", "path_text", "plain_texts", "sequence", "text", "words"]

Path: TypeAlias = "tuple[str | int, ...]"
"""Keys and indices from a resource's properties down."""
LONGEST_SHOWN: Final = 120
"""Characters of a value in a message: an image with its digest fits."""
CREDENTIALS: Final = re.compile(r"://[^/\s@]+@")
"""Name and password in a URL."""
PLAIN_KEY: Final = re.compile(r"[A-Za-z_$][\w$-]*")
"""Keys that a path has without quotes."""
WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
"""One word of a name in camelCase, snake_case or kebab-case."""


@dataclass(frozen=True)
class Node:
    """One key of a mapping somewhere in a resource's properties, with its value."""

    path: Path
    """Where it is; ends at the secret when it lies in one."""
    key: str
    value: Value
    """Opened if it is a secret."""
    siblings: dict[str, Value]
    """The mapping it is in."""
    sealed: bool
    """Whether it is a secret or lies in one."""

    @property
    def place(self) -> str:
        """The path, as Pulumi writes it."""
        return path_text(self.path)

    @property
    def shown(self) -> str:
        """The value in a message: never a secret's, nor a password in a URL."""
        if self.sealed:
            return REDACTED
        if not isinstance(self.value, str):
            return str(self.value) if isinstance(self.value, bool | int | float) else type(self.value).__name__
        return CREDENTIALS.sub("://[hidden]@", self.value)[:LONGEST_SHOWN]


def path_text(path: Path) -> str:
    """Return `path` as Pulumi writes it: ``spec.ports[0]["example.org/key"]``."""
    parts: list[str] = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif PLAIN_KEY.fullmatch(step):
            parts.append(f".{step}")
        else:
            quoted = step.replace("\\", "\\\\").replace('"', '\\"')
            parts.append(f'["{quoted}"]')
    return "".join(parts).removeprefix(".")


def opened(value: Value) -> Value:
    """Return `value` without the secrets around it."""
    while isinstance(value, Secret):
        value = value.value
    return value


def mapping(value: Value) -> dict[str, Value]:
    """Return `value`, opened, when it is a mapping, else an empty one."""
    found = opened(value)
    return found if isinstance(found, dict) else {}


def sequence(value: Value) -> list[Value]:
    """Return `value`, opened, when it is a list, else an empty one."""
    found = opened(value)
    return found if isinstance(found, list) else []


def text(value: Value) -> str:
    """Return `value`, opened, when it is a string, else an empty one."""
    found = opened(value)
    return found if isinstance(found, str) else ""


def at(value: Value, *keys: str) -> Value:
    """Return what is at `keys` below `value`: None where nothing is, an unknown where that cannot be known."""
    found = opened(value)
    for key in keys:
        if isinstance(found, Unknown):
            return found
        found = opened(mapping(found).get(key))
    return found


def nodes(value: Value, path: Path = (), *, sealed: bool = False) -> Iterator[Node]:
    """Yield every key of every mapping in `value`, outer ones first, in the order of the keys."""
    if isinstance(value, Secret):
        yield from nodes(value.value, path, sealed=True)
    elif isinstance(value, dict):
        for key in sorted(value):
            item = value[key]
            here = path if sealed else (*path, key)
            hidden = sealed or isinstance(item, Secret)
            yield Node(here, key, opened(item), value, hidden)
            yield from nodes(opened(item), here, sealed=hidden)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from nodes(item, path if sealed else (*path, index), sealed=sealed)


def plain_texts(value: Value, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield every text of `value` that lies in no secret, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from plain_texts(value[key], (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from plain_texts(item, (*path, index))


@lru_cache(maxsize=4096)
def words(key: str) -> tuple[str, ...]:
    """Return the words of a name, in lower case: ``client``, ``secret`` of ``clientSecret``, of ``CLIENT_SECRET``."""
    return tuple(word.lower() for word in WORD.findall(key))
