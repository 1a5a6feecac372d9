"""Secrets among a command's properties, hidden in text that people see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from labctl.graph.values import REDACTED, Secret, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.graph.values import Inputs

__all__ = ["Veil"]

SHORTEST_REDACTED: Final = 3
"""Characters; shorter secrets are part of too many words to be looked for in output."""


class Veil:
    """Hides the secrets among some values, and each line of them."""

    def __init__(self, values: Inputs) -> None:
        texts = {piece for text in _secret_texts(dict(values), sealed=False) for piece in (text, *text.splitlines())}
        self._texts = sorted((text for text in texts if len(text) >= SHORTEST_REDACTED), key=len, reverse=True)

    def hide(self, text: str) -> str:
        """Return `text` with ``[secret]`` in place of every secret."""
        for secret in self._texts:
            text = text.replace(secret, REDACTED)
        return text


def _secret_texts(value: Value, *, sealed: bool) -> Iterator[str]:
    if isinstance(value, Secret):
        yield from _secret_texts(value.value, sealed=True)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _secret_texts(item, sealed=sealed)
    elif isinstance(value, list):
        for item in value:
            yield from _secret_texts(item, sealed=sealed)
    elif isinstance(value, str) and sealed:
        yield value
