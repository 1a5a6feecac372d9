"""The report as a drawing: how many of each profile fit, and how full the lab is when nobody fits any more."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from .reasons import resource_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .report import Report

__all__ = ["drawing", "write_plot"]

WIDTH, LABEL_WIDTH, VALUE_WIDTH = 760, 200, 130
ROW, BAR, TITLE, MARGIN = 26, 16, 34, 16
"""Pixels of the drawing."""
COLOURS = ("#4477aa", "#ee6677")
"""Blue and red of Paul Tol's bright scheme, which people with every kind of colour vision tell apart."""


def write_plot(path: Path, report: Report) -> None:
    """Leave the drawing of a report at `path`, as SVG."""
    path.write_text(drawing(report), encoding="utf-8")


def drawing(report: Report) -> str:
    """Return an SVG of two bar charts, with the figures of the tables beside their bars."""
    most = max(report.counts.values(), default=0) or 1
    fits = [
        (profile.slug, report.counts[profile.slug] / most, str(report.counts[profile.slug]))
        for profile in report.profiles
    ]
    taken = [
        (resource_words(one.resource, report.slices), one.share, f"{one.share:.0%}") for one in report.full.utilisation
    ]
    first = _chart(f"{report.stack}: how many of each profile fit, alone", fits, COLOURS[0], top=MARGIN)
    top = MARGIN + TITLE + ROW * len(fits) + MARGIN
    refused = report.full.refusal.slug
    title = f"full with {report.full.total} users; first refused: {refused}"
    second = _chart(title, taken, COLOURS[1], top=top)
    height = top + TITLE + ROW * len(taken) + MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="13">'
    )
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>', *first, *second, "</svg>", ""])


def _chart(title: str, rows: Sequence[tuple[str, float, str]], colour: str, *, top: int) -> list[str]:
    room = WIDTH - LABEL_WIDTH - VALUE_WIDTH
    lines = [f'<text x="{MARGIN}" y="{top + 16}" font-weight="bold">{escape(title)}</text>']
    for index, (label, share, value) in enumerate(rows):
        y = top + TITLE + index * ROW
        width = round(max(0.0, min(1.0, share)) * room, 1)
        lines += [
            f'<text x="{LABEL_WIDTH - 8}" y="{y + 13}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="{LABEL_WIDTH}" y="{y}" width="{room}" height="{BAR}" fill="#eeeeee"/>',
            f'<rect x="{LABEL_WIDTH}" y="{y}" width="{width}" height="{BAR}" fill="{colour}"/>',
            f'<text x="{LABEL_WIDTH + room + 8}" y="{y + 13}">{escape(value)}</text>',
        ]
    return lines
