"""Two values in one line, or the lines in which two texts differ: only as much as shows the difference."""

from __future__ import annotations

import re
from collections import Counter
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.graph.values import Plain

__all__ = ["brief", "change_words", "text_changes"]

WIDEST: Final = 90
"""Characters of one value in a line."""
MOST_WORDS: Final = 4
"""Places of one long line that are shown."""
WORD: Final = re.compile(r"[\s,;()\[\]{}'\"=]+|[^\s,;()\[\]{}'\"=]+")
DIGEST: Final = re.compile(r"\b(?P<shown>[0-9a-f]{12})[0-9a-f]{52}\b")
"""SHA-256 in hexadecimal; nobody compares more than its beginning by eye."""
MOST_LINES: Final = 8
"""Lines of one text that are shown; the rest is counted."""
TOO_MANY_LINES: Final = 100
"""Lines of which nobody would learn anything from the first few."""
SIGNS: Final = {"-": "less", "+": "more", "~": "other"}


def brief(value: Plain) -> str:
    """Return a value on one line, without quotes and without what is empty, cut at `WIDEST`."""
    return _cut(_flow(value))


def _flow(value: Plain) -> str:
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items() if item not in (None, [], {})) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    return DIGEST.sub(r"\g<shown>…", str(value).replace("\n", "⏎"))


def change_words(one: Plain, other: Plain) -> str:
    """Return ``2h → 4h``; of two long values the words that differ."""
    before, after = _flow(one), _flow(other)
    if max(len(before), len(after)) <= WIDEST:
        return f"{before} → {after}"
    left, right = WORD.findall(before), WORD.findall(after)
    found: dict[str, None] = {}
    for tag, start, end, begin, stop in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        gone, come = "".join(left[start:end]).strip(), "".join(right[begin:stop]).strip()
        if tag != "equal" and (gone or come):
            found[
                " → ".join(cut for cut in (_cut(gone) if gone else "(nothing)", _cut(come) if come else "(nothing)"))
            ] = None
    words = [*found]
    more = [f"and {len(words) - MOST_WORDS} more"] if len(words) > MOST_WORDS else []
    return "…" + "; ".join([*words[:MOST_WORDS], *more])


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def text_changes(one: str, other: str) -> list[str]:
    """Return the lines in which two texts differ, each with its sign; changed ones as what differs in them."""
    lines = list(_text_changes(one.splitlines(), other.splitlines()))
    left = len(lines) - MOST_LINES
    if left > TOO_MANY_LINES:
        signs = Counter(line[0] for line in lines)
        return [", ".join(f"{signs[sign]} lines {word}" for sign, word in SIGNS.items() if signs[sign])]
    return lines if left <= 1 else [*lines[:MOST_LINES], f"… and {left} more lines"]


def _text_changes(one: list[str], other: list[str]) -> Iterator[str]:
    for tag, start, end, begin, stop in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if tag == "replace" and end - start == stop - begin:
            yield from (
                f"~ {change_words(before.strip(), after.strip())}"
                for before, after in zip(one[start:end], other[begin:stop], strict=True)
            )
        elif tag != "equal":
            yield from (f"- {brief(line.rstrip())}" for line in one[start:end])
            yield from (f"+ {brief(line.rstrip())}" for line in other[begin:stop])
