"""Every secret that a run comes to know, kept out of its log."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import threading
from typing import TYPE_CHECKING, Final

from labctl.graph.values import REDACTED, secret_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from labctl.graph.values import Value

__all__ = ["GrowingVeil"]

SHORTEST_GIVEN: Final = 3
"""Characters of a secret that a person gave; shorter ones are part of too many words (as in a command's output)."""
SHORTEST_HELD: Final = 6
"""Characters of a text that lies in a sealed value of the state."""
SHORTEST_LINE: Final = 16
"""Characters of one line of such a text. A release with one secret value is sealed as a whole, hub code and all, whose
shorter lines are words (`status`, `answer`); keys and tokens have lines of 64."""
PLAIN_WORD: Final = re.compile(r"[a-z][a-z-]{0,15}")
"""A user's or a database's name: a connection is sealed as a whole, because of the key in it."""


class GrowingVeil:
    """Hides secrets in lines of text, and learns of more while a run goes on. Safe to use from many threads.

    What a person gave as a secret (the stack file, a passphrase) is hidden whatever it looks like. Of what lies in
    sealed values of the state, addresses and plain words are left: a log without host names would be of no use.
    """

    def __init__(self) -> None:
        self._texts: set[str] = set()
        self._longest_first: tuple[str, ...] = ()
        self._later: list[Callable[[], Iterable[Value]]] = []
        self._guard = threading.Lock()
        self._asking = threading.RLock()

    def add(self, texts: Iterable[str]) -> None:
        """Hide what a person gave as a secret, from now on: as it is, its lines, and as JSON and base64 have it."""
        self._learn({form for text in texts for form in _forms(text, SHORTEST_GIVEN, SHORTEST_GIVEN)})

    def add_values(self, values: Iterable[Value]) -> None:
        """Hide every text that lies in a secret of `values`, from now on."""
        found = (text for value in values for text in secret_texts(value) if not _is_public(text))
        self._learn({form for text in found for form in _forms(text, SHORTEST_HELD, SHORTEST_LINE)})

    def add_later(self, values: Callable[[], Iterable[Value]]) -> None:
        """Hide the secrets of what `values` returns; it is asked when the next line is written, if ever."""
        with self._guard:
            self._later.append(values)

    def hide(self, text: str) -> str:
        """Return `text` with ``[secret]`` in place of every secret known by now."""
        with self._asking:  # whoever comes while a state is still being read waits: its secrets are not known yet
            while self._later:
                with self._guard:
                    later, self._later = self._later, []
                for values in later:
                    self.add_values(values())
        # A search per secret beats one pattern of all: 500 take 40 µs for a line, and nothing has to be compiled anew.
        for secret in self._longest_first:
            if secret in text:
                text = text.replace(secret, REDACTED)
        return text

    def _learn(self, texts: set[str]) -> None:
        with self._guard:
            if not texts <= self._texts:
                self._texts |= texts
                self._longest_first = tuple(sorted(self._texts, key=lambda item: (-len(item), item)))


def _is_public(text: str) -> bool:
    if PLAIN_WORD.fullmatch(text):
        return True
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _forms(text: str, shortest: int, shortest_line: int) -> set[str]:
    """Return what a secret looks like in a log: itself, each line of it, quoted, and sealed for Kubernetes."""
    quoted = (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1])
    whole = {piece.strip() for piece in (text, *quoted)}
    parts = text.splitlines()
    lines = {line.strip() for line in parts} if len(parts) > 1 else set[str]()
    encoded = base64.b64encode(text.encode()).decode()
    known = {piece for piece in (*whole, encoded) if len(piece) >= shortest}
    return (known | {line for line in lines if len(line) >= shortest_line}) - {REDACTED}
