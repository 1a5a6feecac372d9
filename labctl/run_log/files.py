"""Where the logs of runs are, which of them are kept, and what one says in its first and last lines."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

__all__ = ["LoggedRun", "create", "logged_runs", "logs_folder", "rotate"]

MOST_LOGS: Final = 100
"""Files kept per stack: some months of a lab that is changed every day."""
MOST_BYTES: Final = 64 * 2**20
"""Bytes kept per stack; the log of a first `up` of a lab with 1,000 hosts is about 5 MiB."""
TIME_FORMAT: Final = "%Y%m%dT%H%M%S.%fZ"
NAME: Final = re.compile(r"(?P<time>\d{8}T\d{6}\.\d{6}Z)-(?P<verb>[a-z-]+)-(?P<pid>\d+)\.log")
END: Final = re.compile(r"ended with exit code (?P<code>\d+) after (?P<seconds>[\d.]+)s$")
"""The last line of a run that came to its end."""
TAIL_BYTES: Final = 4096
"""More than the longest last line."""


@dataclass(frozen=True, kw_only=True)
class LoggedRun:
    """One log file: which run it is of."""

    path: Path
    time: str
    """When it began: RFC 3339, UTC."""
    verb: str
    pid: int
    exit_code: int | None
    """None: it has no last line: killed, or still running."""
    seconds: float | None


def logs_folder(root: Path, stack: str) -> Path:
    """Return where the logs of a stack's runs are: ``.lab/logs/<stack>`` in the project's folder."""
    return root / ".lab" / "logs" / stack


def create(folder: Path, verb: str, moment: datetime) -> tuple[int, Path]:
    """Return a new, open log file, for its owner's eyes only, as descriptor and path.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{moment.strftime(TIME_FORMAT)}-{verb}-{os.getpid()}.log"
    # O_EXCL: never through a link that somebody else put there.
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600), path


def rotate(folder: Path, *, most: int = MOST_LOGS, most_bytes: int = MOST_BYTES) -> None:
    """Leave the newest logs of `folder`: at most `most` files and `most_bytes` bytes, and one in any case."""
    kept = 0
    for count, path in enumerate(_newest_first(folder)):
        with contextlib.suppress(OSError):  # another run may be tidying up, too
            kept += path.stat().st_size
            if count and (count >= most or kept > most_bytes):
                path.unlink()


def logged_runs(folder: Path) -> list[LoggedRun]:
    """Return the runs that have a log in `folder`, the latest first."""
    return [_read(path) for path in _newest_first(folder)]


def _newest_first(folder: Path) -> list[Path]:
    try:
        names = [entry.name for entry in os.scandir(folder) if NAME.fullmatch(entry.name)]
    except OSError:
        return []
    return [folder / name for name in sorted(names, reverse=True)]


def _read(path: Path) -> LoggedRun:
    match = NAME.fullmatch(path.name)
    time, verb, pid = (match["time"], match["verb"], match["pid"]) if match else ("", "", "0")
    stamp = f"{time[:4]}-{time[4:6]}-{time[6:8]}T{time[9:11]}:{time[11:13]}:{time[13:15]}Z"
    end = _end(path)
    return LoggedRun(
        path=path,
        time=stamp,
        verb=verb,
        pid=int(pid),
        exit_code=int(end["code"]) if end else None,
        seconds=float(end["seconds"]) if end else None,
    )


def _end(path: Path) -> re.Match[str] | None:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    return END.search(lines[-1]) if lines else None
