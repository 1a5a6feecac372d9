"""What came of a command, on this machine or on another."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Ending", "Finished", "Stream", "Transcript"]


class Stream(Enum):
    """Where output came from."""

    STDOUT = "stdout"
    STDERR = "stderr"


class Ending(Enum):
    """Why a command ended."""

    ITSELF = "by itself"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed out"


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    status: int
    """Exit status; negative: the signal that ended it."""
    ending: Ending
    stdout: bytes
    stderr: bytes
    both: bytes
    """Of both streams, as it arrived."""


@dataclass
class _Output:
    """What came from one stream."""

    content: bytearray = field(default_factory=bytearray)
    shown: int = 0
    """How much of it `on_line` has had."""


class Transcript:
    """Keeps what a command says, and passes it on line by line as it comes."""

    def __init__(self, on_line: Callable[[Stream, str], None]) -> None:
        self._on_line = on_line
        self._outputs = {stream: _Output() for stream in Stream}
        self._both = bytearray()

    def add(self, stream: Stream, content: bytes) -> None:
        """Keep `content`, and pass on the lines it ends."""
        output = self._outputs[stream]
        before = len(output.content)
        output.content += content
        self._both += content
        self._show(stream, output.content.rfind(b"\n", before) + 1)

    def finished(self, status: int, ending: Ending) -> Finished:
        """Pass on what is left of lines that were not ended, and return the whole."""
        for stream in Stream:
            self._show(stream, len(self._outputs[stream].content))
        stdout, stderr = (bytes(self._outputs[stream].content) for stream in (Stream.STDOUT, Stream.STDERR))
        return Finished(status, ending, stdout, stderr, bytes(self._both))

    def _show(self, stream: Stream, end: int) -> None:
        output = self._outputs[stream]
        if end > output.shown:
            text = output.content[output.shown : end].decode(errors="replace")
            output.shown = end
            for line in text.splitlines():
                self._on_line(stream, line)
