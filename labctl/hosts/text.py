"""What hosts say, as it may be shown."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["shown"]

_UNSEEN: Final = re.compile(r"[^\x20-\x7e\xa1-\ud7ff\ue000-\uffef]")
"""What could move a terminal's cursor, or is no text."""


def shown(text: str) -> str:
    """Return text from a host so that it can do nothing to a terminal; tabs, which separate facts, stay."""
    return "\t".join(_UNSEEN.sub("\N{REPLACEMENT CHARACTER}", part) for part in text.split("\t"))
