"""One command on an open connection: its channel, its input and output, and an end in every case."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, cast

import asyncssh
from asyncssh.packet import String

from .errors import CommandRefusedError, ConnectionLostError, StoppedError, VariableRefusedError
from .outcome import Ending, Stream, Transcript

if TYPE_CHECKING:
    from collections.abc import Callable

    from .job import Job
    from .outcome import Finished

__all__ = ["ChannelUnavailableError", "Command"]

T = TypeVar("T")
GRACE_SECONDS: Final = 10.0
"""From SIGINT to giving up: time for a script to clean up after itself (as for a local command)."""
KILL_SECONDS: Final = 2.0
"""From SIGKILL to giving up: a round trip, with room."""
WINDOW_BYTES: Final = 2 * 1024 * 1024
"""Output under way before it is taken (asyncssh's default)."""
PACKET_BYTES: Final = 32768
"""Largest packet of output (RFC 4253, 6.1: what everybody must take)."""


class ChannelUnavailableError(Exception):
    """No channel could be opened, so nothing was asked for: on another connection, or later, it may be."""


class _Channel(asyncssh.SSHClientChannel[bytes]):
    """A session channel that asks for each environment variable and waits for the answer before it starts a command.

    The library sends variables without waiting for an answer. The one method it is all sent through is overridden.
    """

    def __init__(self, connection: asyncssh.SSHClientConnection, job: Job) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(connection, loop, "strict", None, "strict", WINDOW_BYTES, PACKET_BYTES)
        self.job = job
        self.refused_variable = ""
        self.asked = False
        """Whether the command was asked for: from then on it may have been started."""
        self.answered = False
        """Whether the host has said yes or no to that."""

    async def _make_request(self, request: bytes, *args: bytes) -> bool | None:
        if request != b"exec":
            return await super()._make_request(request, *args)
        for name, value in self.job.variables():
            if await super()._make_request(b"env", String(name), String(value)):
                continue
            if self._send_chan is None:
                raise ChannelUnavailableError
            if name in self.job.environment:
                self.refused_variable = name
                return False
            self.job.on_refused(name)
        self.asked = self._send_chan is not None
        started = await super()._make_request(request, *args)
        self.answered = bool(started) or self._send_chan is not None  # a channel that is closed says no, too
        return started


class _Writer(Protocol):
    """A channel as far as input is concerned: the library leaves the parameter's type open."""

    def write(self, data: bytes) -> None: ...


class _Session(asyncssh.SSHClientSession[bytes]):
    """What the channel tells."""

    def __init__(self, transcript: Transcript, stdin: bytes) -> None:
        self.transcript = transcript
        self.stdin = stdin
        self.channel: asyncssh.SSHClientChannel[bytes] | None = None
        self.closed = asyncio.get_running_loop().create_future()
        self.complete = False
        self.lost: Exception | None = None

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self.channel = chan

    def session_started(self) -> None:
        assert self.channel is not None  # noqa: S101 - a session is started after its channel was made
        try:
            cast("_Writer", self.channel).write(self.stdin)
            self.channel.write_eof()
        except OSError:  # the command has ended already and wants no input
            return

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self.transcript.add(Stream.STDOUT if datatype is None else Stream.STDERR, data)

    def eof_received(self) -> bool:
        self.complete = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = exc
        if not self.closed.done():
            self.closed.set_result(None)


class Command:
    """The run of one job on one connection; `on_started` is called when the host has said that it runs it."""

    def __init__(
        self, connection: asyncssh.SSHClientConnection, job: Job, label: str, on_started: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._job = job
        self._label = label
        self._session = _Session(Transcript(job.on_line), job.stdin)
        self._on_started = on_started
        self.started = False

    async def run(self) -> Finished:
        """Start the command and return what came of it.

        Raises
        ------
        ChannelUnavailableError
            Nothing was asked for.
        CommandRefusedError, VariableRefusedError
            The host said no.
        StoppedError
            Cancelled or out of time before it was asked for.
        ConnectionLostError
            It was asked for, and its end was not seen.
        """
        try:
            channel = _Channel(self._connection, self._job)
        except asyncssh.Error as error:
            raise ChannelUnavailableError from error
        try:
            await self._start(channel)
            self.started = True
            self._on_started()
            await self._until_closed(channel)
        finally:
            channel.abort()
        status = channel.get_returncode()
        if status is None or (self._session.lost is not None and not self._session.complete):
            raise ConnectionLostError(self._label, self._why_lost())
        return self._session.transcript.finished(status, self._job.ending or Ending.ITSELF)

    async def _start(self, channel: _Channel) -> None:
        """Return when the host has said that it runs the command."""
        session = self._session
        starting = asyncio.ensure_future(
            channel.create(
                lambda: session,
                command=self._job.command,
                subsystem=None,
                env={},
                request_pty=False,
                term_type=None,
                term_size=None,
                term_modes={},
                x11_forwarding=False,
                x11_display=None,
                x11_auth_path=None,
                x11_single_connection=False,
                agent_forwarding=False,
            )
        )
        await self._unless_stopped(starting, lambda: GRACE_SECONDS if channel.asked else 0.0)
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
            ending = self._job.ending or Ending.CANCELLED
            if channel.asked:
                raise ConnectionLostError(self._label, f"{ending.value} before the host answered")
            raise StoppedError(self._label, ending)
        self._check_started(channel, starting)

    def _check_started(self, channel: _Channel, starting: asyncio.Future[asyncssh.SSHClientSession[bytes]]) -> None:
        error = starting.exception()
        if error is None:
            return
        if channel.refused_variable:
            raise VariableRefusedError(self._label, channel.refused_variable)
        if not isinstance(error, (asyncssh.Error, OSError, ChannelUnavailableError)):
            raise error
        if not channel.asked:
            raise ChannelUnavailableError from error
        if not channel.answered:
            raise ConnectionLostError(self._label, self._why_lost())
        raise CommandRefusedError(self._label, str(error))

    async def _until_closed(self, channel: _Channel) -> None:
        """Wait for the command's end; when asked to stop, ask the command, and give up where it does not end."""
        closed = self._session.closed
        await self._unless_stopped(closed, lambda: 0.0)
        for number, seconds in (("INT", GRACE_SECONDS), ("KILL", KILL_SECONDS)):
            if closed.done():
                return
            with contextlib.suppress(OSError):  # it is closing
                channel.send_signal(number)
            await asyncio.wait({closed}, timeout=seconds)
        if not closed.done() and channel.get_returncode() is None:
            ending = self._job.ending or Ending.CANCELLED
            raise ConnectionLostError(self._label, f"{ending.value}, and it did not end within {GRACE_SECONDS:g} s")

    async def _unless_stopped(self, awaited: asyncio.Future[T], grace: Callable[[], float]) -> None:
        """Wait for `awaited`, or until the job is to stop and `grace` seconds more."""
        stopped = asyncio.ensure_future(self._job.stopped.wait())
        try:
            await asyncio.wait({awaited, stopped}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            awaited.cancel()
            raise
        finally:
            stopped.cancel()
        if not awaited.done() and (seconds := grace()):
            await asyncio.wait({awaited}, timeout=seconds)

    def _why_lost(self) -> str:
        if self._session.lost is not None:
            return str(self._session.lost) or type(self._session.lost).__name__
        return "the connection ended" if self._connection.is_closed() else "the host reported no exit status"
