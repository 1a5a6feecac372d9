"""Where state files are kept: a small store of named byte strings."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Protocol

from .exceptions import StateChangedError, StateWriteError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Bucket", "FileBucket"]


class Bucket(Protocol):
    """A store of byte strings under keys of ``/``-separated names; each write is all or nothing."""

    def read(self, key: str) -> bytes | None:
        """Return what is under `key`, or None."""
        ...

    def write(self, key: str, content: bytes) -> None:
        """Put `content` under `key`; raises `StateWriteError`, and what was there before stays."""
        ...

    def swap(self, key: str, content: bytes, before: bytes | None) -> None:
        """Put `content` under `key` if `before` is there (None: nothing); else raise `StateChangedError`."""
        ...

    def list(self, prefix: str) -> list[str]:
        """Return the keys directly under the folder `prefix`, sorted."""
        ...

    def tree(self, prefix: str) -> list[str]:
        """Return the keys at any depth under the folder `prefix`, sorted."""
        ...

    def delete(self, key: str) -> None:
        """Remove `key`; one that is not there is success."""
        ...


class FileBucket:
    """A folder; every file in it is for its owner only (0600), every folder too (0700)."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        """Return the file of `key`."""
        return self.root.joinpath(*key.split("/"))

    def read(self, key: str) -> bytes | None:
        """Return what is under `key`, or None."""
        try:
            return self.path(key).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, key: str, content: bytes) -> None:
        """Put `content` under `key`: written beside it, flushed to the disk, then renamed over it."""
        path = self.path(key)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            make_private_folder(path.parent)
            try:
                _write_synced(temporary, content)
                temporary.replace(path)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise
            sync_folder(path.parent)
        except OSError as error:
            raise StateWriteError(str(path), error.strerror or str(error)) from error

    def swap(self, key: str, content: bytes, before: bytes | None) -> None:
        """Put `content` under `key` if `before` is there; the stack's lock keeps others out in between."""
        if self.read(key) != before:
            raise StateChangedError(str(self.path(key)))
        self.write(key, content)

    def list(self, prefix: str) -> list[str]:
        """Return the keys directly under the folder `prefix`, sorted, without half-written files."""
        return sorted(f"{prefix}/{name}" for name in self._names(prefix))

    def tree(self, prefix: str) -> list[str]:
        """Return the keys at any depth under the folder `prefix`, sorted, without half-written files."""
        folder = self.path(prefix)
        files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        return sorted(path.relative_to(self.root).as_posix() for path in files)

    def _names(self, prefix: str) -> Iterator[str]:
        folder = self.path(prefix)
        if folder.is_dir():
            yield from (entry.name for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))

    def delete(self, key: str) -> None:
        """Remove `key`; one that is not there is success."""
        self.path(key).unlink(missing_ok=True)


def make_private_folder(folder: Path) -> None:
    """Make `folder` and its missing parents, for their owner only."""
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    for part in reversed(missing):
        part.mkdir(mode=0o700, exist_ok=True)


def _write_synced(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Put renames and removals in `folder` on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
