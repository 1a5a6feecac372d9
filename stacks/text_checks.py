"""What no text of a stack file may hold: placeholders that somebody meant to fill in, and secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from components.problems import Path, Problem
from components.secrets import plain_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.model import Value

__all__ = ["check_texts", "texts"]

_PLACEHOLDERS = (
    re.compile(r"\b(CHANGE[-_ ]?ME|REPLACE[-_ ]?ME|FILL[-_ ]?ME|FIXME|TODO|TBD|XXX+)\b", re.IGNORECASE),
    re.compile(r"<[A-Za-z][A-Za-z0-9 _.-]*>"),
    re.compile(r"\$\{[^}]*\}|\{\{[^}]*\}\}"),
    re.compile(r"\b(your|my)[-_](domain|email|token|secret|password|client[-_]?id|key|host|name|lab)\b", re.IGNORECASE),
    re.compile(r"\bexample[-_](secret|token|password|client[-_]?id)\b", re.IGNORECASE),
)
"""What people and templates write where a value has yet to come. Example *domains* are fine: they resolve nowhere."""


def texts(value: Value, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield every text of plain data with its path, keys not among them."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, (*path, index))


def check_texts(value: Value) -> Iterator[Problem]:
    """Yield a problem for each text that is a placeholder or a secret; a secret is never repeated."""
    for path, text in texts(value):
        key = str(path[-1]) if path else ""
        if key == "secure":
            yield Problem(
                path=path,
                what="a sealed secret inside the cluster would seal the whole of it",
                remedy="give it a key of its own beside the cluster, and write {secret: thatKey} here",
            )
        elif (kind := plain_secret(text, key)) is not None:
            yield Problem(
                path=path,
                what=f"{kind} stands here in plain text",
                remedy="revoke it if it is real, set a new one by `pulumi config set --secret thatKey`, and write "
                "{secret: thatKey} here",
            )
        elif placeholder := next((match for pattern in _PLACEHOLDERS if (match := pattern.search(text))), None):
            yield Problem(
                path=path,
                what=f"a placeholder was left in: {placeholder.group()}",
                remedy="write the lab's own value",
            )
