"""What can go wrong with a command over SSH; no message shows a key's private part, a password or input."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .outcome import Ending

__all__ = [
    "AgentError",
    "AuthenticationError",
    "CommandRefusedError",
    "ConnectionLostError",
    "HostKeyMismatchError",
    "MalformedHostKeyError",
    "MissingHostKeyError",
    "NotSshError",
    "PrivateKeyError",
    "SshError",
    "StoppedError",
    "UnreachableError",
    "VariableRefusedError",
]


class SshError(Exception):
    """Base of every failure of this package. Unless it is a `ConnectionLostError`, nothing was run."""


class MissingHostKeyError(SshError):
    """A target without the key it would be known by."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{host} has no host key, so nobody could tell it from an impostor: give it the line of "
            "/etc/ssh/ssh_host_ed25519_key.pub on that host (ssh-ed25519 AAAA...)"
        )
        self.host = host


class MalformedHostKeyError(SshError):
    """A host key that is no OpenSSH public key."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"the host key given for {host} is no public key of OpenSSH: wanted is one line as in "
            "/etc/ssh/ssh_host_ed25519_key.pub, the type and then the key (ssh-ed25519 AAAA...), without a host name"
        )
        self.host = host


class HostKeyMismatchError(SshError):
    """Another key than the pinned one; nothing was sent there.

    Parameters
    ----------
    host
        Host and port that answered.
    pinned, presented
        Fingerprints (``SHA256:...``); `presented` is empty when it has no key of the pinned kind and did not say
        which ones it has.
    """

    def __init__(self, host: str, pinned: str, presented: str) -> None:
        shown = presented or "no key of that kind"
        super().__init__(
            f"{host} is not the host it should be, or was installed anew: its key should be {pinned} and it shows "
            f"{shown}. Compare with the host itself (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on its console) "
            "before a new key is written down"
        )
        self.host = host
        self.pinned = pinned
        self.presented = presented


class PrivateKeyError(SshError):
    """A private key that cannot be read."""

    def __init__(self, label: str, *, encrypted: bool) -> None:
        reason = (
            "its passphrase is missing or wrong" if encrypted else "it is no private key in OpenSSH, PEM or PKCS#8 form"
        )
        super().__init__(f"the private key for {label} cannot be read: {reason}")
        self.label = label
        self.encrypted = encrypted


class AgentError(SshError):
    """An SSH agent that does not answer."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"the SSH agent at {path} does not answer ({reason}): start it, or give the right socket")
        self.path = path


class UnreachableError(SshError):
    """No connection, after every attempt that was allowed."""

    def __init__(self, label: str, attempts: int, reason: str) -> None:
        tried = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        super().__init__(f"{label} cannot be reached ({tried}): {reason}")
        self.label = label
        self.attempts = attempts
        self.reason = reason


class NotSshError(SshError):
    """Somebody answers, but no connection can be agreed on."""

    def __init__(self, label: str, reason: str) -> None:
        super().__init__(f"{label} answers, but not as an SSH server that can be used: {reason}")
        self.label = label


class AuthenticationError(SshError):
    """The right host does not let this user in."""

    def __init__(self, label: str, offered: Sequence[str]) -> None:
        shown = ", ".join(offered) or "nothing: no private key, no agent, no password is given"
        super().__init__(f"{label} does not let this user in; offered: {shown}")
        self.label = label
        self.offered = tuple(offered)


class CommandRefusedError(SshError):
    """A connection on which the command was not allowed to start."""

    def __init__(self, label: str, reason: str) -> None:
        super().__init__(f"{label} starts no command: {reason}")
        self.label = label


class VariableRefusedError(SshError):
    """An environment variable that the host does not take; the command was not started."""

    def __init__(self, label: str, name: str) -> None:
        super().__init__(
            f"{label} does not take the environment variable {name}: its sshd takes what AcceptEnv lists, usually "
            f"LANG and LC_*. Pass it in stdin, or write {name}=value in front of the command if it is no secret"
        )
        self.label = label
        self.name = name


class StoppedError(SshError):
    """Cancelled, or out of time, before the command was started."""

    def __init__(self, label: str, ending: Ending) -> None:
        super().__init__(f"{ending.value} while connecting to {label}; nothing was run there")
        self.label = label
        self.ending = ending


class ConnectionLostError(SshError):
    """A command that was started and whose end was not seen: what it did is not known."""

    def __init__(self, label: str, reason: str) -> None:
        super().__init__(f"{label} was lost sight of while the command ran ({reason}): what it did there is not known")
        self.label = label
        self.reason = reason
