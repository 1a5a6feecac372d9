"""One attempt after the other to connect to a target, its key checked, its user let in."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import asyncssh
from asyncssh.constants import DISC_NO_MORE_AUTH_METHODS_AVAILABLE, OPEN_CONNECT_FAILED

from .errors import (
    AgentError,
    AuthenticationError,
    HostKeyMismatchError,
    MalformedHostKeyError,
    NotSshError,
    PrivateKeyError,
    UnreachableError,
)
from .target import fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .target import Target

__all__ = ["dial", "presented_keys"]

KEEPALIVE_SECONDS: Final = 15.0
"""Silence after which the host is asked whether it is there."""
KEEPALIVE_UNANSWERED: Final = 4
"""Questions without an answer after which it is taken for gone, one minute in all."""
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 5.0
PAUSE_GROWTH: Final = 1.5
"""Pauses between attempts are the official provider's (Pulumi: ``retry.DefaultDelay`` and following)."""
KEY_KINDS: Final = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)
"""Signature algorithms by the kinds of keys that sshd makes for itself."""
FOR_GOOD: Final = frozenset({socket.EAI_NONAME, socket.EAI_FAIL, socket.EAI_FAMILY})
"""Answers of the resolver that asking again does not change."""

# The library notes commands and variables, which may hold secrets, at levels below this one.
asyncssh.set_log_level(logging.WARNING)


class _Watcher(asyncssh.SSHClient):
    """Remembers the key of a host that is not the pinned one."""

    presented = ""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        del host, addr, port
        self.presented = key.get_fingerprint()
        return False


async def dial(target: Target, proxy: asyncssh.SSHClientConnection | None) -> asyncssh.SSHClientConnection:
    """Return a connection to `target`, attempted again where it may help: refused, unreachable, too slow, cut off.

    Raises
    ------
    SshError
        Named after what is wrong.
    """
    pinned, private_key = await asyncio.get_running_loop().run_in_executor(None, _keys, target)
    attempts = 0
    pause = FIRST_PAUSE_SECONDS
    while True:
        attempts += 1
        try:
            async with asyncio.timeout(target.dial_timeout_seconds):
                return await _attempt(target, pinned, private_key, proxy)
        except (OSError, asyncssh.ConnectionLost, asyncssh.ChannelOpenError) as error:
            reason = _reason(error, target)
            again = _may_pass(error) and (proxy is None or not proxy.is_closed())
            hung_up = isinstance(error, (ConnectionResetError, asyncssh.ConnectionLost))
        if hung_up and attempts == 1:
            await _check_kinds(target, proxy)
        if not again or (target.dial_retries is not None and attempts > target.dial_retries):
            raise UnreachableError(target.label, attempts, reason)
        await asyncio.sleep(pause)
        pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE_SECONDS)


async def presented_keys(host: str, port: int, proxy: asyncssh.SSHClientConnection | None) -> tuple[str, ...]:
    """Return the public key lines that a host shows, one of each kind it has; nothing is checked.

    Raises
    ------
    OSError, asyncssh.Error
        It does not answer.
    """
    shown: list[str] = []
    lost: Exception | None = None
    for algorithms in KEY_KINDS:
        try:
            key = await asyncssh.get_server_host_key(
                host, port, tunnel=proxy, config=None, server_host_key_algs=algorithms
            )
        except asyncssh.KeyExchangeFailed:
            continue
        except (ConnectionResetError, asyncssh.ConnectionLost) as error:  # an sshd may hang up where it has no such key
            lost = error
            continue
        if key is not None:
            shown.append(key.export_public_key().decode().strip())
    if lost is not None and not shown:
        raise lost
    return tuple(shown)


def _keys(target: Target) -> tuple[asyncssh.SSHKey, asyncssh.SSHKey | None]:
    """Return the host's key and the user's; opening one that a passphrase protects takes its time."""
    try:
        pinned = asyncssh.import_public_key(target.host_key)
    except asyncssh.KeyImportError:
        raise MalformedHostKeyError(target.host) from None
    if not target.private_key:
        return pinned, None
    try:
        return pinned, asyncssh.import_private_key(target.private_key, target.passphrase or None)
    except asyncssh.KeyEncryptionError:
        raise PrivateKeyError(target.label, encrypted=True) from None
    except asyncssh.KeyImportError as error:
        raise PrivateKeyError(target.label, encrypted="assphrase" in str(error)) from None


async def _attempt(
    target: Target,
    pinned: asyncssh.SSHKey,
    private_key: asyncssh.SSHKey | None,
    proxy: asyncssh.SSHClientConnection | None,
) -> asyncssh.SSHClientConnection:
    """Connect once, with nothing but what the target says: no configuration, key or known host of whoever runs this."""
    watcher = _Watcher()
    async with AsyncExitStack() as stack:
        keys: list[asyncssh.SSHKey | asyncssh.SSHKeyPair] = [private_key] if private_key else []
        if target.agent_socket:
            keys += await _agent_keys(target.agent_socket, stack)
        try:
            return await asyncssh.connect(
                target.host,
                target.port,
                tunnel=proxy,
                config=None,
                client_factory=lambda: watcher,
                known_hosts=([pinned], [], []),
                x509_trusted_certs=None,
                username=target.user,
                password=target.password,
                client_keys=keys or None,
                agent_path=None,
                public_key_auth=bool(keys),
                password_auth=target.password is not None,
                kbdint_auth=target.password is not None,
                host_based_auth=False,
                gss_kex=False,
                gss_auth=False,
                login_timeout=0,
                keepalive_interval=KEEPALIVE_SECONDS,
                keepalive_count_max=KEEPALIVE_UNANSWERED - 1,
            )
        except asyncssh.ConnectionLost:
            raise
        except asyncssh.HostKeyNotVerifiable:
            raise HostKeyMismatchError(target.address, target.fingerprint, watcher.presented) from None
        except asyncssh.PermissionDenied:
            raise AuthenticationError(target.label, _offered(target)) from None
        except asyncssh.DisconnectError as error:
            if error.code == DISC_NO_MORE_AUTH_METHODS_AVAILABLE or "authentication" in error.reason:
                raise AuthenticationError(target.label, _offered(target)) from None
            if isinstance(error, asyncssh.KeyExchangeFailed) and "host key" in error.reason:
                shown = " or ".join(fingerprint(line) for line in await _shown(target, proxy))
                raise HostKeyMismatchError(target.address, target.fingerprint, shown) from None
            raise NotSshError(target.address, error.reason) from None


async def _agent_keys(path: str, stack: AsyncExitStack) -> Sequence[asyncssh.SSHKeyPair]:
    """Return the keys of the agent at `path`, usable as long as `stack` is open."""
    try:
        agent = await stack.enter_async_context(asyncssh.connect_agent(path))
        return await agent.get_keys()
    except (OSError, ValueError) as error:
        raise AgentError(path, _text(error)) from None


async def _shown(target: Target, proxy: asyncssh.SSHClientConnection | None) -> tuple[str, ...]:
    """Return the keys that a host shows; none if it does not say."""
    try:
        async with asyncio.timeout(target.dial_timeout_seconds):
            return await presented_keys(target.host, target.port, proxy)
    except (OSError, asyncssh.Error):
        return ()


async def _check_kinds(target: Target, proxy: asyncssh.SSHClientConnection | None) -> None:
    """Raise `HostKeyMismatchError` if `target` hung up because it has no key of the pinned kind.

    An sshd does not wait for its own list of keys to be read before it does (its reset overtakes what it has sent).
    """
    shown = [fingerprint(line) for line in await _shown(target, proxy)]
    if shown and target.fingerprint not in shown:
        raise HostKeyMismatchError(target.address, target.fingerprint, " or ".join(shown))


def _offered(target: Target) -> list[str]:
    offered = ["the private key"] if target.private_key else []
    offered += [f"the keys of the agent at {target.agent_socket}"] if target.agent_socket else []
    return [*offered, "the password"] if target.password is not None else offered


def _may_pass(error: OSError | asyncssh.Error) -> bool:
    """Tell whether another attempt may succeed."""
    if isinstance(error, asyncssh.ChannelOpenError):  # the proxy's answer
        return error.code == OPEN_CONNECT_FAILED
    return not (isinstance(error, socket.gaierror) and error.errno in FOR_GOOD)


def _reason(error: OSError | asyncssh.Error, target: Target) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:
        return f"no answer within {target.dial_timeout_seconds:g} s"
    return _text(error)


def _text(error: Exception) -> str:
    """Return why, without the addresses that asyncio puts into its messages."""
    if isinstance(error, OSError) and error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__
