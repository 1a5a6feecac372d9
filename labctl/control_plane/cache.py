"""The cache of obtained programs: where it is, how it is locked, and that there is room in it."""

import errno
import fcntl
import os
import platform
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from .errors import DiskSpaceError, UnsupportedPlatformError
from .progress import Progress

__all__ = [
    "cache_directory",
    "exclusive_lock",
    "full_disk_told",
    "platform_names",
    "require_space",
    "require_supported_platform",
    "tail_of",
    "tool_path",
]


def require_supported_platform() -> None:
    """Return on Linux.

    Raises
    ------
    UnsupportedPlatformError
        Anything else: processes are recognised by /proc, and kube-apiserver is released for Linux only.
    """
    if sys.platform != "linux":
        raise UnsupportedPlatformError(system=platform.system())


def cache_directory() -> Path:
    """Return the folder of everything obtained: ``$XDG_CACHE_HOME/research-compute`` (default ``~/.cache``)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification: a relative path is to be ignored.
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "research-compute"


def tool_path(name: str, version: str) -> Path:
    """Return where the executable of this program and version is kept, whether it is there or not."""
    return cache_directory() / "tools" / f"{name}-{version}" / name


def platform_names() -> tuple[str, str]:
    """Return operating system and architecture as Go and release files name them, e.g. ``("linux", "amd64")``."""
    machine = platform.machine().lower()
    return platform.system().lower(), {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def require_space(what: str, path: Path, needed_bytes: int) -> None:
    """Return if the file system that holds (or will hold) `path` has `needed_bytes` available to this user.

    Raises
    ------
    DiskSpaceError
        It has less; names both figures.
    """
    existing = path
    while not existing.exists():
        existing = existing.parent
    available_bytes = shutil.disk_usage(existing).free
    if available_bytes < needed_bytes:
        raise DiskSpaceError(what=what, path=path, needed_bytes=needed_bytes, available_bytes=available_bytes)


@contextmanager
def full_disk_told(what: str, path: Path, needed_bytes: int) -> Generator[None]:
    """Turn a write that failed for want of room into the error that says so; the disk filled up after `require_space`.

    Raises
    ------
    DiskSpaceError
        The block ended with ENOSPC or EDQUOT.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        available = shutil.disk_usage(path).free
        raise DiskSpaceError(what=what, path=path, needed_bytes=needed_bytes, available_bytes=available) from error


@contextmanager
def exclusive_lock(path: Path, *, progress: Progress, waiting_for: str) -> Generator[None]:
    """Hold the lock file `path` for this process alone while the block runs; wait for another holder, saying so once.

    The kernel frees the lock when its holder ends, however it ends, so that no stale lock can remain.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"waiting for another run that is {waiting_for} ({path})")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def tail_of(path: Path, *, lines: int = 25) -> str:
    """Return the last `lines` lines of a log, at most 8 KiB; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
