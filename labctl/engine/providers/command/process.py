"""Running one local process: input, output line by line, and an end in every case."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import IO, TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from threading import Event

__all__ = ["Ending", "Finished", "Stream", "run_process"]

POLL_SECONDS: Final = 0.1
"""How soon a request to stop is noticed."""
GRACE_SECONDS: Final = 10.0
"""From SIGINT to SIGKILL: time for a script to clean up after itself."""
CHUNK_BYTES: Final = 65536
"""Size of a Linux pipe."""


class Stream(Enum):
    """Where output came from."""

    STDOUT = "stdout"
    STDERR = "stderr"


class Ending(Enum):
    """Why a process ended."""

    ITSELF = "by itself"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed out"


@dataclass(frozen=True)
class Finished:
    """A process that has ended."""

    status: int
    """Exit status; negative: the signal that ended it."""
    ending: Ending
    stdout: bytes
    stderr: bytes
    both: bytes
    """Of both streams, as it arrived."""


def run_process(  # noqa: PLR0913 - each is one independent circumstance of a process
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    stdin: bytes,
    on_line: Callable[[Stream, str], None],
    cancelled: Event,
    timeout_seconds: float | None,
) -> Finished:
    """Run `arguments` to its end, in a process group of its own, and return what came of it.

    `on_line` gets each line of output as it comes. When `cancelled` is set or the time is over, the group gets SIGINT
    and, 10 s later, SIGKILL.

    Raises
    ------
    OSError
        It could not be started.
    """
    process = subprocess.Popen(  # noqa: S603 - running what the program asks for is what this provider is for
        arguments,
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        return _Watch(process, stdin, on_line).until_end(cancelled, timeout_seconds)


@dataclass
class _Output:
    """What came from one stream."""

    content: bytearray = field(default_factory=bytearray)
    shown: int = 0
    """How much of it `on_line` has had."""


class _Watch:
    """Feeds and empties the pipes of a process and ends it when that is asked for; one thread, no blocking."""

    def __init__(self, process: subprocess.Popen[bytes], stdin: bytes, on_line: Callable[[Stream, str], None]) -> None:
        self.process = process
        self.pending_input = memoryview(stdin)
        self.on_line = on_line
        self.outputs = {stream: _Output() for stream in Stream}
        self.both = bytearray()
        self.ending = Ending.ITSELF
        self.kill_at: float | None = None

    def until_end(self, cancelled: Event, timeout_seconds: float | None) -> Finished:
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        with selectors.DefaultSelector() as selector:
            self.watch(selector, self.process.stdout, selectors.EVENT_READ, Stream.STDOUT)
            self.watch(selector, self.process.stderr, selectors.EVENT_READ, Stream.STDERR)
            self.watch(selector, self.process.stdin, selectors.EVENT_WRITE, None)
            while selector.get_map() or self.process.poll() is None:
                if selector.get_map():
                    for key, _ in selector.select(POLL_SECONDS):
                        self.serve(selector, cast("IO[bytes]", key.fileobj), cast("Stream | None", key.data))
                else:
                    self.pause()
                self.end_if_asked(selector, cancelled, deadline)
        for stream in Stream:
            self.show(stream, last=True)
        stdout, stderr = (bytes(self.outputs[stream].content) for stream in (Stream.STDOUT, Stream.STDERR))
        return Finished(self.process.wait(), self.ending, stdout, stderr, bytes(self.both))

    def pause(self) -> None:
        """Wait a moment for a process that has closed its output and still runs."""
        try:
            self.process.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            return

    def watch(
        self, selector: selectors.BaseSelector, pipe: IO[bytes] | None, event: int, stream: Stream | None
    ) -> None:
        if pipe is not None:
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, event, stream)

    def serve(self, selector: selectors.BaseSelector, pipe: IO[bytes], stream: Stream | None) -> None:
        """Move what can be moved through one pipe, and close it when there is no more."""
        if stream is None:
            more = self.feed(pipe)
        else:
            content = os.read(pipe.fileno(), CHUNK_BYTES)
            self.outputs[stream].content += content
            self.both += content
            self.show(stream)
            more = bool(content)
        if not more:
            selector.unregister(pipe)
            pipe.close()

    def feed(self, pipe: IO[bytes]) -> bool:
        try:
            written = os.write(pipe.fileno(), self.pending_input[:CHUNK_BYTES])
        except BrokenPipeError:  # it does not want the rest
            return False
        self.pending_input = self.pending_input[written:]
        return bool(self.pending_input)

    def show(self, stream: Stream, *, last: bool = False) -> None:
        """Pass on whole lines, and what is left of one at the end."""
        output = self.outputs[stream]
        end = len(output.content) if last else output.content.rfind(b"\n") + 1
        if end > output.shown:
            text = output.content[output.shown : end].decode(errors="replace")
            output.shown = end
            for line in text.splitlines():
                self.on_line(stream, line)

    def end_if_asked(self, selector: selectors.BaseSelector, cancelled: Event, deadline: float | None) -> None:
        now = time.monotonic()
        if self.kill_at is None:
            if cancelled.is_set():
                self.ending = Ending.CANCELLED
            elif deadline is not None and now > deadline:
                self.ending = Ending.TIMED_OUT
            else:
                return
            self.kill_at = now + GRACE_SECONDS
            self.signal_group(signal.SIGINT)
        elif now > self.kill_at:
            self.signal_group(signal.SIGKILL)
            for key in list(selector.get_map().values()):  # a process that left the group may hold them for ever
                selector.unregister(key.fileobj)

    def signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return
