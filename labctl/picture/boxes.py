"""How large a component's box is and what lies where in it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from .text import text_width, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .model import Component, Kind

__all__ = ["Box", "Place", "Row", "measured", "moved"]

PADDING: Final = 14.0
GAP: Final = 12.0
"""Between boxes in a box."""
TITLE_SIZE, INNER_TITLE_SIZE, SMALL_SIZE, ROW_SIZE = 16.0, 13.0, 11.5, 12.5
"""Font sizes."""
HEADER, INNER_HEADER = 46.0, 40.0
"""Heights of a title with the name below it."""
ROW: Final = 20.0
COUNT_WIDTH: Final = 34.0
"""Room for a number before a kind, five digits."""
SIGNS_WIDTH: Final = 74.0
"""Room for a plan's counts after a kind."""
LEAST_WIDTH: Final = 210.0
BADGE: Final = 46.0
"""Room for the count at the right of a title."""
CHILDREN_PER_COLUMN: Final = 3


@dataclass(frozen=True, kw_only=True)
class Place:
    """A rectangle, in pixels from the upper left corner of the picture."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.y + self.height

    def overlaps(self, other: Place) -> bool:
        """Tell whether any of the two's areas is the same."""
        across = self.x < other.right and other.x < self.right
        return across and self.y < other.bottom and other.y < self.bottom

    def holds(self, other: Place) -> bool:
        """Tell whether `other` lies within."""
        across = self.x <= other.x and other.right <= self.right
        return across and self.y <= other.y and other.bottom <= self.bottom


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kind of resources in a box."""

    kind: Kind
    place: Place


@dataclass(frozen=True, kw_only=True)
class Box:
    """A component, placed."""

    component: Component
    place: Place
    depth: int
    """0: directly below the stack."""
    rows: tuple[Row, ...] = ()
    children: tuple[Box, ...] = ()


def measured(component: Component, depth: int = 0, *, least: float = LEAST_WIDTH) -> Box:
    """Return a component's box with its upper left corner at (0, 0), as large as what is in it needs.

    `least` is how wide it is at least; what is in it is as wide, then.
    """
    size = INNER_TITLE_SIZE if depth else TITLE_SIZE
    own = max(
        least - 2 * PADDING,
        text_width(words(component.type), size, bold=True) + BADGE,
        text_width(component.name, SMALL_SIZE) + BADGE,
        max((_row_width(kind) for kind in component.kinds), default=0.0),
    )
    children = [measured(child, depth + 1) for child in component.children]
    columns = _columns_for(len(children))
    share = (own + GAP) / columns - GAP
    widest = max([share, *(child.place.width for child in children)])
    children = [measured(child, depth + 1, least=widest) for child in component.children]
    packed, packed_width, packed_height = _packed(children, columns)
    inner = math.ceil(max(own, packed_width))
    top = INNER_HEADER if depth else HEADER
    rows, rows_height = _rows(component.kinds, inner, top)
    below = top + rows_height + (GAP if children and rows else 0.0)
    placed = tuple(moved(child, PADDING, below) for child in packed)
    height = below + packed_height + PADDING * (0.75 if children or rows else 0.25)
    return Box(
        component=component,
        place=Place(x=0, y=0, width=inner + 2 * PADDING, height=math.ceil(height)),
        depth=depth,
        rows=rows,
        children=placed,
    )


def moved(box: Box, dx: float, dy: float) -> Box:
    """Return a box and all that is in it, moved."""

    def shifted(place: Place) -> Place:
        return replace(place, x=place.x + dx, y=place.y + dy)

    return replace(
        box,
        place=shifted(box.place),
        rows=tuple(replace(row, place=shifted(row.place)) for row in box.rows),
        children=tuple(moved(child, dx, dy) for child in box.children),
    )


def _row_width(kind: Kind) -> float:
    return COUNT_WIDTH + text_width(kind.name, ROW_SIZE) + (SIGNS_WIDTH if kind.signs else 0.0)


def _rows(kinds: Sequence[Kind], width: float, top: float) -> tuple[tuple[Row, ...], float]:
    """Return the rows of `kinds`, in as many columns as fit, down and then across, and their height."""
    if not kinds:
        return (), 0.0
    widest = max(_row_width(kind) for kind in kinds) + GAP
    columns = max(1, min(len(kinds), int((width + GAP) // widest)))
    per_column = math.ceil(len(kinds) / columns)
    across = (width + GAP) / columns
    rows = tuple(
        Row(
            kind=kind,
            place=Place(
                x=PADDING + (index // per_column) * across,
                y=top + (index % per_column) * ROW,
                width=across - GAP,
                height=ROW,
            ),
        )
        for index, kind in enumerate(kinds)
    )
    return rows, per_column * ROW


def _columns_for(count: int) -> int:
    """Return in how many columns so many boxes stand: about as wide as high."""
    return max(1, min(math.ceil(count / CHILDREN_PER_COLUMN), round(math.sqrt(count)) + 1))


def _packed(boxes: Sequence[Box], columns: int) -> tuple[list[Box], float, float]:
    """Return `boxes` in columns, each in the shortest so far, and the width and height of all of them."""
    if not boxes:
        return [], 0.0, 0.0
    width = max(box.place.width for box in boxes)
    bottoms = [0.0] * columns
    placed: list[Box] = []
    for box in sorted(boxes, key=lambda item: (-item.place.height, item.component.urn)):
        column = bottoms.index(min(bottoms))
        placed.append(moved(box, column * (width + GAP), bottoms[column]))
        bottoms[column] += box.place.height + GAP
    return placed, columns * (width + GAP) - GAP, max(bottoms) - GAP
