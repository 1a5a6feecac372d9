"""The lock on a stack, as the official engine takes it (``pkg/backend/diy/lock.go``): both respect the other's.

A lock is a file with a random name; having one means: there was no other before writing it, and none after. Listing
what was just written is consistent in a folder and, since December 2020, in S3. It says what the official one says and
one key more, ``process``, which that CLI passes over: see `ProcessStamp`. It has no expiry. It goes when its process
ends in any way that lets the process run code: normally, by an exception, by Ctrl-C, by SIGTERM. One that a killed
process left behind is shown for what it is, and freed only on request.
"""

from __future__ import annotations

import atexit
import getpass
import json
import os
import signal
import socket
import sys
import threading
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from .exceptions import LockLeftError, StackLockedError, StateError, UnknownLockError
from .holder import LockHolder, ProcessStamp
from .resource import now

if TYPE_CHECKING:
    from types import FrameType

    from .bucket import Bucket

__all__ = ["StackLock"]

FRACTION_DIGITS: Final = 6
"""Microseconds: what Python reads of Go's nanoseconds."""
TERMINATED: Final = 128 + signal.SIGTERM
"""Exit status of a process ended by SIGTERM (POSIX shells)."""


class StackLock:
    """The lock of one stack, not taken yet.

    Parameters
    ----------
    bucket
        Where the stack's state is.
    stack
        ``organization/<project>/<stack>``.
    """

    def __init__(self, bucket: Bucket, stack: str) -> None:
        self.id = str(uuid.uuid4())
        self._bucket = bucket
        self._stack = stack
        self._folder = f".pulumi/locks/{stack}"
        self._held = False

    def acquire(self) -> None:
        """Hold the lock from now to `release`, or to the end of the process.

        Raises
        ------
        StackLockedError
            Others hold one; this one is not held then.
        StateWriteError
            The backend cannot be written.
        """
        self._refuse_others()
        content: dict[str, object] = {
            "pid": os.getpid(),
            "username": _username(),
            "hostname": socket.gethostname(),
            "timestamp": now(),
        }
        if stamp := ProcessStamp.of(os.getpid()):
            content["process"] = stamp.to_json()
        # Before the write: one that is interrupted, or whose answer is lost, may have left the lock all the same.
        self._held = True
        atexit.register(self._release_at_exit)
        _exit_on_sigterm()
        try:
            self._bucket.write(self._key, json.dumps(content, separators=(",", ":")).encode())
            self._refuse_others()
        except BaseException:
            self.release_if_possible()
            raise

    def release(self) -> None:
        """Give the lock back; without one, nothing happens.

        Raises
        ------
        LockLeftError
            It could not be removed.
        """
        if self._held:
            try:
                self._bucket.delete(self._key)
            except (StateError, OSError) as error:
                self._forget()
                raise LockLeftError(self._stack, self.id, str(error)) from error
            self._forget()  # only now: where Ctrl-C comes before, the end of the process tries again

    def _forget(self) -> None:
        self._held = False
        atexit.unregister(self._release_at_exit)

    def release_if_possible(self) -> None:
        """Give the lock back, while another failure is on its way that says more."""
        with suppress(LockLeftError):
            self.release()

    def _release_at_exit(self) -> None:
        try:
            self.release()
        except LockLeftError as error:
            sys.stderr.write(f"{error}\n")

    def present(self) -> bool:
        """Tell whether the lock is still there: nobody has released it by its id."""
        return self._bucket.read(self._key) is not None

    def others(self) -> tuple[LockHolder, ...]:
        """Return who else holds a lock on the stack."""
        keys = [key for key in self._bucket.list(self._folder) if key != self._key]
        return tuple(holder for key in keys if (holder := self._read(key)) is not None)

    def release_other(self, lock_id: str) -> LockHolder:
        """Free a lock that somebody else has left behind, and return whose it was.

        Raises
        ------
        UnknownLockError
            No such lock.
        """
        for holder in self.others():
            if holder.id == lock_id:
                self._bucket.delete(f"{self._folder}/{lock_id}.json")
                return holder
        raise UnknownLockError(self._stack, lock_id, [holder.id for holder in self.others()])

    def _refuse_others(self) -> None:
        if others := self.others():
            raise StackLockedError(self._stack, others)

    @property
    def _key(self) -> str:
        return f"{self._folder}/{self.id}.json"

    def _read(self, key: str) -> LockHolder | None:
        """Return whose lock is under `key`; None for one that was given back since it was listed."""
        lock_id = key.rpartition("/")[2].removesuffix(".json")
        content = self._bucket.read(key)
        if content is None:
            return None
        try:
            stored = json.loads(content or b"{}")
            return LockHolder(
                lock_id,
                str(stored.get("username", "?")),
                str(stored.get("hostname", "?")),
                int(stored.get("pid", 0)),
                _time(str(stored.get("timestamp", ""))),
                ProcessStamp.from_json(stored.get("process")),
            )
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            return LockHolder(lock_id, "?", "?", 0, None)


def _time(text: str) -> datetime | None:
    """Read a time as Go writes it, nanoseconds cut to microseconds."""
    date, dot, rest = text.partition(".")
    if dot:
        digits = rest.rstrip("Zz").partition("+")[0].partition("-")[0]
        text = f"{date}.{digits[:FRACTION_DIGITS].ljust(FRACTION_DIGITS, '0')}{rest[len(digits) :]}"
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _username() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _exit_on_sigterm() -> None:
    """Let SIGTERM end the process by an exception, so that the lock is released; a handler that is there stays."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _exit)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)
