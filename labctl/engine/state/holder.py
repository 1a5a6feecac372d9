"""Who holds a lock, and whether that process still runs."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

__all__ = ["LockHolder"]

CLOCK_TOLERANCE: Final = timedelta(seconds=2)
"""How much later than its lock a process may seem to have started: /proc counts in ticks since boot."""


@dataclass(frozen=True)
class LockHolder:
    """Who holds, or has left behind, a lock."""

    id: str
    """What frees it, see `StackLock.release_other`."""
    username: str
    hostname: str
    pid: int
    since: datetime | None

    @property
    def dead(self) -> bool:
        """Tell whether its process surely runs no more; unknown, so False, for one of another host."""
        if self.hostname != socket.gethostname() or self.pid <= 0:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        if _is_zombie(self.pid):
            return True
        started = _process_start(self.pid)
        return started is not None and self.since is not None and started > self.since + CLOCK_TOLERANCE

    def describe(self) -> str:
        """Return one line: id, owner, host, process, age, and whether the process is gone."""
        age = f", since {self.since:%Y-%m-%d %H:%M:%S} UTC ({_age(self.since)})" if self.since else ""
        fate = "; that process no longer runs" if self.dead else ""
        return f"lock {self.id} by {self.username}@{self.hostname} (pid {self.pid}){age}{fate}"


def _age(since: datetime) -> str:
    seconds = max(0, int((datetime.now(UTC) - since).total_seconds()))
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return f"{seconds} seconds ago"


def _is_zombie(pid: int) -> bool:
    """Tell whether `pid` has ended and only its parent does not know yet: a container's first process may never ask."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] in {"Z", "X"}
    except (OSError, IndexError):
        return False


def _process_start(pid: int) -> datetime | None:
    """Return when `pid` started, where the kernel tells (Linux: proc(5), field 22 of ``/proc/<pid>/stat``)."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
        boot = next(
            int(line.split()[1])
            for line in Path("/proc/stat").read_text(encoding="utf-8").splitlines()
            if line.startswith("btime ")
        )
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    return datetime.fromtimestamp(boot + ticks / os.sysconf("SC_CLK_TCK"), UTC)
