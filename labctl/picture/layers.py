"""In which column each component stands, and in which order there: the first half of Sugiyama's method. Pure.

Sugiyama, Tagawa, Toda (1981): Methods for visual understanding of hierarchical system structures. Cycles are broken,
each component stands right of what flows into it, a flow that crosses columns has a lane of its own in each, and the
order within the columns is that of the neighbours' mean (barycentre), swept to and fro.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

__all__ = ["Lane", "columns_of", "ordered", "without_cycles"]

SWEEPS: Final = 12
"""To and fro; the order stays the same after a few."""

Lane = tuple[str, str, int]
"""Where the flow (source, target) crosses a column."""
Slot = str | Lane
"""What stands in a column."""


def without_cycles(nodes: Sequence[str], pairs: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return `pairs` without those that lead back to where a walk came from; walks begin in the order of `nodes`."""
    after: defaultdict[str, list[str]] = defaultdict(list)
    for source, target in sorted(pairs):
        after[source].append(target)
    kept: set[tuple[str, str]] = set()
    done: set[str] = set()
    on_way: set[str] = set()

    def walk(node: str) -> None:
        on_way.add(node)
        for target in after[node]:
            if target not in on_way:
                kept.add((node, target))
                if target not in done:
                    walk(target)
        on_way.discard(node)
        done.add(node)

    entered = {target for _, target in pairs}
    for node in sorted(nodes, key=lambda item: item in entered):
        if node not in done:
            walk(node)
    return kept


def columns_of(
    nodes: Sequence[str], pairs: Collection[tuple[str, str]], heights: Mapping[str, float], tallest: float
) -> list[list[str]]:
    """Return `nodes` by column, every pair from the left to the right, no column of several higher than `tallest`.

    `pairs` has no cycle.
    """
    level: dict[str, int] = {}
    before: defaultdict[str, list[str]] = defaultdict(list)
    after: defaultdict[str, list[str]] = defaultdict(list)
    for source, target in pairs:
        before[target].append(source)
        after[source].append(target)

    def depth(node: str) -> int:
        if node not in level:
            level[node] = max((depth(source) + 1 for source in before[node]), default=0)
        return level[node]

    for node in nodes:
        depth(node)
    for node in nodes:  # what nothing flows into stands as near as it can to what it flows to
        if not before[node] and after[node]:
            level[node] = min(level[target] for target in after[node]) - 1
    columns: list[list[str]] = []
    for number in sorted(set(level.values())):
        columns += _split([node for node in nodes if level[node] == number], heights, tallest)
    return columns


def _split(column: list[str], heights: Mapping[str, float], tallest: float) -> Iterable[list[str]]:
    """Return `column` in as many as it takes; nothing flows between components of one column."""
    parts: list[list[str]] = [[]]
    height = 0.0
    for node in column:
        if parts[-1] and height + heights[node] > tallest:
            parts.append([])
            height = 0.0
        parts[-1].append(node)
        height += heights[node]
    return parts


def ordered(columns: Sequence[Sequence[str]], flows: Collection[tuple[str, str]]) -> list[list[Slot]]:
    """Return the columns with lanes for the flows that cross them, in an order in which few flows cross."""
    level = {node: number for number, column in enumerate(columns) for node in column}
    slots: list[list[Slot]] = [list(column) for column in columns]
    neighbours: tuple[defaultdict[Slot, list[Slot]], defaultdict[Slot, list[Slot]]] = (
        defaultdict(list),
        defaultdict(list),
    )
    for source, target in sorted(flows):
        chain: list[Slot] = [source]
        for number in range(level[source] + 1, level[target]):
            lane: Lane = (source, target, number)
            slots[number].append(lane)
            chain.append(lane)
        chain.append(target)
        for left, right in pairwise(chain):
            neighbours[0][right].append(left)
            neighbours[1][left].append(right)
    best, fewest = [list(column) for column in slots], _crossings(slots, neighbours[1])
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        numbers = range(1, len(slots)) if forward else range(len(slots) - 2, -1, -1)
        for number in numbers:
            beside = slots[number - 1 if forward else number + 1]
            position = {slot: index for index, slot in enumerate(beside)}
            slots[number] = _sorted(slots[number], neighbours[0 if forward else 1], position)
        if (crossings := _crossings(slots, neighbours[1])) < fewest:
            best, fewest = [list(column) for column in slots], crossings
    return best


def _sorted(
    column: Sequence[Slot], neighbours: Mapping[Slot, Sequence[Slot]], position: Mapping[Slot, int]
) -> list[Slot]:
    """Return `column` by the mean position of each slot's neighbours; one without any stays where it is."""
    size = max(1, len(column) - 1)
    scale = max(1, len(position) - 1)

    def mean(index: int, slot: Slot) -> float:
        found = [position[other] / scale for other in neighbours.get(slot, ()) if other in position]
        return sum(found) / len(found) if found else index / size

    return [slot for _, slot in sorted(enumerate(column), key=lambda item: (mean(*item), item[0]))]


def _crossings(slots: Sequence[Sequence[Slot]], after: Mapping[Slot, Sequence[Slot]]) -> int:
    total = 0
    for left, right in pairwise(slots):
        position = {slot: index for index, slot in enumerate(right)}
        ends = [(index, position[target]) for index, slot in enumerate(left) for target in after.get(slot, ())]
        total += sum(1 for first, (a, b) in enumerate(ends) for c, d in ends[first + 1 :] if (a - c) * (b - d) < 0)
    return total
