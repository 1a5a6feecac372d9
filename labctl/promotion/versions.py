"""What the step from one version of a component to another is, by the component's own versioning."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stacks.promotion import Scheme, Step, Versioning

from .pins import repository_of

if TYPE_CHECKING:
    from .pins import Pin

__all__ = ["step_between", "version_step"]

VERSION: Final = re.compile(
    r"(?P<flavour>(?:[A-Za-z][A-Za-z0-9_.]*-)*)v?(?P<numbers>[0-9]+(?:\.[0-9]+)+)"
    r"(?:-(?P<pre>[0-9A-Za-z.~-]+))?(?:\+(?P<build>[0-9A-Za-z.-]+))?\Z"
)
"""``v1.36.3``, ``4.4.0-0.dev.git.7048``, ``python-3.13.2``: flavour, numbers, pre-release, build."""
DATE: Final = re.compile(r"(?P<flavour>(?:[A-Za-z][A-Za-z0-9_.]*-)*)(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})\Z")
"""``2026-03-23``, ``cuda12-2025-06-02``: flavour and the day it was built."""
UNFINISHED: Final = re.compile(r"alpha|beta|rc|dev|pre|snapshot|canary|nightly|^0\.", re.IGNORECASE)
"""Marks of a pre-release; any other suffix that two versions share (``-alpine``) is part of what the thing is."""
MONTH_PARTS: Final = 2
"""Numbers of a calendar version that name its line: year and month."""


@dataclass(frozen=True)
class _Version:
    flavour: str
    numbers: tuple[int, ...]
    pre: str | None

    @classmethod
    def of(cls, text: str) -> _Version | None:
        found = VERSION.match(text)
        if found is None:
            return None
        return cls(found["flavour"], tuple(int(part) for part in found["numbers"].split(".")), found["pre"])

    def part(self, index: int) -> int:
        return self.numbers[index] if index < len(self.numbers) else 0

    def order(self) -> tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...]]:
        """Return a key that sorts as semver.org 11 has it: a pre-release before its release."""
        trimmed = list(self.numbers)
        while len(trimmed) > 1 and trimmed[-1] == 0:
            trimmed.pop()
        parts = tuple(
            (not part.isdigit(), int(part) if part.isdigit() else 0, "" if part.isdigit() else part)
            for part in (self.pre or "").split(".")
        )
        return tuple(trimmed), self.pre is None, parts


def step_between(old: Pin | None, new: Pin, versioning: Versioning) -> Step:
    """Return what it means to move a pin from `old` (None: there is none) to `new`."""
    if old is None:
        return Step.NEW
    before, after = old.image, new.image
    if before is not None and after is not None and repository_of(before) != repository_of(after):
        return Step.UNCLEAR
    return version_step(old.version, new.version, versioning)


def version_step(old: str, new: str, versioning: Versioning) -> Step:
    """Return what it means to go from version `old` to `new`.

    Raises
    ------
    Nothing: two versions that nobody can order are `Step.UNCLEAR`.
    """
    if old == new:
        return Step.SAME_VERSION
    days = DATE.match(old), DATE.match(new)
    if days[0] is not None and days[1] is not None:
        if days[0]["flavour"] != days[1]["flavour"]:
            return Step.MAJOR
        return Step.MINOR if days[0]["date"] < days[1]["date"] else Step.DOWN
    before, after = _Version.of(old), _Version.of(new)
    if before is None or after is None or (days[0] is None) != (days[1] is None):
        return Step.UNCLEAR
    if before.flavour != after.flavour:
        return Step.MAJOR
    return _ordered_step(before, after, versioning)


def _ordered_step(before: _Version, after: _Version, versioning: Versioning) -> Step:
    if after.order() == before.order():
        return Step.SAME_VERSION
    if after.order() < before.order():
        return Step.DOWN
    moved = _forward_step(before, after, versioning.scheme)
    if versioning.one_minor_at_a_time and _skips(before, after):
        return Step.SKIP
    return Step.PRERELEASE if _is_unfinished(before, after) else moved


def _is_unfinished(before: _Version, after: _Version) -> bool:
    if after.pre is None:
        return False
    return after.pre != before.pre or UNFINISHED.search(after.pre) is not None


def _forward_step(before: _Version, after: _Version, scheme: Scheme) -> Step:
    if scheme is Scheme.CALENDAR:
        same_line = all(before.part(index) == after.part(index) for index in range(MONTH_PARTS))
        return Step.PATCH if same_line else Step.MAJOR
    if before.part(0) != after.part(0):
        return Step.MAJOR
    if before.part(1) != after.part(1):
        return Step.MAJOR if before.part(0) == 0 else Step.MINOR
    return Step.PATCH


def _skips(before: _Version, after: _Version) -> bool:
    return after.part(0) == before.part(0) and after.part(1) > before.part(1) + 1
