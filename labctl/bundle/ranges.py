"""One byte range of a file, as a client asks for it (RFC 9110, section 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["Part", "part_of"]

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)\Z")
"""One range. Several at once may be answered with the whole, which is what happens here."""


@dataclass(frozen=True, slots=True)
class Part:
    """`length` bytes of a file, from `offset` on."""

    offset: int
    length: int

    def content_range(self, size: int) -> str:
        """Return the ``Content-Range`` of this part of `size` bytes."""
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{size}"


def part_of(header: str | None, size: int) -> Part | None:
    """Return the part of `size` bytes that a ``Range`` header asks for; None where it is to be the whole.

    A header that is not understood asks for the whole, as the RFC has it.

    Raises
    ------
    ValueError
        If no byte of the file is in the range (HTTP 416).

    Examples
    --------
    >>> part_of("bytes=2-", 10)
    Part(offset=2, length=8)
    """
    found = _RANGE.match(header.strip()) if header else None
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:  # the last so many bytes
        length = min(int(last), size)
        offset = size - length
    else:
        offset = int(first)
        end = min(int(last), size - 1) if last else size - 1
        if last and int(last) < offset:
            return None
        length = end - offset + 1
    if length <= 0:
        message = "no such range"
        raise ValueError(message)
    return Part(offset, length)
