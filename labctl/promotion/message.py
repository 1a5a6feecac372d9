"""A promotion in words: the message of its commit, which is also what a person reads before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stacks.promotion import Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .effects import StackEffect
    from .plan import Kept, Move, PromotionPlan

__all__ = ["commit_message", "kept_lines", "subject"]

LONGEST_SUBJECT: Final = 72
"""Characters of a commit's first line that git's tools show whole."""
MOST_NAMES: Final = 12
"""Names in a list before the rest is counted."""


def commit_message(plan: PromotionPlan, effects: Sequence[StackEffect], notes: Sequence[str] = ()) -> str:
    """Return the message of the commit that a promotion is: its versions, what they change, what stayed behind."""
    parts = [subject(plan), "", "Versions", *version_lines(plan.moves)]
    for effect in effects:
        parts += ["", f"What it changes in {effect.stack}", *effect_lines(effect)]
    if schema := _schema_lines(plan.moves, effects):
        parts += ["", *schema]
    if plan.kept or plan.only_target:
        parts += ["", "Stayed behind", *kept_lines(plan)]
    if notes:
        parts += ["", *(f"Note: {note}" for note in notes)]
    return "\n".join(parts) + "\n"


def subject(plan: PromotionPlan) -> str:
    """Return a commit's first line: what moves, as far as it fits."""
    start = f"Promote {plan.way.source} to {plan.way.target}: "
    named = [f"{_short(move.name)} {_arrival(move)}" for move in plan.moves]
    whole = start + ", ".join(named)
    if len(whole) <= LONGEST_SUBJECT:
        return whole
    first = f"{start}{named[0]} and {len(named) - 1} more"
    return first if len(named) > 1 and len(first) <= LONGEST_SUBJECT else f"{start}{len(named)} changes"


def _short(name: str) -> str:
    return name.rpartition("/")[2]


def _arrival(move: Move) -> str:
    return move.versions.partition(" -> ")[2] or move.versions


def version_lines(moves: Sequence[Move]) -> list[str]:
    """Return a line for each move, the members of a set below it in one."""
    width = max((len(move.name) for move in moves), default=0)
    lines: list[str] = []
    for move in moves:
        lines.append(f"  {move.name:<{width}}  {move.versions}  ({move.step})")
        followers = [_short(change.path) for change in move.changes if change.path != "kubernetes"]
        if move.together is not None and followers:
            lines.append(f"    with {_listed(followers)}")
    return lines


def effect_lines(effect: StackEffect) -> list[str]:
    """Return what changes in one stack, line by line."""
    if effect.error is not None:
        return [f"  it could not be built: {effect.error}"]
    if effect.base_error is not None:
        return [f"  it cannot be built with the pins of now, so nothing can be said: {effect.base_error}"]
    if not effect.changes:
        return ["  nothing: it uses none of these"]
    counts = [
        f"{len(names)} {word}"
        for word in ("created", "updated", "replaced", "deleted")
        if (names := getattr(effect, word))
    ]
    lines = [f"  resources: {', '.join(counts)}"]
    lines += [
        f"  release {found.name}: {_release_words(found.chart, found.old, found.new)}" for found in effect.releases
    ]
    lines += [f"  image {path.rpartition('/')[2]}" for path in effect.images if path.startswith("images/")]
    lines += [
        f"  {', '.join(hosts)}: {'run' if len(hosts) > 1 else 'runs'} {', '.join(steps)}"
        for steps, hosts in _by_steps(effect)
    ]
    lines += [f"  replaced: {_listed(effect.replaced)}"] if effect.replaced else []
    lines += [f"  deleted: {_listed(effect.deleted)}"] if effect.deleted else []
    return lines


def _release_words(chart: str, old: str | None, new: str | None) -> str:
    if old == new:
        return f"{chart} {new}, its values only"
    return f"{chart} {old or 'none'} -> {new or 'none'}"


def _by_steps(effect: StackEffect) -> Iterable[tuple[tuple[str, ...], list[str]]]:
    """Return the hosts by what they run."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for host, steps in effect.hosts.items():
        groups.setdefault(steps, []).append(host)
    return groups.items()


def _schema_lines(moves: Sequence[Move], effects: Sequence[StackEffect]) -> list[str]:
    charts = [change.path for move in moves if move.step in _BREAKING for change in move.changes]
    names = [_short(path) for path in charts if path.startswith("charts/")]
    if not names:
        return []
    return [
        f"The values of {_listed(names)} may have another schema in a new major version. Hold ours against the chart",
        "itself, where the network reaches it:",
        *(f"  labctl charts --stack {effect.stack}" for effect in effects),
    ]


_BREAKING: Final = (Step.MAJOR, Step.PRERELEASE, Step.UNCLEAR)


def kept_lines(plan: PromotionPlan) -> list[str]:
    """Return what stayed behind, each with its reason and what would let it move."""
    width = max((len(kept.name) for kept in plan.kept), default=0)
    lines = [line for kept in plan.kept for line in _kept(kept, width)]
    if plan.only_target:
        lines.append(f"  only in {plan.way.target}, so left alone: {_listed(plan.only_target)}")
    return lines


def _kept(kept: Kept, width: int) -> list[str]:
    versions = ", ".join(
        sorted({change.versions for change in kept.changes if change.path in (kept.name, "kubernetes")})
    )
    versions = versions or ", ".join(sorted({change.versions for change in kept.changes}))
    return [
        f"  {kept.name:<{width}}  {versions}  ({kept.step})",
        f"    {kept.reason}",
        f"    what would let it move: {kept.remedy}",
    ]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown} and {len(names) - MOST_NAMES} more"
