"""Markdown that nothing from outside can break out of.

Whatever a change, a stack file or an error says is shown in code, inline or in a block: nothing in code is a mention, a
link, a reference to an issue, HTML, or the end of a fold. Only our own words stand outside.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["block", "cell", "code", "fold", "plural", "visible"]

LONGEST_CODE: Final = 300
"""Characters of one piece of inline code: a URN and an image with its digest fit."""
RUN_OF_BACKTICKS: Final = re.compile(r"`+")
SHORTEST_FENCE: Final = 3
"""Backticks of a fence, where its content has none (CommonMark 4.5)."""
HIDING: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of characters that show something else than what is there, or cannot be written (Unicode 4.5)."""


def visible(text: str) -> str:
    """Return `text` with every character that is not seen, or turns others around, written as its number."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"\\u{ord(character):04x}" if unicodedata.category(character) in HIDING else character for character in text
    )


def code(text: str, longest: int = LONGEST_CODE) -> str:
    """Return `text` as inline code, cut to `longest` characters."""
    shown = visible(text.strip().replace("\t", " ").replace("\r\n", "\n").replace("\n", " ↵ "))
    if len(shown) > longest:
        shown = shown[: longest - 1] + "…"
    if not shown.strip():
        return '`""`'
    fence = "`" * (_longest_run(shown) + 1)
    space = " " if "`" in (shown[0], shown[-1]) else ""
    return f"{fence}{space}{shown}{space}{fence}"


def cell(text: str, longest: int = LONGEST_CODE) -> str:
    """Return `text` as inline code for a cell of a table, where a bar has to be escaped even in code (GFM 4.10)."""
    return code(text.replace("|", "\\|"), longest)


def block(lines: Iterable[str], language: str = "") -> list[str]:
    """Return `lines` as a code block, with a fence that none of them closes."""
    shown = [visible(line.expandtabs(4).rstrip("\r\n")) for line in lines]
    fence = "`" * max(SHORTEST_FENCE, *(_longest_run(line) + 1 for line in shown), 0)
    return [f"{fence}{language}", *shown, fence]


def fold(summary: str, lines: Iterable[str]) -> list[str]:
    """Return `lines` below a heading that opens them; `summary` is our own words, or `code`."""
    # The empty lines end the HTML: what is between them is Markdown again (CommonMark 4.6).
    return [f"<details><summary>{_as_html(summary)}</summary>", "", *lines, "", "</details>", ""]


def plural(count: int, one: str, many: str = "") -> str:
    """Return ``1 host``, ``2 hosts``."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in RUN_OF_BACKTICKS.findall(text)), default=0)


def _as_html(text: str) -> str:
    """Return our own words with pieces of code in them as HTML: a summary holds no Markdown."""
    pieces = re.split(r"(`+)(.+?)\1(?!`)", text)
    return "".join(
        "" if index % 3 == 1 else f"<code>{_escaped(piece.strip())}</code>" if index % 3 else piece
        for index, piece in enumerate(pieces)
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
