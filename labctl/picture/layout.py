"""Where everything of a picture lies. Pure, and the same for the same picture."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from .boxes import Box, Place, measured, moved
from .layers import columns_of, ordered, without_cycles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .layers import Slot
    from .model import Flow, Picture

__all__ = ["Layout", "Route", "every_place", "lay_out"]

MARGIN: Final = 36.0
HEADING: Final = 76.0
"""Height of the picture's own title."""
LEGEND: Final = 44.0
LEAST_WIDTH: Final = 920.0
"""Narrower, the legend does not fit."""
BETWEEN_COLUMNS: Final = 110.0
"""Room for the flows to bend in."""
PER_FLOW: Final = 5.0
"""More of it for each flow between two columns."""
BETWEEN_BOXES: Final = 26.0
LANE: Final = 16.0
"""Height of a flow that crosses a column."""
PORT: Final = 20.0
"""Between two flows at one box."""
TALLEST: Final = 1500.0
"""Of a column, unless one component alone is higher."""
LOOSE_SHAPE: Final = 1.5
"""Width by height of the rows of components without flows, where there are many."""
SETTLING: Final = 6
"""Times that the columns are moved towards each other."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """A flow's way: from box to box, straight within columns, bent between them."""

    flow: Flow
    points: tuple[tuple[float, float], ...]
    """An even number: straight from the first to the second, bent to the third, straight to the fourth, and so on."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A picture, placed."""

    picture: Picture
    width: float
    height: float
    boxes: tuple[Box, ...]
    """In the order of the picture's components."""
    routes: tuple[Route, ...]


def lay_out(picture: Picture) -> Layout:
    """Return the places of everything in `picture`.

    What something flows into stands right of where that comes from; components without any flow stand in rows below.
    """
    boxes = {component.urn: measured(component) for component in picture.components}
    flows = [flow for flow in picture.flows if flow.source in boxes and flow.target in boxes]
    linked = {urn for flow in flows for urn in (flow.source, flow.target)}
    left = MARGIN
    placed, routes, right, bottom = _columns(picture, boxes, flows, linked) if linked else ({}, (), left, HEADING)
    loose = [box for urn, box in boxes.items() if urn not in linked]
    area = sum((box.place.width + BETWEEN_BOXES) * (box.place.height + BETWEEN_BOXES) for box in loose)
    width = max(LEAST_WIDTH, right + MARGIN, math.sqrt(area * LOOSE_SHAPE))
    width, bottom = _rows(loose, placed, width, bottom + (BETWEEN_BOXES * 1.5 if linked else 0.0))
    return Layout(
        picture=picture,
        width=width,
        height=bottom + MARGIN + LEGEND,
        boxes=tuple(placed[component.urn] for component in picture.components),
        routes=routes,
    )


def _columns(
    picture: Picture, boxes: Mapping[str, Box], flows: Sequence[Flow], linked: set[str]
) -> tuple[dict[str, Box], tuple[Route, ...], float, float]:
    """Place what flows lead to or from; return also the right and the lower edge of it all."""
    names = [urn for urn in boxes if urn in linked]
    drawn = {(flow.source, flow.target) for flow in flows}
    # Flows count first: where a wait contradicts one, it is the wait that is left out.
    forward = without_cycles(names, drawn)
    waits = {pair for pair in picture.waits if pair[0] in linked and pair[1] in linked and pair not in drawn}
    acyclic = without_cycles(names, forward | waits)
    pairs = acyclic if forward.issubset(acyclic) else forward
    heights = {urn: box.place.height + BETWEEN_BOXES for urn, box in boxes.items()}
    tallest = max([TALLEST, *(heights[urn] for urn in names)])
    level_of = columns_of(names, pairs, heights, tallest)
    levels = {urn: number for number, column in enumerate(level_of) for urn in column}
    slots = ordered(level_of, {_rightwards(pair, levels) for pair in drawn if levels[pair[0]] != levels[pair[1]]})
    tops = _settled(slots, boxes, drawn, levels)
    placed: dict[str, Box] = {}
    edges: list[tuple[float, float]] = []
    x = MARGIN
    for number, column in enumerate(slots):
        width = max((boxes[slot].place.width for slot in column if isinstance(slot, str)), default=0.0)
        for slot in column:
            if isinstance(slot, str):
                box = boxes[slot]
                placed[slot] = moved(box, x + (width - box.place.width) / 2, tops[slot])
        edges.append((x, x + width))
        crossing = sum(
            1 for one, other in drawn if min(levels[one], levels[other]) <= number < max(levels[one], levels[other])
        )
        x += width + BETWEEN_COLUMNS + PER_FLOW * crossing
    routes = _routes(flows, placed, tops, edges, levels)
    bottoms = [box.place.bottom for box in placed.values()] + [
        y + LANE for slot, y in tops.items() if not isinstance(slot, str)
    ]
    return placed, routes, edges[-1][1], max(bottoms)


def _rightwards(pair: tuple[str, str], levels: Mapping[str, int]) -> tuple[str, str]:
    return pair if levels[pair[0]] < levels[pair[1]] else (pair[1], pair[0])


def _height(slot: Slot, boxes: Mapping[str, Box]) -> float:
    return boxes[slot].place.height if isinstance(slot, str) else LANE


def _settled(
    slots: Sequence[Sequence[Slot]],
    boxes: Mapping[str, Box],
    drawn: set[tuple[str, str]],
    levels: Mapping[str, int],
) -> dict[Slot, float]:
    """Return the upper edge of each slot: in the columns' order, apart from each other, near its neighbours."""
    tops: dict[Slot, float] = {}
    beside: defaultdict[Slot, list[Slot]] = defaultdict(list)
    for pair in sorted(drawn):
        one, other = _rightwards(pair, levels)
        middle: list[Slot] = [(one, other, number) for number in range(levels[one] + 1, levels[other])]
        chain: list[Slot] = [one, *middle, other]
        for left, right in pairwise(chain):
            beside[left].append(right)
            beside[right].append(left)
    for column in slots:
        y = 0.0
        total = sum(_height(slot, boxes) + BETWEEN_BOXES for slot in column) - BETWEEN_BOXES
        for slot in column:
            tops[slot] = y - total / 2
            y += _height(slot, boxes) + BETWEEN_BOXES
    for turn in range(SETTLING):
        for column in slots if turn % 2 else reversed(slots):
            wished: list[float] = []
            for slot in column:
                centres = [tops[other] + _height(other, boxes) / 2 for other in beside[slot]]
                own = tops[slot] + _height(slot, boxes) / 2
                wished.append((sum(centres) / len(centres) if centres else own) - _height(slot, boxes) / 2)
            heights = [_height(slot, boxes) + BETWEEN_BOXES for slot in column]
            tops.update(zip(column, _apart(wished, heights), strict=True))
    highest = min(tops.values())
    return {slot: round(y - highest + HEADING + MARGIN / 2, 1) for slot, y in tops.items()}


def _apart(wished: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Return positions in the given order, none overlapping, as near as can be to `wished` (least squares)."""
    offsets = [sum(heights[:index]) for index in range(len(heights))]
    blocks: list[tuple[float, int]] = []
    for wish, offset in zip(wished, offsets, strict=True):
        blocks.append((wish - offset, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (mean_a, count_a), (mean_b, count_b) = blocks[-2:]
            count = count_a + count_b
            blocks[-2:] = [((mean_a * count_a + mean_b * count_b) / count, count)]
    means = [mean for mean, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _routes(
    flows: Sequence[Flow],
    placed: Mapping[str, Box],
    tops: Mapping[Slot, float],
    edges: Sequence[tuple[float, float]],
    levels: Mapping[str, int],
) -> tuple[Route, ...]:
    """Return each flow's way; at a box, flows are in the order of where they come from or go to."""

    def centre(urn: str) -> float:
        return placed[urn].place.y + placed[urn].place.height / 2

    def beside(flow: Flow, urn: str) -> float:
        """Return how high the flow runs in the column next to `urn`."""
        other = flow.target if urn == flow.source else flow.source
        step = 1 if levels[other] > levels[urn] else -1
        one, two = _rightwards((flow.source, flow.target), levels)
        lane = (one, two, levels[urn] + step)
        return tops[lane] if lane in tops else centre(other)

    sides: defaultdict[tuple[str, bool], list[Flow]] = defaultdict(list)
    for flow in flows:
        rightwards = levels[flow.source] < levels[flow.target]
        sides[flow.source, rightwards].append(flow)
        sides[flow.target, not rightwards].append(flow)
    ports: dict[tuple[str, Flow], float] = {}
    for (urn, _), held in sides.items():
        held.sort(key=lambda flow: (beside(flow, urn), flow.source, flow.target))
        step = min(PORT, placed[urn].place.height / (len(held) + 1))
        for index, flow in enumerate(held):
            ports[urn, flow] = centre(urn) + (index - (len(held) - 1) / 2) * step
    return tuple(
        Route(
            flow=flow,
            points=_way(flow, placed, tops, edges, levels, (ports[flow.source, flow], ports[flow.target, flow])),
        )
        for flow in flows
    )


def _way(  # noqa: PLR0913, PLR0917 - what a way is made of
    flow: Flow,
    placed: Mapping[str, Box],
    tops: Mapping[Slot, float],
    edges: Sequence[tuple[float, float]],
    levels: Mapping[str, int],
    ends: tuple[float, float],
) -> tuple[tuple[float, float], ...]:
    rightwards = levels[flow.source] < levels[flow.target]
    source, target = placed[flow.source].place, placed[flow.target].place
    one, two = _rightwards((flow.source, flow.target), levels)
    numbers = list(range(levels[one] + 1, levels[two]))
    first, last = edges[levels[flow.source]], edges[levels[flow.target]]
    points = [(source.right if rightwards else source.x, ends[0]), (first[1] if rightwards else first[0], ends[0])]
    for number in numbers if rightwards else reversed(numbers):
        y = tops[one, two, number] + LANE / 2
        points += [(edge, y) for edge in (edges[number] if rightwards else reversed(edges[number]))]
    points += [(last[0] if rightwards else last[1], ends[1]), (target.x if rightwards else target.right, ends[1])]
    return tuple((round(x, 1), round(y, 1)) for x, y in points)


def _rows(boxes: Sequence[Box], placed: dict[str, Box], width: float, top: float) -> tuple[float, float]:
    """Place `boxes` in rows as wide as the picture, the highest first; return the picture's width and lower edge."""
    x, y, lowest = MARGIN, top, top
    widest = width
    for box in sorted(boxes, key=lambda item: (-item.place.height, item.component.urn)):
        if x > MARGIN and x + box.place.width + MARGIN > width:
            x, y = MARGIN, lowest + BETWEEN_BOXES
        placed[box.component.urn] = moved(box, x, y)
        x += box.place.width + BETWEEN_BOXES
        widest = max(widest, x - BETWEEN_BOXES + MARGIN)
        lowest = max(lowest, y + box.place.height)
    return widest, lowest


def every_place(layout: Layout) -> list[Place]:
    """Return the places of all boxes, those in boxes included."""

    def within(box: Box) -> list[Place]:
        return [box.place, *(place for child in box.children for place in within(child))]

    return [place for box in layout.boxes for place in within(box)]
