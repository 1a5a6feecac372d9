"""How the graphs of two stacks differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from .canonical import canonical
from .differences import Change, differences, value_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .record import Graph
    from .values import Inputs, Plain, Value

__all__ = ["Comparison", "PropertyDifference", "compare"]


@dataclass(frozen=True)
class PropertyDifference:
    """One property that differs, with both values; None where it is absent."""

    path: str
    change: Change
    one: Value
    other: Value


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Resources by canonical URN."""

    only_one: tuple[str, ...]
    only_other: tuple[str, ...]
    changed: Mapping[str, tuple[PropertyDifference, ...]] = field(
        default_factory=dict[str, tuple[PropertyDifference, ...]]
    )
    same: int = 0

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not (self.only_one or self.only_other or self.changed)


def compare(one: Graph, other: Graph) -> Comparison:
    """Return how `other` differs from `one`, the names of the stacks themselves aside."""
    left, right = canonical(one), canonical(other)
    common = sorted(left.keys() & right.keys())
    changed = {urn: found for urn in common if (found := _differences(left[urn], right[urn]))}
    return Comparison(
        only_one=tuple(sorted(left.keys() - right.keys())),
        only_other=tuple(sorted(right.keys() - left.keys())),
        changed=changed,
        same=len(common) - len(changed),
    )


def _differences(one: dict[str, Plain], other: dict[str, Plain]) -> tuple[PropertyDifference, ...]:
    before, after = cast("Inputs", one), cast("Inputs", other)
    return tuple(
        PropertyDifference(path, change, value_at(before, path), value_at(after, path))
        for path, change in differences(before, after).items()
    )
