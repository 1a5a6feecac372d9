"""What the description of a pull request allows to be destroyed.

One line for each, outside code blocks, quotes and HTML comments::

    allow-destroy: urn:pulumi:prod::research-compute::lab:index:Hub$kubernetes:core/v1:PersistentVolume::hub-datasets-pv
    allow-destroy: *::hub-datasets-*
    allow-destroy test: *

The second is a shell pattern over URNs, as ``labctl up --allow-destroy`` takes it; the third holds for one stack only.
A template's comments and examples name nothing: whoever writes the request has to write the line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["KEYWORD", "Named", "named_in"]

KEYWORD: Final = "allow-destroy"
"""Word that such a line starts with."""
LINE: Final = re.compile(
    rf"^ {{0,3}}(?:[-*+] +)?(?P<ticks>`?){KEYWORD}(?: +(?P<stack>[A-Za-z0-9_][\w.-]*))? *: *(?P<inner>`?)"
    r"(?P<pattern>\S+?)(?P=inner)(?P=ticks) *$"
)
"""A line that names something: in a list or not, the whole or the pattern in backticks or not."""
FENCE: Final = re.compile(r"^ {0,3}(?:[-*+] +|\d+[.)] +)?(?P<fence>`{3,}(?=[^`]*$)|~{3,})")
"""First line of a code block (CommonMark 4.5)."""
QUOTE: Final = re.compile(r"^ {0,3}>")
"""Line of a quotation (CommonMark 5.1)."""
COMMENT_BEGIN, COMMENT_END = "<!--", "-->"
INDENTED: Final = re.compile(r"^(?: {4}| {0,3}\t)")
"""Line of an indented code block (CommonMark 4.4)."""


@dataclass(frozen=True)
class Named:
    """One line of a description."""

    pattern: str
    """URN, or a shell pattern over URNs."""
    stack: str = ""
    """The one stack it holds for; empty: every one."""

    @property
    def line(self) -> str:
        """The line as it should be written."""
        return f"{KEYWORD}{' ' if self.stack else ''}{self.stack}: {self.pattern}"

    def names(self, urn: str, stack: str) -> bool:
        """Tell whether it allows `urn` of `stack` to be destroyed."""
        return self.stack in ("", stack) and fnmatchcase(urn, self.pattern)


def named_in(description: str) -> tuple[Named, ...]:
    """Return what `description` names, in its order, each once."""
    found = (LINE.match(line) for line in _read_lines(description))
    named = (Named(match["pattern"], match["stack"] or "") for match in found if match is not None)
    return tuple(dict.fromkeys(named))


def _read_lines(description: str) -> Iterator[str]:
    """Yield the lines of `description` that a reader takes for its author's own words."""
    fence, in_comment = "", False
    for line in description.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if fence:
            if _closes(line, fence):
                fence = ""
            continue
        text, in_comment = _without_comments(line, in_comment=in_comment)
        opening = FENCE.match(text)
        if opening is not None:
            fence = opening["fence"]
        elif not QUOTE.match(text) and not INDENTED.match(text):
            yield text


def _closes(line: str, fence: str) -> bool:
    """Tell whether `line` ends the code block that began with `fence`."""
    text = line.strip()
    return len(text) >= len(fence) and set(text) == {fence[0]}


def _without_comments(line: str, *, in_comment: bool) -> tuple[str, bool]:
    """Return what of `line` is in no HTML comment, and whether one goes on after it."""
    kept = ""
    while True:
        if in_comment:
            _, end, line = line.partition(COMMENT_END)
            if not end:
                return kept, True
            in_comment = False
        before, begin, line = line.partition(COMMENT_BEGIN)
        kept += before
        if not begin:
            return kept, False
        in_comment = True
