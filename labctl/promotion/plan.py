"""What a promotion moves and what it leaves behind: pins of two environments in, a plan out."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from stacks.environments import Change
from stacks.promotion import ALLOWED, TOGETHER, Step, Together, together_with, versioning_of

from .errors import NoSuchPinError, UnsoundSourceError
from .versions import step_between

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .pins import Pin
    from .ways import Way

__all__ = ["Kept", "Move", "PinChange", "PromotionPlan", "Wishes", "plan_promotion", "require_sound"]

SEVERITY: Final = tuple(Step)
"""Steps from the smallest to the one that is never taken; a set makes the greatest of its members'."""


@dataclass(frozen=True, kw_only=True)
class PinChange:
    """One pin and what would become of it."""

    path: str
    old: Pin | None
    """None: the environment has none yet."""
    new: Pin | None
    """None: it goes, since the set it belongs to has none any more."""

    @property
    def versions(self) -> str:
        """Both versions in words: ``4.4.0 -> 4.5.0``."""
        old, new = (pin.version if pin else None for pin in (self.old, self.new))
        if old == new and self.old is not None:
            return f"{new} (same version)"
        return f"{old or 'new:'} -> {new or 'none'}" if old else f"new: {new}"


@dataclass(frozen=True, kw_only=True)
class Move:
    """Pins that move, in one step: one pin, or a set that moves together."""

    name: str
    """The pin's path, or the set's name."""
    changes: tuple[PinChange, ...]
    step: Step
    together: Together | None = None

    @property
    def versions(self) -> str:
        """The versions that decide, in words."""
        judged = self.together.judged if self.together else ("*",)
        found = {change.versions for change in self.changes if _fits(change.path, judged)}
        return ", ".join(sorted(found)) or f"{len(self.changes)} pins, same version"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Pins that differ and stay as they are."""

    name: str
    changes: tuple[PinChange, ...]
    step: Step
    reason: str
    remedy: str
    """What would let them move."""


@dataclass(frozen=True, kw_only=True)
class PromotionPlan:
    """What a promotion does."""

    way: Way
    moves: tuple[Move, ...]
    kept: tuple[Kept, ...]
    only_target: tuple[str, ...]
    """Pins that only the environment promoted to has; they stay."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What somebody asked for."""

    only: tuple[str, ...] = ()
    """Shell patterns of pins; nothing else moves, except what moves together with them."""
    allows_downgrade: bool = False


def require_sound(environment: str, pins: Mapping[str, Pin]) -> None:
    """Return if the pins of an environment fit each other.

    Raises
    ------
    UnsoundSourceError
        Members of a set that have one version elsewhere have several here.
    """
    problems: list[str] = []
    for together in TOGETHER:
        versions = {path: pin.version for path, pin in pins.items() if _fits(path, together.same_version)}
        if len({version.removeprefix("v") for version in versions.values()}) > 1:
            listed = ", ".join(f"{path} {version}" for path, version in versions.items())
            problems.append(f"{together.name} has several versions: {listed}; pin one ({together.reason})")
    if problems:
        raise UnsoundSourceError(source=environment, problems=problems)


def plan_promotion(
    source: Mapping[str, Pin], target: Mapping[str, Pin], way: Way, wishes: Wishes | None = None
) -> PromotionPlan:
    """Return what a promotion moves and what it leaves behind, with the reasons.

    Parameters
    ----------
    source, target
        Pins of the two environments by path.
    way
        From which to which, and how far versions may move.
    wishes
        What was asked for beside.

    Raises
    ------
    NoSuchPinError
        A pattern of the wishes fits no pin.
    """
    wishes = wishes or Wishes()
    for pattern in wishes.only:
        if not any(fnmatchcase(path, pattern) for path in source):
            raise NoSuchPinError(pattern=pattern, known=tuple(source))
    moves: list[Move] = []
    kept: list[Kept] = []
    for name, together, changes in _units(source, target):
        step = _step(together, changes, target)
        asked = not wishes.only or any(_fits(change.path, wishes.only) for change in changes)
        verdict = _verdict(name, changes, step, way, wishes) if asked else ("not asked for", "leave out --only")
        if verdict is None:
            moves.append(Move(name=name, changes=changes, step=step, together=together))
        else:
            kept.append(Kept(name=name, changes=changes, step=step, reason=verdict[0], remedy=verdict[1]))
    only_target = tuple(path for path in target if path not in source and not _goes(path, moves))
    return PromotionPlan(way=way, moves=tuple(moves), kept=tuple(kept), only_target=only_target)


def _units(
    source: Mapping[str, Pin], target: Mapping[str, Pin]
) -> Iterable[tuple[str, Together | None, tuple[PinChange, ...]]]:
    """Yield every pin that differs, those that move together as one, in the order of the source."""
    seen: set[str] = set()
    for path in source:
        together = together_with(path)
        name = together.name if together else path
        if name in seen:
            continue
        seen.add(name)
        members = _members(together, source, target) if together else [path]
        changes = tuple(
            PinChange(path=member, old=target.get(member), new=source.get(member))
            for member in members
            if _data(source.get(member)) != _data(target.get(member))
        )
        if changes:
            yield name, together, changes


def _members(together: Together, source: Mapping[str, Pin], target: Mapping[str, Pin]) -> list[str]:
    return [path for path in dict.fromkeys((*source, *target)) if _fits(path, together.pins)]


def _data(pin: Pin | None) -> object:
    return pin.data if pin else None


def _step(together: Together | None, changes: Sequence[PinChange], target: Mapping[str, Pin]) -> Step:
    """Return the greatest step of those that decide; a set none of whose deciding members differ keeps its version."""
    steps = [
        step_between(change.old, change.new, versioning_of(change.path))
        for change in changes
        if change.new is not None and (together is None or _fits(change.path, together.judged))
    ]
    if not steps:
        return Step.SAME_VERSION
    if Step.NEW in steps and together is not None and any(_fits(path, together.pins) for path in target):
        steps = [step for step in steps if step is not Step.NEW] or [Step.NEW]
    return max(steps, key=SEVERITY.index)


def _verdict(name: str, changes: Sequence[PinChange], step: Step, way: Way, wishes: Wishes) -> tuple[str, str] | None:
    """Return why pins stay and what would let them move; None where they move."""
    if step in ALLOWED[way.change]:
        return None
    versioning = versioning_of(changes[0].path)
    pattern = changes[0].path
    if step is Step.DOWN:
        if versioning.can_go_down:
            remedy = f"`labctl promote {way.source} {way.target} --only {pattern} --allow-downgrade`"
            return None if wishes.allows_downgrade else (f"{way.target} is ahead of {way.source}", remedy)
        return f"never down: {versioning.reason}", f"bring {way.source} to what {way.target} has"
    if step is Step.SKIP:
        return (
            f"a minor version lies between: {versioning.reason}",
            f"pin that one in stacks/pins/{way.target}.yaml first (an earlier commit of {way.source}.yaml has it)",
        )
    reasons = {
        Step.MAJOR: f"a major version ({versioning.reason})",
        Step.PRERELEASE: "a pre-release of its publisher's",
        Step.UNCLEAR: "another image, or versions that nobody can order",
    }
    return reasons[step], f"`labctl promote {way.source} {way.target} --major --only {pattern}`" if (
        way.change is Change.MINOR
    ) else f"nothing on the way from {way.source}; pin {name} by hand"


def _goes(path: str, moves: Sequence[Move]) -> bool:
    return any(change.path == path for move in moves for change in move.changes)


def _fits(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)
