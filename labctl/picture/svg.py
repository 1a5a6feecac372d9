"""A placed picture as SVG: one file, no script, no font, nothing from elsewhere; readable on light and dark pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape, quoteattr

from .boxes import (
    BADGE,
    COUNT_WIDTH,
    INNER_TITLE_SIZE,
    PADDING,
    ROW,
    ROW_SIZE,
    SIGNS_WIDTH,
    SMALL_SIZE,
    TITLE_SIZE,
)
from .layout import MARGIN, lay_out
from .text import fitted, text_width, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .boxes import Box, Place, Row
    from .layout import Layout, Route
    from .model import Component, Picture

__all__ = ["svg"]

ACCENTS: Final = ("#4477aa", "#228833", "#ee7733", "#aa3377", "#009988", "#cc3311", "#997700", "#3388bb")
"""Of components, by turns; after Paul Tol's schemes, which people with every kind of colour vision tell apart."""
SIGNS: Final = {
    "create": ("+", "#1a7f37"),
    "update": ("~", "#9a6700"),
    "replace": ("±", "#8250df"),
    "delete": ("-", "#cf222e"),
    "failed": ("✗", "#cf222e"),
}
"""Sign and colour of what a plan does."""
SIGN_WORDS: Final = {
    "create": "to create",
    "update": "to update",
    "replace": "to replace",
    "delete": "to delete",
    "failed": "failed",
}
UNCHANGED: Final = "#8c959f"
"""Of a component that a plan leaves as it is."""
FONT: Final = "Inter, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
DARK: Final = """
@media (prefers-color-scheme: dark) {
  .page { fill: #0f1419 } .card { fill: #1a212a; stroke: #37424f } .inner { fill: #121920; stroke: #313b47 }
  .ink { fill: #e8ecf1 } .muted { fill: #9aa5b3 } .halo { stroke: #0f1419 }
  .create { fill: #4ac26b } .update { fill: #d4a72c } .replace { fill: #b68cf5 } .delete, .failed { fill: #ff7b72 }
}"""
"""Light colours are attributes, so that a program that knows no style sheet shows a light picture."""
FLOW_WIDTHS: Final = ((30, 3.5), (8, 2.75), (2, 2.0), (0, 1.5))
"""Width of a flow's line by the number of values that flow."""
RADIUS: Final = 10


def svg(picture: Picture) -> str:
    """Return `picture` as SVG; the same text for the same picture."""
    layout = lay_out(picture)
    width, height = _number(layout.width), _number(layout.height)
    accents = _accents(layout)
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="{FONT}" role="img" aria-labelledby="title">'
        ),
        f'<title id="title">{escape(_heading(picture))}</title>',
        f"<style>{DARK}\n</style>",
        f'<rect class="page" width="{width}" height="{height}" fill="#ffffff"/>',
        *_title(layout),
    ]
    for route in layout.routes:
        lines += _flow(route, UNCHANGED if picture.planned else accents[route.flow.source])
    for box in layout.boxes:
        lines += _box(box, accents[box.component.urn], planned=picture.planned)
    lines += [*_legend(layout), "</svg>", ""]
    return "\n".join(lines)


def _accents(layout: Layout) -> Mapping[str, str]:
    """Return each component's colour: by turns, or, of a plan, by whether anything changes."""
    accents: dict[str, str] = {}
    for index, box in enumerate(layout.boxes):
        accents[box.component.urn] = ACCENTS[index % len(ACCENTS)]
        if layout.picture.planned:
            signs = box.component.signs
            worst = next((sign for sign in ("failed", "delete", "replace", "update", "create") if sign in signs), "")
            accents[box.component.urn] = SIGNS[worst][1] if worst else UNCHANGED
    return accents


def _heading(picture: Picture) -> str:
    count = sum(_components(component) for component in picture.components)
    plan = ", and what `up` would change" if picture.planned else ""
    return f"{picture.stack}: {picture.count} resources in {count} components{plan}"


def _components(component: Component) -> int:
    return 1 + sum(_components(child) for child in component.children)


def _title(layout: Layout) -> list[str]:
    heading = _heading(layout.picture).partition(": ")[2]
    room = layout.width - 2 * MARGIN
    return [
        _text(MARGIN, 46, fitted(layout.picture.stack, 28, room, bold=True), 28, "ink", bold=True),
        _text(MARGIN, 68, fitted(heading, 14, room), 14, "muted"),
    ]


def _flow(route: Route, accent: str) -> list[str]:
    flow = route.flow
    path = f"M{_point(route.points[0])} L{_point(route.points[1])}"
    for index in range(1, len(route.points) - 2, 2):
        (x0, y0), (x1, y1) = route.points[index], route.points[index + 1]
        middle = (x0 + x1) / 2
        path += f" C{_point((middle, y0))} {_point((middle, y1))} {_point((x1, y1))} L{_point(route.points[index + 2])}"
    width = next(width for least, width in FLOW_WIDTHS if flow.count >= least)
    dashes = ' stroke-dasharray="2 5" stroke-linecap="round"' if flow.by_provider else ""
    what = "the cluster's access, through its provider" if flow.by_provider else "\n".join(flow.examples)
    told = f"{_last(flow.source)} → {_last(flow.target)}: {flow.count} values\n{what}"
    end = route.points[-1]
    back = -1 if route.points[0][0] <= end[0] else 1
    arrow = f"M{_point(end)} l{back * 9} -4.5 v9 z"
    return [
        f"<g><title>{escape(told)}</title>",
        f'<path class="halo" d="{path}" fill="none" stroke="#ffffff" stroke-width="{width + 4}"/>',
        f'<path d="{path}" fill="none" stroke="{accent}" stroke-width="{width}" stroke-opacity="0.85"{dashes}/>',
        f'<path d="{arrow}" fill="{accent}"/></g>',
    ]


def _last(urn: str) -> str:
    return urn.rsplit("::", 1)[-1]


def _box(box: Box, accent: str, *, planned: bool) -> list[str]:
    place, component = box.place, box.component
    signs = component.signs
    top = box.depth == 0
    frame = ('class="card" fill="#f6f8fa" stroke="#d0d7de"', 'class="inner" fill="#ffffff" stroke="#d8dee4"')[not top]
    size = TITLE_SIZE if top else INNER_TITLE_SIZE
    room = place.width - 2 * PADDING - BADGE
    y = place.y + (25 if top else 20)
    lines = [
        f"<g><title>{escape(_told(component))}</title>",
        f"<rect {frame} {_rectangle(place)} rx={quoteattr(str(RADIUS if top else 7))}/>",
    ]
    if top:
        lines.append(
            f'<path d="M{_number(place.x + RADIUS)} {_number(place.y + 2)} h{_number(place.width - 2 * RADIUS)}" '
            f'stroke="{accent}" stroke-width="4" stroke-linecap="round"/>'
        )
    x = place.x + PADDING
    title = fitted(words(component.type), size, room, bold=True)
    lines.append(_text(x, y, title, size, "ink", bold=True))
    lines.append(_text(x, y + (16 if top else 14), fitted(component.name, SMALL_SIZE, room), SMALL_SIZE, "muted"))
    lines.append(_text(place.right - PADDING, y, str(component.count), size, "muted", end=True))
    if planned and signs and not box.rows:
        lines += _signs(signs, place.right - PADDING, y + 15)
    lines.append("</g>")
    for row in box.rows:
        lines += _row(row, planned=planned)
    for child in box.children:
        lines += _box(child, accent, planned=planned)
    return lines


def _row(row: Row, *, planned: bool) -> list[str]:
    kind, place = row.kind, row.place
    y = place.y + ROW * 0.7
    room = place.width - COUNT_WIDTH - (SIGNS_WIDTH if kind.signs else 0)
    tone = "muted" if planned and not kind.signs else "ink"
    lines = [
        _text(place.x + COUNT_WIDTH - 8, y, str(kind.count), ROW_SIZE, tone, bold=True, end=True),
        _text(place.x + COUNT_WIDTH, y, fitted(kind.name, ROW_SIZE, room), ROW_SIZE, tone),
    ]
    return lines + (_signs(kind.signs, place.right, y) if kind.signs else [])


def _signs(signs: Mapping[str, int], right: float, y: float) -> list[str]:
    """Return a plan's counts, right-aligned; of many sorts as many as there is room for."""
    lines: list[str] = []
    room = SIGNS_WIDTH
    for sign in reversed(SIGNS):
        if count := signs.get(sign):
            text = f"{SIGNS[sign][0]}{count}"
            width = text_width(text, ROW_SIZE, bold=True) + 6
            if width > room:
                break
            lines.append(_text(right, y, text, ROW_SIZE, sign, bold=True, end=True))
            right, room = right - width, room - width
    return lines


def _told(component: Component) -> str:
    """Return what a pointer that rests on a component is told."""
    kinds = "\n".join(f"{kind.count} {kind.name}" for kind in component.kinds)
    return f"{component.type} {component.name}: {component.count} resources\n{kinds}".strip()


def _legend(layout: Layout) -> list[str]:
    y = layout.height - MARGIN * 0.75
    x = MARGIN
    lines: list[str] = []
    picture = layout.picture
    entries: list[tuple[str, str]] = []
    if any(not flow.by_provider for flow in picture.flows):
        entries.append(("", "values of one are inputs of the other"))
    if any(flow.by_provider for flow in picture.flows):
        entries.append(("2 5", "access to the cluster"))
    for dashes, told in entries:
        style = f' stroke-dasharray="{dashes}" stroke-linecap="round"' if dashes else ""
        lines.append(f'<path d="M{_number(x)} {_number(y - 4)} h28" stroke="{UNCHANGED}" stroke-width="2.5"{style}/>')
        lines.append(_text(x + 36, y, told, SMALL_SIZE, "muted"))
        x += 36 + text_width(told, SMALL_SIZE) + 24
    if picture.planned:
        found = {sign for component in picture.components for sign in component.signs}
        for sign, (mark, _) in SIGNS.items():
            if sign in found:
                told = f"{mark} {SIGN_WORDS[sign]}"
                lines.append(_text(x, y, told, SMALL_SIZE, sign, bold=True))
                x += text_width(told, SMALL_SIZE, bold=True) + 20
        if not found:
            lines.append(_text(x, y, "nothing changes", SMALL_SIZE, "muted"))
    return lines


COLOURS: Final = {"ink": "#1f2328", "muted": "#59636e"} | {sign: colour for sign, (_, colour) in SIGNS.items()}
"""Of text on a light page, by class."""


def _text(  # noqa: PLR0913 - what a text has
    x: float, y: float, text: str, size: float, tone: str, *, bold: bool = False, end: bool = False
) -> str:
    weight = ' font-weight="600"' if bold else ""
    anchor = ' text-anchor="end"' if end else ""
    return (
        f'<text class="{tone}" x="{_number(x)}" y="{_number(y)}" font-size="{size:g}" fill="{COLOURS[tone]}"'
        f"{weight}{anchor}>{escape(text)}</text>"
    )


def _rectangle(place: Place) -> str:
    return (
        f'x="{_number(place.x)}" y="{_number(place.y)}" width="{_number(place.width)}" height="{_number(place.height)}"'
    )


def _point(point: tuple[float, float]) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    """Return a coordinate, to a tenth of a pixel."""
    return f"{round(value, 1):g}"
