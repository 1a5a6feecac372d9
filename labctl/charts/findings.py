"""What is wrong with values or with a custom resource, and where."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Finding", "Place", "nearest"]

Place: TypeAlias = tuple[str | int, ...]
"""Keys and list indices from the top of the values, or of the object."""


@dataclass(frozen=True, order=True, slots=True)
class Finding:
    """One thing that a chart or a kind would not take."""

    place: Place
    what: str

    def __str__(self) -> str:
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.place)
        return f"{path.removeprefix('.') or 'the whole of it'}: {self.what}"


def nearest(key: str, known: Iterable[str]) -> str:
    """Return a hint at the known key most like this one, beginning with a semicolon, or nothing."""
    found = get_close_matches(key, sorted(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""
