"""How wide text is, without a font at hand: an upper bound over the sans-serif fonts a browser may choose."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["fitted", "text_width", "words"]

NARROW: Final = frozenset("iljtfrI.,:;'|!()[]- ")
WIDE: Final = frozenset("mwMW@%")
NARROW_EM, WIDE_EM, CAPITAL_EM, OTHER_EM = 0.42, 0.98, 0.75, 0.63
"""Widths in em: those of DejaVu Sans, the widest of the fonts asked for, rounded up."""
BOLD: Final = 1.1
"""How much wider bold text is."""


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Return how wide `text` is at most, in pixels, at a font size in pixels."""
    total = 0.0
    for character in text:
        if character in NARROW:
            total += NARROW_EM
        elif character in WIDE:
            total += WIDE_EM
        else:
            total += CAPITAL_EM if character.isupper() else OTHER_EM
    return total * size * (BOLD if bold else 1.0)


def fitted(text: str, size: float, width: float, *, bold: bool = False) -> str:
    """Return `text`, its end cut with an ellipsis where it is wider than `width` pixels."""
    if text_width(text, size, bold=bold) <= width:
        return text
    while text and text_width(text + "…", size, bold=bold) > width:
        text = text[:-1]
    return text + "…"


def words(name: str) -> str:
    """Return a type's name as a title: ``HubAccess`` as ``Hub access``, ``GpuOperator`` as ``GPU operator``."""
    spoken = " ".join(ACRONYMS.get(part.lower(), part.lower()) for part in _parts(name))
    return spoken[:1].upper() + spoken[1:] if spoken else name


def _parts(name: str) -> list[str]:
    return [match[0] for match in PARTS.finditer(name)]


PARTS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
"""A word in a name, by its capitals."""
ACRONYMS: Final[Mapping[str, str]] = {"gpu": "GPU", "nfs": "NFS", "ssh": "SSH", "dns": "DNS", "tls": "TLS"}
"""Words that are written in capitals."""
