"""Connections by target: made when needed, shared by many commands, made again when they have died."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from .channel import ChannelUnavailableError, Command
from .dialling import dial
from .errors import CommandRefusedError, ConnectionLostError, StoppedError
from .outcome import Ending

if TYPE_CHECKING:
    from collections.abc import Coroutine

    import asyncssh

    from .job import Job
    from .outcome import Finished
    from .target import Target

__all__ = ["Connections"]

T = TypeVar("T")
SESSIONS: Final = 8
"""Commands at once on one connection: sshd allows 10 unless told otherwise (sshd_config: ``MaxSessions``), and counts
one that has just ended for a moment longer than we do."""
REFUSED_PAUSE_SECONDS: Final = 0.05
"""For a host that refuses a session to notice that another has ended."""
REFUSALS: Final = 20
"""Refusals of the only session there would be after which there is no hope."""
RECONNECTIONS: Final = 3
"""Times that a command is taken to a new connection because the one there was had died before it was started."""
IDLE_CONNECTIONS: Final = 200
"""Connections kept open without a command; a process may have 1,024 files (the usual ``ulimit -n``)."""
CLOSE_SECONDS: Final = 2.0
"""For a connection to be closed in order."""


class _Connection:
    """The one connection to a target."""

    def __init__(self, target: Target, proxy: _Connection | None) -> None:
        self.target = target
        self.proxy = proxy
        self.users = 0
        """Commands that need it, and connections that go through it."""
        self._open: asyncssh.SSHClientConnection | None = None
        self._dialling: asyncio.Task[asyncssh.SSHClientConnection] | None = None
        self._waiting = 0
        self._sessions = SESSIONS
        self._proven = 0
        """Commands that were seen to run at once."""
        self._running: set[Command] = set()
        self._changed = asyncio.Condition()

    @property
    def idle(self) -> bool:
        return self.users == 0

    async def run(self, job: Job) -> Finished:
        """Run `job` on this connection, or on a new one where it was found to be dead."""
        for _ in range(RECONNECTIONS):
            connection = await self._unless_stopped(job, self.open())
            try:
                return await self._attempt(connection, job)
            except ChannelUnavailableError:
                if not connection.is_closed():
                    raise CommandRefusedError(
                        self.target.label, "it opens no session (sshd_config: MaxSessions)"
                    ) from None
        raise CommandRefusedError(self.target.label, "every connection ends before a command can be started")

    async def open(self) -> asyncssh.SSHClientConnection:
        """Return the connection, made if there is none; everybody who waits for it shares one attempt."""
        if self._open is not None and not self._open.is_closed():
            return self._open
        if self._dialling is None:
            self._dialling = asyncio.ensure_future(self._dial())
        dialling = self._dialling
        self._waiting += 1
        try:
            return await asyncio.shield(dialling)
        finally:
            self._waiting -= 1
            if not self._waiting:
                dialling.cancel()

    async def close(self) -> None:
        """Close it; commands on it are cut off."""
        if self._dialling is not None:
            self._dialling.cancel()
        if self._open is None:
            return
        self._open.close()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._open.wait_closed()
        except TimeoutError:
            self._open.abort()
        self._open = None

    async def _dial(self) -> asyncssh.SSHClientConnection:
        try:
            proxy = await self.proxy.open() if self.proxy else None
            self._open = await dial(self.target, proxy)
            self._sessions, self._proven = SESSIONS, 0
            return self._open
        finally:
            self._dialling = None

    async def _unless_stopped(self, job: Job, awaited: Coroutine[None, None, T]) -> T:
        """Return what comes of `awaited` unless `job` is to stop first."""
        waiting = asyncio.ensure_future(awaited)
        stopped = asyncio.ensure_future(job.stopped.wait())
        try:
            await asyncio.wait({waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done() and job.ending is None:
                return waiting.result()
            raise StoppedError(self.target.label, job.ending or Ending.CANCELLED)
        finally:
            stopped.cancel()
            waiting.cancel()

    async def _room(self) -> None:
        """Return when another command may run."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._running) < self._sessions)

    def _note_started(self) -> None:
        self._proven = max(self._proven, sum(command.started for command in self._running))

    async def _attempt(self, connection: asyncssh.SSHClientConnection, job: Job) -> Finished:
        """Run `job` when there is room for it; a host with less room than usual is taken at its word."""
        refusals = 0
        while True:
            await self._unless_stopped(job, self._room())
            if len(self._running) >= self._sessions:  # somebody was faster
                continue
            command = Command(connection, job, self.target.label, self._note_started)
            self._running.add(command)
            try:
                return await command.run()
            except ChannelUnavailableError:
                refusals += len(self._running) == 1
                if connection.is_closed() or refusals > REFUSALS:
                    raise
                # As many as ran at once are allowed: a refusal of one of these was too early after another's end.
                self._sessions = max(1, self._proven, len(self._running) - 1)
            finally:
                self._running.remove(command)
                async with self._changed:
                    self._changed.notify_all()
            await asyncio.sleep(REFUSED_PAUSE_SECONDS)


class Connections:
    """All connections of one event loop."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], _Connection] = {}

    async def run(self, target: Target, job: Job) -> Finished:
        """Run `job` on `target`; see `Connector.run` for what it raises."""
        connection = self._get(target)
        connection.users += 1
        try:
            return await connection.run(job)
        except asyncio.CancelledError:
            raise ConnectionLostError(target.label, "this side closed the connection") from None
        finally:
            connection.users -= 1
            await self._forget_idle()

    async def proxy(self, target: Target | None) -> asyncssh.SSHClientConnection | None:
        """Return an open connection to `target`, for something to go through it."""
        return await self._get(target).open() if target else None

    async def close(self) -> None:
        """Close all of them, those first that go through others."""
        while self._known:
            ends = [item for item in self._known.values() if not self._goes_through(item)]
            self._known = {key: item for key, item in self._known.items() if item not in ends}
            await asyncio.gather(*(item.close() for item in ends))

    def _get(self, target: Target) -> _Connection:
        """Return the connection to `target`, the one used last at the end of the list."""
        proxy = self._get(target.proxy) if target.proxy else None
        known = self._known.pop(target.identity, None)
        if known is None:
            known = _Connection(target, proxy)
        self._known[target.identity] = known
        return known

    def _goes_through(self, connection: _Connection) -> bool:
        return any(other.proxy is connection for other in self._known.values())

    async def _forget_idle(self) -> None:
        """Close the connections unused for longest, where there are too many."""
        for key, item in list(self._known.items())[: max(0, len(self._known) - IDLE_CONNECTIONS)]:
            if item.idle and not self._goes_through(item):
                del self._known[key]
                await item.close()
