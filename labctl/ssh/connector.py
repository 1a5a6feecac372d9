"""Commands over SSH for threads: an event loop of its own, and in it one connection per target."""

from __future__ import annotations

import asyncio
import queue
import threading
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from .errors import UnreachableError
from .job import Job
from .outcome import Ending
from .target import DIAL_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from concurrent.futures import Future

    from .connections import Connections
    from .outcome import Finished, Stream
    from .target import Target

__all__ = ["Connector"]

T = TypeVar("T")
POLL_SECONDS: Final = 0.1
"""How soon a request to stop is noticed."""
NO_VARIABLES: Final[Mapping[str, str]] = {}


def _no_line(stream: Stream, line: str) -> None:
    del stream, line


def _no_refusal(name: str) -> None:
    del name


class Connector:
    """Runs commands on other machines; used by any number of threads at once.

    Connections are made when they are first needed and kept until `close`, after which they may be made again.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._engine: _Engine | None = None

    def run(  # noqa: PLR0913 - each is one independent circumstance of a command
        self,
        target: Target,
        command: str,
        *,
        stdin: bytes = b"",
        environment: Mapping[str, str] = NO_VARIABLES,
        hints: Mapping[str, str] = NO_VARIABLES,
        on_line: Callable[[Stream, str], None] = _no_line,
        on_refused: Callable[[str], None] = _no_refusal,
        cancelled: threading.Event | None = None,
        timeout_seconds: float | None = None,
    ) -> Finished:
        """Run `command` by the login shell of `target` to its end, and return what came of it.

        Parameters
        ----------
        target
            Where; connecting is attempted again as often as it says, the command is started once.
        command
            What the user's login shell is given.
        stdin
            All of its input.
        environment
            Variables; a host that does not take one starts nothing (sshd_config: ``AcceptEnv``).
        hints
            Variables that are set where the host takes them; `on_refused` is told the name of each that it does not.
        on_line
            Gets each line of output as it comes, in the thread that called.
        cancelled
            When it is set the command gets SIGINT and, 10 s later, is given up.
        timeout_seconds
            The same after so many seconds, connecting included.

        Raises
        ------
        ConnectionLostError
            It was started, and what came of it is not known.
        SshError
            Any other: nothing was run.
        """
        events: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        job = Job(
            command=command,
            stdin=stdin,
            environment=environment,
            hints=hints,
            on_line=lambda stream, line: events.put(partial(on_line, stream, line)),
            on_refused=lambda name: events.put(partial(on_refused, name)),
        )
        engine = self._started()
        future = engine.submit(_timed(engine.connections.run(target, job), job, timeout_seconds))
        future.add_done_callback(lambda _: events.put(None))
        try:
            while True:
                try:
                    event = events.get(timeout=POLL_SECONDS if cancelled and job.ending is None else None)
                except queue.Empty:
                    event = _nothing
                if event is None:
                    return future.result()
                event()
                if cancelled and cancelled.is_set() and job.ending is None:
                    engine.call(partial(job.stop, Ending.CANCELLED))
        finally:
            future.cancel()

    def host_keys(
        self,
        host: str,
        port: int,
        *,
        proxy: Target | None = None,
        timeout_seconds: float = DIAL_TIMEOUT_SECONDS,
    ) -> tuple[str, ...]:
        """Return the public key lines a host shows (``ssh-ed25519 AAAA...``), one of each kind, vouched for by nobody.

        Raises
        ------
        UnreachableError
            It does not answer, or not as an SSH server.
        SshError
            The proxy cannot be used.
        """
        engine = self._started()
        label = f"{host}:{port}"
        return engine.submit(_host_keys(engine.connections, host, port, proxy, timeout_seconds, label)).result()

    def close(self) -> None:
        """Close every connection; commands still running are cut off."""
        with self._guard:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.stop()

    def _started(self) -> _Engine:
        with self._guard:
            if self._engine is None:
                self._engine = _Engine()
            return self._engine


def _nothing() -> None:
    """Stand for an event that did not come."""


async def _timed(running: Coroutine[None, None, Finished], job: Job, timeout_seconds: float | None) -> Finished:
    """Return what `running` returns, which is asked to stop when its time is over."""
    if timeout_seconds is None:
        return await running
    timer = asyncio.get_running_loop().call_later(timeout_seconds, job.stop, Ending.TIMED_OUT)
    try:
        return await running
    finally:
        timer.cancel()


async def _host_keys(  # noqa: PLR0913, PLR0917 - what `Connector.host_keys` was given
    connections: Connections, host: str, port: int, proxy: Target | None, timeout_seconds: float, label: str
) -> tuple[str, ...]:
    import asyncssh  # noqa: PLC0415 - loaded by the event loop's thread, which only runs when it is needed

    from .dialling import presented_keys  # noqa: PLC0415 - as above

    through = await connections.proxy(proxy)
    try:
        async with asyncio.timeout(timeout_seconds):
            return await presented_keys(host, port, through)
    except TimeoutError:
        raise UnreachableError(label, 1, f"no answer within {timeout_seconds:g} s") from None
    except (OSError, asyncssh.Error) as error:
        raise UnreachableError(label, 1, str(error)) from None


class _Engine:
    """An event loop in a thread, and the connections in it."""

    def __init__(self) -> None:
        from .connections import Connections  # noqa: PLC0415 - loads the SSH library, which takes 0.3 s

        self.connections = Connections()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="ssh", daemon=True)
        self._thread.start()
        self._ready.wait()

    def submit(self, coroutine: Coroutine[None, None, T]) -> Future[T]:
        """Run `coroutine` in the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def call(self, function: Callable[[], None]) -> None:
        """Call `function` in the loop, soon."""
        self._loop.call_soon_threadsafe(function)

    def stop(self) -> None:
        """Close everything and wait for the end of the thread."""
        self.call(self._stopped.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._ready.set()
        await self._stopped.wait()
        await self.connections.close()
