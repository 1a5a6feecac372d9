"""Which way versions take from one environment to another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from stacks.environments import PROMOTIONS, Change, EnvironmentName

from .errors import NoWayError

__all__ = ["Way", "way_between"]


@dataclass(frozen=True, kw_only=True)
class Way:
    """One step of a promotion."""

    source: EnvironmentName
    target: EnvironmentName
    change: Change
    """How far versions may move on it."""


def way_between(source: str, target: str, *, major: bool = False) -> Way:
    """Return the way from one environment to its neighbour: that of minor versions where both go there.

    Parameters
    ----------
    source, target
        Names of environments.
    major
        Take the way of major versions where there are both.

    Raises
    ------
    NoWayError
        One of the names is no environment's, or versions go from the one to the other through a third, or not at all.
    """
    known = {str(name): name for name in EnvironmentName}
    unknown = [name for name in (source, target) if name not in known]
    if unknown:
        raise _refused(source, target, f"{' and '.join(unknown)} is no environment")
    pair = known[source], known[target]
    for change in (Change.MAJOR,) if major else (Change.MINOR, Change.MAJOR):
        if pair in _steps(change):
            return Way(source=pair[0], target=pair[1], change=change)
    raise _refused(source, target, _why_not(*pair))


def _steps(change: Change) -> tuple[tuple[EnvironmentName, EnvironmentName], ...]:
    way = PROMOTIONS[change]
    return tuple(pairwise(way))


def _why_not(source: EnvironmentName, target: EnvironmentName) -> str:
    if source is target:
        return "that is one environment"
    for way in PROMOTIONS.values():
        if source in way and target in way:
            first, last = way.index(source), way.index(target)
            if last < first:
                return "versions do not go back; revert the promotion's commit instead"
            between = ", ".join(way[first + 1 : last])
            return f"that would skip {between}, where versions prove themselves first"
    outside = source if not any(source in way for way in PROMOTIONS.values()) else target
    return f"nothing is promoted from or to {outside}: its versions are chosen there"


def _refused(source: str, target: str, reason: str) -> NoWayError:
    minor = _steps(Change.MINOR)
    ways = [f"`labctl promote {' '.join(step)}` (minor)" for step in minor]
    ways += [
        f"`labctl promote {' '.join(step)}{' --major' if step in minor else ''}` (major)"
        for step in _steps(Change.MAJOR)
    ]
    return NoWayError(source=source, target=target, reason=reason, ways=ways)
