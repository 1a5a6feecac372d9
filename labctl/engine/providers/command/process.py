"""Running one local process: input, output line by line, and an end in every case."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from typing import IO, TYPE_CHECKING, Final, cast

from labctl.ssh.outcome import Ending, Stream, Transcript

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from threading import Event

    from labctl.ssh.outcome import Finished

__all__ = ["run_process"]

POLL_SECONDS: Final = 0.1
"""How soon a request to stop is noticed."""
GRACE_SECONDS: Final = 10.0
"""From SIGINT to SIGKILL: time for a script to clean up after itself."""
CHUNK_BYTES: Final = 65536
"""Size of a Linux pipe."""


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


class _Watch:
    """Feeds and empties the pipes of a process and ends it when that is asked for; one thread, no blocking."""

    def __init__(self, process: subprocess.Popen[bytes], stdin: bytes, on_line: Callable[[Stream, str], None]) -> None:
        self.process = process
        self.pending_input = memoryview(stdin)
        self.transcript = Transcript(on_line)
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
        return self.transcript.finished(self.process.wait(), self.ending)

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
            self.transcript.add(stream, content)
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
