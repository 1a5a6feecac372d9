"""Which pinned versions two environments, or two revisions of one, have differently, and what follows from that."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stacks.promotion import together_with

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from components.model import Value
    from labctl.graph.values import Plain
    from labctl.promotion.pins import Pin

    from .values import Difference

__all__ = ["VersionDifference", "VersionWords", "version_differences"]


@dataclass(frozen=True, kw_only=True)
class VersionDifference:
    """One pin that differs."""

    pin: str
    one: str | None
    """Its version; None where it is not pinned. The same twice where only a digest or a source differs."""
    other: str | None
    together: str | None
    """The set it moves with."""


def version_differences(one: Mapping[str, Pin], other: Mapping[str, Pin]) -> tuple[VersionDifference, ...]:
    """Return the pins that differ, in the order of the files."""
    found: list[VersionDifference] = []
    for path in dict.fromkeys((*one, *other)):
        left, right = one.get(path), other.get(path)
        if left is not None and right is not None and left.data == right.data:
            continue
        together = together_with(path)
        found.append(
            VersionDifference(
                pin=path,
                one=left.version if left else None,
                other=right.version if right else None,
                together=together.name if together else None,
            )
        )
    return tuple(found)


class VersionWords:
    """What pins that differ say in the one environment, and in the other: versions, checksums, references of images."""

    def __init__(self, one: Mapping[str, Pin], other: Mapping[str, Pin]) -> None:
        self._words: dict[str, str] = {}
        for path in one.keys() & other.keys():
            for before, after in _leaves(one[path].data, other[path].data):
                self._learn(before, after)
        longest_first = sorted(self._words, key=lambda word: (-len(word), word))
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def _learn(self, before: str, after: str) -> None:
        if before == after:
            return
        self._words[before] = after
        if "@" in before and "@" in after:  # charts want an image's repository and its tag apart
            self._words[_tag(before)] = _tag(after)

    def marked(self, items: Sequence[Difference]) -> tuple[Difference, ...]:
        """Return differences, those marked that these words alone make."""
        return tuple(replace(item, by_version=True) if self._follows(item) else item for item in items)

    def _follows(self, item: Difference) -> bool:
        return item.one is not None and item.other is not None and self._other(item.one) == item.other

    def _other(self, value: Plain) -> Plain:
        if isinstance(value, str) and self._pattern is not None:
            return self._pattern.sub(lambda found: self._words[found[0]], value)
        if isinstance(value, list):
            return [self._other(item) for item in value]
        if isinstance(value, dict):
            return {key: self._other(item) for key, item in value.items()}
        return value


def _tag(image: str) -> str:
    """Return tag and digest: all after the colon that follows the last slash."""
    return image.rpartition("/")[2].partition(":")[2]


def _leaves(one: Value, other: Value) -> Iterator[tuple[str, str]]:
    if isinstance(one, str) and isinstance(other, str):
        yield one, other
    elif isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() & other.keys():
            yield from _leaves(one[key], other[key])
