"""Who holds a lock, and whether that process still runs."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from labctl.graph.values import Plain

__all__ = ["Fate", "LockHolder", "ProcessStamp"]

BOOT_FILE: Final = Path("/proc/sys/kernel/random/boot_id")
"""A random UUID of this boot of the kernel, the same in every container on it (random(4))."""
NAMESPACE_FILE: Final = Path("/proc/self/ns/pid")
"""A link whose text names the namespace that process numbers of this process count in (pid_namespaces(7))."""


class Fate(StrEnum):
    """What is known of the process that holds a lock."""

    RUNS = "runs"
    GONE = "gone"
    """Surely."""
    UNKNOWN = "unknown"
    """It is, or may be, of another machine or another container."""


@dataclass(frozen=True)
class ProcessStamp:
    """What tells one process from every other, of whatever machine.

    Host names do not: containers of one image may share one, and two containers count their processes apart. Of two
    processes with one stamp's boot and namespace, number and start say which is which.
    """

    boot: str
    namespace: str
    start_ticks: int
    """When it started: clock ticks since boot (proc(5), field 22 of ``/proc/<pid>/stat``)."""

    @classmethod
    def of(cls, pid: int) -> ProcessStamp | None:
        """Return the stamp of a process of this machine and container; None where the kernel tells none (no Linux)."""
        start = _start_ticks(pid)
        try:
            boot = BOOT_FILE.read_text(encoding="ascii").strip()
            namespace = str(NAMESPACE_FILE.readlink())
        except (OSError, ValueError):
            return None
        return cls(boot, namespace, start) if start is not None else None

    def to_json(self) -> dict[str, object]:
        """Return what a lock says of its process."""
        return {"bootId": self.boot, "pidNamespace": self.namespace, "startTicks": self.start_ticks}

    @classmethod
    def from_json(cls, stored: Plain) -> ProcessStamp | None:
        """Return what `to_json` made; None for a lock that says nothing of the kind, as the official CLI's."""
        match stored:
            case {"bootId": str(boot), "pidNamespace": str(namespace), "startTicks": int(start)}:
                return cls(boot, namespace, start)
            case _:
                return None


@dataclass(frozen=True)
class LockHolder:
    """Who holds, or has left behind, a lock."""

    id: str
    """What frees it, see `StackLock.release_other`."""
    username: str
    hostname: str
    pid: int
    since: datetime | None
    stamp: ProcessStamp | None = None
    """None: it was not taken by this engine, or not on Linux."""

    @property
    def fate(self) -> Fate:
        """What is known of its process: something only where the lock was taken by this engine, boot and container."""
        here = ProcessStamp.of(os.getpid())
        if self.stamp is None or here is None or self.hostname != socket.gethostname():
            return Fate.UNKNOWN
        if (self.stamp.boot, self.stamp.namespace) != (here.boot, here.namespace):
            return Fate.UNKNOWN
        same = _start_ticks(self.pid) == self.stamp.start_ticks and not _is_zombie(self.pid)
        return Fate.RUNS if same else Fate.GONE

    @property
    def dead(self) -> bool:
        """Tell whether its process surely runs no more."""
        return self.fate is Fate.GONE

    @property
    def age_seconds(self) -> int | None:
        """How long it has been held, in seconds; None when it does not say since when."""
        return None if self.since is None else max(0, int((datetime.now(UTC) - self.since).total_seconds()))

    @property
    def age(self) -> str:
        """The same in words."""
        return _age(self.age_seconds or 0)

    def describe(self) -> str:
        """Return one line: id, owner, host, process, age, and what is known of the process."""
        age = f", since {self.since:%Y-%m-%d %H:%M:%S} UTC ({self.age})" if self.since else ""
        return f"lock {self.id} by {self.username}@{self.hostname} (pid {self.pid}){age}{self._told()}"

    def _told(self) -> str:
        fate = self.fate
        if fate is Fate.GONE:
            return "; that process no longer runs"
        if fate is Fate.RUNS:
            return "; that process runs"
        if self.hostname == socket.gethostname() and not Path(f"/proc/{self.pid}").exists():
            return "; no such process here, if that host is this one and not another container or an earlier boot"
        return ""


def _age(seconds: int) -> str:
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return f"{seconds} seconds ago"


def _stat(pid: int) -> list[str] | None:
    """Return the fields of ``/proc/<pid>/stat`` after the command's name, None when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def _is_zombie(pid: int) -> bool:
    """Tell whether `pid` has ended and only its parent does not know yet: a container's first process may never ask."""
    fields = _stat(pid)
    return fields is not None and fields[:1] in (["Z"], ["X"])


def _start_ticks(pid: int) -> int | None:
    """Return when `pid` started, in clock ticks since boot; None when there is no such process."""
    fields = _stat(pid)
    try:
        return int(fields[19]) if fields else None
    except (IndexError, ValueError):
        return None
