"""``labctl promote``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl import run_log
from labctl.lab import find_root
from labctl.promotion.editing import with_moved_pins
from labctl.promotion.effects import effects_of
from labctl.promotion.errors import StackBrokenError
from labctl.promotion.json_shape import promotion_json
from labctl.promotion.message import commit_message, kept_lines
from labctl.promotion.pins import pins_file, pins_in
from labctl.promotion.plan import plan_promotion, require_sound
from labctl.promotion.repository import commit, read_exactly, require_committed, write_at_once
from labctl.promotion.ways import way_between

from .session import error_console, output_console, print_json

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.promotion.effects import StackEffect
    from labctl.promotion.plan import PromotionPlan, Wishes

__all__ = ["Promoting", "promote"]


@dataclass(frozen=True, kw_only=True)
class Promoting:
    """How a promotion is done."""

    major: bool = False
    """Take the way of major versions where there are both."""
    dry_run: bool = False
    force: bool = False
    """Write over changes that are not committed, and though a stack could not be built with the new pins."""
    commits: bool = False
    message: Path | None = None
    """Where the message is written, too."""
    as_json: bool = False


def promote(source: str, target: str, wishes: Wishes, how: Promoting) -> None:
    """Copy pins from one environment to its neighbour, as far as the policy lets them move, and say what that changes.

    Raises
    ------
    PromotionError
        Nothing was touched; the message says why and what would help.
    PinFileError
        A file of pins is not valid.
    """
    root = find_root()
    way = way_between(source, target, major=how.major)
    origin, file = pins_file(root, source), pins_file(root, target)
    name = file.relative_to(root).as_posix()
    before, text = read_exactly(file), read_exactly(origin)
    offered = pins_in(text, file=origin.relative_to(root).as_posix())
    require_sound(source, offered)
    plan = plan_promotion(offered, pins_in(before, file=name), way, wishes)
    if not plan.moves:
        _say_nothing_moves(plan, how)
        return
    notes: list[str] = []
    if not how.force and not how.dry_run and (note := require_committed(root, file)):
        notes.append(note)
    edited = with_moved_pins(before, text, plan.moves, file=name)
    error_console().print(f"rendering the stacks of {target} with the pins of now and the promoted ones", style="dim")
    effects = effects_of(root, target, edited.text, plan.moves)
    if not how.force:
        _require_buildable(effects)
    message = commit_message(plan, effects, (*notes, *edited.stale_comments))
    _finish(root, file, before, edited.text, message, plan, effects, how)


def _finish(  # noqa: PLR0913, PLR0917 - the last step needs what all others made
    root: Path,
    file: Path,
    before: str,
    text: str,
    message: str,
    plan: PromotionPlan,
    effects: list[StackEffect],
    how: Promoting,
) -> None:
    run_log.current().line(message)
    if not how.dry_run:
        write_at_once(file, text, expected=before)
    if how.message is not None:
        how.message.write_text(message, encoding="utf-8")
    made = commit(root, file, message) if how.commits and not how.dry_run else None
    console = output_console()
    if how.as_json:
        print_json(promotion_json(plan, effects, message=message, written=not how.dry_run, commit=made))
        return
    console.print(message, markup=False, highlight=False, soft_wrap=True, end="")
    name = file.relative_to(root).as_posix()
    if how.dry_run:
        ending = f"{name} is as it was: --dry-run"
    elif made:
        ending = f"{name} is written and committed: {made}"
    else:
        ending = f"{name} is written; look at it with git diff, then commit it with this message"
    error_console().print(ending, markup=False, soft_wrap=True)


def _require_buildable(effects: list[StackEffect]) -> None:
    for effect in effects:
        if effect.error is not None and effect.base_error is None:
            raise StackBrokenError(stack=effect.stack, error=effect.error)


def _say_nothing_moves(plan: PromotionPlan, how: Promoting) -> None:
    if how.as_json:
        print_json(promotion_json(plan, [], message="", written=False, commit=None))
        return
    console = output_console()
    console.print(f"nothing to promote from {plan.way.source} to {plan.way.target}", markup=False)
    for line in kept_lines(plan):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
