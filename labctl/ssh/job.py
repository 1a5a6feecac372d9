"""One command to run, as the thread that waits for it and the event loop both see it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .outcome import Ending, Stream

__all__ = ["Job"]


@dataclass(kw_only=True, eq=False)
class Job:
    """A command and the circumstances of its run; all of it belongs to the event loop."""

    command: str
    stdin: bytes
    environment: Mapping[str, str]
    """Variables without which it is not started."""
    hints: Mapping[str, str]
    """Variables that the host need not take."""
    on_line: Callable[[Stream, str], None]
    on_refused: Callable[[str], None]
    ending: Ending | None = None
    """Why it is to stop, once it is."""
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self, ending: Ending) -> None:
        """Ask it to stop; the first reason counts."""
        if self.ending is None:
            self.ending = ending
            self.stopped.set()

    def variables(self) -> Iterator[tuple[str, str]]:
        """Yield names and values to be set, those first that must be."""
        yield from self.environment.items()
        yield from ((name, value) for name, value in self.hints.items() if name not in self.environment)
