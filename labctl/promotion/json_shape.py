"""A promotion as JSON (docs/environments.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.graph.values import Plain

    from .effects import StackEffect
    from .plan import PinChange, PromotionPlan

__all__ = ["promotion_json"]


def promotion_json(
    plan: PromotionPlan, effects: Sequence[StackEffect], *, message: str, written: bool, commit: str | None
) -> dict[str, Plain]:
    """Return what moved, what stayed and what that changes."""
    return {
        "from": str(plan.way.source),
        "to": str(plan.way.target),
        "change": str(plan.way.change),
        "moves": [
            {"name": move.name, "step": str(move.step), "pins": [_pin(change) for change in move.changes]}
            for move in plan.moves
        ],
        "kept": [
            {
                "name": kept.name,
                "step": str(kept.step),
                "reason": kept.reason,
                "remedy": kept.remedy,
                "pins": [_pin(change) for change in kept.changes],
            }
            for kept in plan.kept
        ],
        "onlyTarget": [*plan.only_target],
        "stacks": [_effect(effect) for effect in effects],
        "message": message,
        "written": written,
        "commit": commit,
    }


def _pin(change: PinChange) -> Plain:
    return {
        "pin": change.path,
        "from": change.old.version if change.old else None,
        "to": change.new.version if change.new else None,
    }


def _effect(effect: StackEffect) -> Plain:
    return {
        "stack": effect.stack,
        "error": effect.error,
        "baseError": effect.base_error,
        "releases": [
            {"name": found.name, "chart": found.chart, "from": found.old, "to": found.new} for found in effect.releases
        ],
        "images": [*effect.images],
        "hosts": {host: [*steps] for host, steps in effect.hosts.items()},
        "created": [*effect.created],
        "updated": [*effect.updated],
        "replaced": [*effect.replaced],
        "deleted": [*effect.deleted],
    }
