"""A host to reach over SSH, in this process and on the loopback: runs what it is told by /bin/sh, and can misbehave."""

import asyncio
import contextlib
import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

import asyncssh
from asyncssh.constants import OPEN_ADMINISTRATIVELY_PROHIBITED

T = TypeVar("T")
LOOPBACK: Final = "127.0.0.1"
CHUNK_BYTES: Final = 65536
TURNS: Final = 10
"""Of the event loop, in which what was cut off lets go of its socket."""
THAW_SECONDS: Final = 0.2
"""In which a host that hung finds out who has gone away meanwhile."""


def key_pair(kind: str = "ssh-ed25519", passphrase: str | None = None) -> tuple[str, str]:
    """Return a new private key's text and its public key line."""
    key = cast("Callable[[str], asyncssh.SSHKey]", asyncssh.generate_private_key)(kind)  # pyright: ignore[reportUnknownMemberType] - the library leaves **kwargs open
    if passphrase is None:
        private = key.export_private_key("openssh")
    else:  # the usual 128 rounds take seconds
        private = key.export_private_key("openssh", passphrase=passphrase, rounds=1, ignore_few_rounds=True)
    return private.decode(), key.export_public_key().decode().strip()


@dataclass
class SshHost:
    """One host: who may come in, what it allows, and what it has seen."""

    host_key: str = field(default_factory=lambda: key_pair()[0])
    """Private key it is known by."""
    authorized: tuple[str, ...] = ()
    """Public key lines of whom it lets in."""
    password: str | None = None
    """Lets everybody in who knows it."""
    max_sessions: int = 10
    accepted_variables: frozenset[str] = frozenset()
    forwarding: bool = False
    """Whether it may be a jump host."""
    signals: bool = True
    """Whether it passes signals on; sshd does not in sessions of root."""
    port: int = 0
    commands: list[str] = field(default_factory=list[str])
    """Those that were started, in order."""
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list[asyncssh.SSHServerConnection])
    """Ever made to it."""
    users: list[str] = field(default_factory=list[str])
    """Who was let in or turned away, once per connection."""
    most_sessions: int = 0
    forwarded: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    sessions: int = 0
    frozen: bool = False
    on_command: Callable[[str], None] = lambda _command: None
    """Called in the host's own thread as a command starts."""

    @property
    def public_key(self) -> str:
        """What a lab would write down of it."""
        return asyncssh.import_private_key(self.host_key).export_public_key().decode().strip()

    def open(self) -> None:
        """Begin to listen; on the same port as before, if there was one."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ssh-host", daemon=True)
        self._thread.start()
        self._acceptor = self._do(self._listen())
        self.port = self._acceptor.get_port()

    def close(self) -> None:
        """Listen no more, and cut off everybody."""
        self._do(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def drop(self) -> None:
        """Cut off everybody, and go on listening."""
        self._do(self._cut())

    def freeze(self, seconds: float) -> None:
        """Answer nothing for a while, as a host that hangs or has lost its network."""
        self.frozen = True
        self._loop.call_soon_threadsafe(time.sleep, seconds)

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            LOOPBACK,
            self.port,
            server_factory=functools.partial(_Server, self),
            server_host_keys=[asyncssh.import_private_key(self.host_key)],
            authorized_client_keys=asyncssh.import_authorized_keys("\n".join(self.authorized) + "\n"),
            encoding=None,
            line_editor=False,
            reuse_address=True,
        )

    async def _cut(self) -> None:
        for connection in self.connections:
            connection.abort()
        await asyncio.gather(*(connection.wait_closed() for connection in self.connections))

    async def _shut(self) -> None:
        if self.frozen:
            await asyncio.sleep(THAW_SECONDS)
        self._acceptor.close()
        await self._acceptor.wait_closed()
        await self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await _turns()

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)


async def _turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


@contextlib.contextmanager
def serving(host: SshHost) -> Generator[SshHost]:
    """Have `host` listen meanwhile."""
    host.open()
    try:
        yield host
    finally:
        host.close()


class _Server(asyncssh.SSHServer):
    def __init__(self, host: SshHost) -> None:
        self.host = host

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.host.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        self.host.users.append(username)
        return True

    def password_auth_supported(self) -> bool:
        return self.host.password is not None

    def validate_password(self, username: str, password: str) -> bool:
        return password == self.host.password

    def session_requested(self) -> "_Session | bool":
        if self.host.sessions >= self.host.max_sessions:
            return False
        self.host.sessions += 1
        self.host.most_sessions = max(self.host.most_sessions, self.host.sessions)
        return _Session(self.host)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        self.host.forwarded.append((dest_host, dest_port))
        if not self.host.forwarding:  # sshd_config: AllowTcpForwarding no
            raise asyncssh.ChannelOpenError(OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")
        return True


class _Session(asyncssh.SSHServerSession[bytes]):
    """Runs one command as sshd does: in a process group of its own, its end told when its output is."""

    def __init__(self, host: SshHost) -> None:
        self.host = host
        self.process: asyncio.subprocess.Process | None = None
        self.early = bytearray()
        self.ended = False

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self.channel = chan
        # The library's server takes every variable; sshd takes what AcceptEnv lists.
        take = chan._process_env_request  # pyright: ignore[reportPrivateUsage]
        chan._process_env_request = lambda packet: take(packet) and self.accepts()  # pyright: ignore[reportPrivateUsage]

    def accepts(self) -> bool:
        """Tell whether the variable that came last may be set; otherwise it is not."""
        variables = self.channel._env  # pyright: ignore[reportPrivateUsage]
        for name in [name for name in variables if name.decode() not in self.host.accepted_variables]:
            del variables[name]
            return False
        return True

    def exec_requested(self, command: str) -> bool:
        self.host.commands.append(command)
        self.command = command
        return command != "refused"

    def session_started(self) -> None:
        self.host.on_command(self.command)
        self.task = asyncio.ensure_future(self.run())

    async def run(self) -> None:
        given = {name.decode(): value.decode() for name, value in self.channel.get_environment_bytes().items()}
        self.process = await asyncio.create_subprocess_shell(
            self.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], **given},
            start_new_session=True,
        )
        stdin, stdout, stderr = self.process.stdin, self.process.stdout, self.process.stderr
        assert stdin is not None
        assert stdout is not None
        assert stderr is not None
        stdin.write(bytes(self.early))
        if self.ended:
            stdin.close()
        try:
            await asyncio.gather(
                self.copy(stdout, cast("Callable[[bytes], None]", self.channel.write)),  # pyright: ignore[reportUnknownMemberType] - the library leaves the parameter's type open
                self.copy(stderr, self.channel.write_stderr),
            )
            status = await self.process.wait()
        finally:
            if self.process.returncode is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                await self.process.wait()
        if status < 0:
            self.channel.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
        else:
            self.channel.exit(status)

    async def copy(self, source: asyncio.StreamReader, write: Callable[[bytes], None]) -> None:
        while content := await source.read(CHUNK_BYTES):
            write(content)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self.process is None or self.process.stdin is None:
            self.early += data
        else:
            self.process.stdin.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        return True

    def signal_received(self, signal: str) -> None:
        if self.host.signals:
            _kill(self.process, signal)

    def connection_lost(self, exc: Exception | None) -> None:
        self.host.sessions -= 1


def _kill(process: asyncio.subprocess.Process | None, name: str) -> None:
    if process is not None and process.returncode is None:
        os.killpg(process.pid, signal.Signals[f"SIG{name}"])
