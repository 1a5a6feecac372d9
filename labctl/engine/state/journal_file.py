"""A journal in a file beside the checkpoint, for a state in a folder.

A line is appended by a single ``write`` that has returned before a provider is called: a killed process loses nothing.
``fsync`` follows within 100 ms in the background, so a machine that loses power can lose that much of the end of it.
The last line may be torn.
"""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Condition, Thread
from typing import TYPE_CHECKING, Final

from .bucket import make_private_folder, sync_folder
from .exceptions import JournalFullError
from .journal import ASK, TAKEN_OVER, Lines, closing_line, event_line
from .merge import Begin, Event, Failed

if TYPE_CHECKING:
    from pathlib import Path

    from .locks import StackLock
    from .resource import ResourceState
    from .wire import Codec

__all__ = ["FileJournal", "FileJournalStore"]

SYNC_SECONDS: Final = 0.1
"""Longest time a line waits to be forced onto the disk: a group of lines costs one fsync (1 to 20 ms each)."""


class FileJournalStore:
    """The one journal that a stack in a folder can have."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def place(self) -> str:
        """The file."""
        return str(self.path)

    def read(self) -> tuple[bytes, ...]:
        """Return the lines that a run has left or is writing."""
        try:
            return (self.path.read_bytes(),)
        except FileNotFoundError:
            return ()

    def take_over(self, run: str) -> None:
        """Do nothing: a run whose lock has gone looks for it after each `Begin` that it has written, and stops."""

    def mark_superseded(self, new_base: str) -> None:
        """Note in what was left that the checkpoint about to be written contains all of it."""
        with self.path.open("r+b") as file:
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)
            file.seek(0, os.SEEK_END)
            file.write(closing_line(new_base))
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """Remove what was left."""
        self.path.unlink(missing_ok=True)

    def writer(self, codec: Codec, base: str, lock: StackLock) -> FileJournal:
        """Return the journal of a run that holds `lock` and continues the checkpoint of checksum `base`."""
        return FileJournal(self.path, codec, base, lock)


class FileJournal:
    """A journal being written. Safe to use from many threads; the file exists from the first line on."""

    def __init__(self, path: Path, codec: Codec, base: str, lock: StackLock) -> None:
        self.path = path
        self._lock = lock
        self._lines = Lines(codec, base)
        self._descriptor: int | None = None
        self._size = 0
        self._waiting: list[bytes] = []
        self._failure: JournalFullError | None = None
        self._dirty = Condition()
        self._unsynced = False
        self._closed = False

    @property
    def failure(self) -> JournalFullError | None:
        """Why a line could not be written, once that has happened."""
        return self._failure

    def append(self, event: Event, known: ResourceState | None = None, *, wait: bool = False) -> None:
        """Write `event`; it and all before it are in the file when this returns, unless `wait` lets it wait.

        `known` is what the old snapshot has for a registered resource: the same is written as its URN only.

        Raises
        ------
        JournalFullError
            The line could not be written whole, and none of it was.
        """
        line = event_line(event, known, self._lines.codec)
        with self._dirty:
            self._waiting.append(line)
            if wait:
                return
            try:
                self._flush()
            except JournalFullError:
                if isinstance(event, Begin):
                    self._waiting.pop()
                raise
            if isinstance(event, Begin):
                self._require_lock(event)

    def closing(self, new_base: str) -> None:
        """Note that the checkpoint about to be written contains all of this journal; best effort on a full disk.

        Raises
        ------
        JournalFullError
            Another run has taken over: the checkpoint must not be written.
        """
        with self._dirty:
            self._require_lock()
            if self._descriptor is None:
                return
            try:
                self._waiting.append(closing_line(new_base))
                self._flush()
            except JournalFullError:
                return

    def close(self, *, remove: bool) -> None:
        """End the journal: forced onto the disk, or removed because a checkpoint holds all of it."""
        with self._dirty:
            self._closed = True
            self._dirty.notify_all()
            if self._descriptor is None:
                return
            if remove:
                if os.fstat(self._descriptor).st_nlink:  # else it was taken over, and the next run's has its name
                    self.path.unlink(missing_ok=True)
            else:
                os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
            sync_folder(self.path.parent)

    def _require_lock(self, begin: Begin | None = None) -> None:
        """Return if the lock is still there: whoever takes it over reads the journal only after it has gone.

        So what was written before is known to them, and nothing more may be begun or saved here. A `begin` that was
        written is followed by its end: no provider is asked.
        """
        if not self._lock.present():
            if begin is not None:
                self._waiting.append(event_line(Failed(number=begin.number), None, self._lines.codec))
                with suppress(JournalFullError):
                    self._flush()
            self._failure = JournalFullError(str(self.path), TAKEN_OVER, ASK)
            raise self._failure

    def _flush(self) -> None:
        """Write what waits, or none of it: it goes on waiting then, and the next line tries again."""
        if self._closed:  # by another thread: a new file now would belong to no run
            raise JournalFullError(str(self.path), "the run is over")
        content = self._lines.preface() + b"".join(self._waiting)
        try:
            if self._descriptor is None:
                self._descriptor = self._open()
            _write_all(self._descriptor, content)
        except OSError as error:
            if self._descriptor is not None:
                os.ftruncate(self._descriptor, self._size)
            self._failure = JournalFullError(str(self.path), error.strerror or str(error))
            raise self._failure from error
        self._size += len(content)
        self._lines.kept()
        self._waiting.clear()
        self._unsynced = True
        self._dirty.notify_all()

    def _open(self) -> int:
        make_private_folder(self.path.parent)
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except FileExistsError:
            self._require_lock()
            raise
        Thread(target=self._sync, name="journal", daemon=True).start()
        return descriptor

    def _sync(self) -> None:
        while True:
            with self._dirty:
                self._dirty.wait_for(lambda: self._unsynced or self._closed)
                if self._closed or self._descriptor is None:
                    return
                self._unsynced = False
                copy = os.dup(self._descriptor)
            try:
                os.fsync(copy)
            except OSError as error:  # the disk has lost what it had taken: begin nothing more
                self._failure = JournalFullError(str(self.path), error.strerror or str(error))
            finally:
                os.close(copy)
            with self._dirty:
                self._dirty.wait_for(lambda: self._closed, timeout=SYNC_SECONDS)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
