"""Debian control data: stanzas of fields, as apt prints them and a repository's index holds them.

Format: Debian policy, chapter 5, and the Debian wiki's "DebianRepository/Format".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Stanza", "parse_stanzas"]


@dataclass(frozen=True, slots=True)
class Stanza:
    """One stanza; a field of several lines keeps them, indented as they are."""

    fields: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.fields[name]

    def with_field(self, name: str, value: str) -> Stanza:
        """Return the same stanza with one field set; one that was there keeps its place."""
        return Stanza({**self.fields, name: value})

    def __str__(self) -> str:
        return "".join(
            f"{name}:{value if value.startswith(chr(10)) else f' {value}'}\n" for name, value in self.fields.items()
        )


def parse_stanzas(text: str) -> Iterator[Stanza]:
    """Yield the stanzas of `text`, in its order.

    Raises
    ------
    ValueError
        A line is neither a field nor the continuation of one.
    """
    fields: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        if not line.strip():
            if fields:
                yield Stanza(fields)
            fields, last = {}, ""
        elif line[0] in " \t":
            if not last:
                message = f"a continuation of nothing: {line[:60]!r}"
                raise ValueError(message)
            fields[last] += f"\n{line}"
        else:
            last, colon, value = line.partition(":")
            if not colon:
                message = f"no field: {line[:60]!r}"
                raise ValueError(message)
            fields[last] = value.strip()
    if fields:
        yield Stanza(fields)
