"""Secrets among a command's properties, hidden in text that people see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from labctl.graph.values import REDACTED, secret_texts

if TYPE_CHECKING:
    from labctl.graph.values import Inputs

__all__ = ["Veil"]

SHORTEST_REDACTED: Final = 3
"""Characters; shorter secrets are part of too many words to be looked for in output."""


class Veil:
    """Hides the secrets among some values, and each line of them."""

    def __init__(self, values: Inputs) -> None:
        texts = {piece for text in secret_texts(dict(values)) for piece in (text, *text.splitlines())}
        self._texts = sorted((text for text in texts if len(text) >= SHORTEST_REDACTED), key=len, reverse=True)

    def hide(self, text: str) -> str:
        """Return `text` with ``[secret]`` in place of every secret."""
        for secret in self._texts:
            text = text.replace(secret, REDACTED)
        return text
