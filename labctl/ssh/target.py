"""Where to connect, as whom, and how the host is known."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import Final

from .errors import MalformedHostKeyError, MissingHostKeyError

__all__ = ["DEFAULT_PORT", "DIAL_RETRIES", "DIAL_TIMEOUT_SECONDS", "Target", "fingerprint"]

DEFAULT_PORT: Final = 22
"""TCP port of SSH (RFC 4253)."""
DIAL_TIMEOUT_SECONDS: Final = 15.0
"""Longest that one attempt to connect may take, authentication included (pulumi-command: ``perDialTimeout``)."""
DIAL_RETRIES: Final = 10
"""Attempts after the first that failed (pulumi-command: ``dialErrorLimit``)."""
LENGTH_BYTES: Final = 4
"""Size of the length before each field of a public key (RFC 4251, string)."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One user of one host, and what it takes to get there.

    Raises
    ------
    MissingHostKeyError, MalformedHostKeyError
        Without a host key there is no target.
    """

    host: str
    """Name or address."""
    host_key: str
    """The one key it is known by: a line as in ``/etc/ssh/ssh_host_ed25519_key.pub``."""
    port: int = DEFAULT_PORT
    user: str = "root"
    private_key: str | None = field(default=None, repr=False)
    """Text of the key, tried first."""
    passphrase: str | None = field(default=None, repr=False)
    """Opens `private_key`."""
    agent_socket: str | None = None
    """Path of an agent's socket; its keys are tried after `private_key`."""
    password: str | None = field(default=None, repr=False)
    """Tried last."""
    proxy: Target | None = None
    """Host through which this one is reached (``ssh -J``)."""
    dial_timeout_seconds: float | None = DIAL_TIMEOUT_SECONDS
    """For each attempt; None: as long as the operating system waits."""
    dial_retries: int | None = DIAL_RETRIES
    """None: until it is cancelled or out of time."""

    def __post_init__(self) -> None:
        _blob(self.host_key, self.host)

    @property
    def address(self) -> str:
        """Return host and port for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORT else f"{host}:{self.port}"

    @property
    def label(self) -> str:
        """Return user, host and port for messages."""
        return f"{self.user}@{self.address}"

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the pinned key, ``SHA256:...``."""
        return fingerprint(self.host_key, self.host)

    @property
    def identity(self) -> tuple[object, ...]:
        """Return what two targets have in common that can share a connection."""
        ways_in = (self.private_key, self.passphrase, self.agent_socket, self.password)
        proxy = self.proxy.identity if self.proxy else None
        return (self.host, self.port, self.user, _blob(self.host_key, self.host), *ways_in, proxy)


def fingerprint(host_key: str, host: str = "a host") -> str:
    """Return the fingerprint of an OpenSSH public key line as ``ssh-keygen -l`` shows it: ``SHA256:...``.

    Raises
    ------
    MissingHostKeyError, MalformedHostKeyError
        It is empty, or no public key; `host` is named in the message.
    """
    digest = hashlib.sha256(_blob(host_key, host)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _blob(host_key: str, host: str) -> bytes:
    """Return the key itself, which begins with its own type (RFC 4253, 6.6)."""
    lines = host_key.strip().splitlines()
    if not lines:
        raise MissingHostKeyError(host)
    kind, _, rest = lines[0].partition(" ")
    encoded = rest.strip().partition(" ")[0]
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedHostKeyError(host) from None
    length = int.from_bytes(blob[:LENGTH_BYTES], "big")
    if len(lines) > 1 or not kind.isascii() or blob[LENGTH_BYTES : LENGTH_BYTES + length] != kind.encode():
        raise MalformedHostKeyError(host)
    if not encoded or "-cert-" in kind:
        raise MalformedHostKeyError(host)
    return blob
