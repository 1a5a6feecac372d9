"""The journal: what a run is doing, on disk before it does it, so that saving costs the same for 5 resources and 5,000.

One JSON object per line, appended by a single ``write`` that has returned before a provider is called: a killed
process loses nothing. ``fsync`` follows within 100 ms in the background, so a machine that loses power can lose that
much of the end of it. The first line says which checkpoint the journal continues; the last one may be torn.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from threading import Condition, Thread
from typing import TYPE_CHECKING, Final, cast

from labctl.engine.providers.base import Operation

from .bucket import make_private_folder, sync_folder
from .exceptions import JournalFullError, MalformedStateError
from .merge import Begin, Done, Event, Failed, Forget, Outputs, Register, Resolve
from .resource import ResourceState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from labctl.graph.values import Plain

    from .wire import Codec, PlainObject

__all__ = ["Journal", "JournalHeader", "checksum", "mark_superseded", "read_journal", "replay"]

JOURNAL_VERSION: Final = 1
"""Of the line format."""
SYNC_SECONDS: Final = 0.1
"""Longest time a line waits to be forced onto the disk: a group of lines costs one fsync (1 to 20 ms each)."""


def checksum(content: bytes | None) -> str:
    """Return the SHA-256 of a checkpoint, empty when there is none."""
    return "" if content is None else hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class JournalHeader:
    """What a journal continues."""

    base: str
    """`checksum` of the checkpoint it continues."""
    salt: str | None
    """Of the key its secrets are sealed with; None when it holds none."""
    superseded_by: frozenset[str] = frozenset()
    """Checksums of checkpoints that were to contain all of it; one of them may have been written."""


class Journal:
    """A journal being written. Safe to use from many threads; the file exists from the first line on."""

    def __init__(self, path: Path, codec: Codec, base: str) -> None:
        self.path = path
        self._codec = codec
        self._base = base
        self._salt: str | None = None
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
        line = _line(_event_json(event, known, self._codec))
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

    def closing(self, new_base: str) -> None:
        """Note that the checkpoint about to be written contains all of this journal; best effort on a full disk."""
        with self._dirty:
            if self._descriptor is None:
                return
            try:
                self._waiting.append(_line({"event": "closing", "base": new_base}))
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
                self.path.unlink(missing_ok=True)
            else:
                os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
            sync_folder(self.path.parent)

    def _flush(self) -> None:
        """Write what waits, or none of it: it goes on waiting then, and the next line tries again."""
        if self._closed:  # by another thread: a new file now would belong to no run
            raise JournalFullError(self.path, "the run is over")
        content = self._preface() + b"".join(self._waiting)
        try:
            if self._descriptor is None:
                self._descriptor = self._open()
            _write_all(self._descriptor, content)
        except OSError as error:
            if self._descriptor is not None:
                os.ftruncate(self._descriptor, self._size)
            self._failure = JournalFullError(self.path, error.strerror or str(error))
            raise self._failure from error
        self._size += len(content)
        self._salt = self._codec.manager.salt
        self._waiting.clear()
        self._unsynced = True
        self._dirty.notify_all()

    def _preface(self) -> bytes:
        """Return the header before the first line, and the salt before the first secret under a new one."""
        salt = self._codec.manager.salt
        if self._size == 0:
            return _line({"event": "open", "version": JOURNAL_VERSION, "base": self._base, "salt": salt})
        return b"" if salt == self._salt else _line({"event": "salt", "salt": salt})

    def _open(self) -> int:
        make_private_folder(self.path.parent)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
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
                self._failure = JournalFullError(self.path, error.strerror or str(error))
            finally:
                os.close(copy)
            with self._dirty:
                self._dirty.wait_for(lambda: self._closed, timeout=SYNC_SECONDS)


def _line(content: PlainObject) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _event_json(event: Event, known: ResourceState | None, codec: Codec) -> PlainObject:
    content: PlainObject
    if isinstance(event, Begin):
        resource = event.state.to_json(codec)
        content = {"event": "begin", "n": event.number, "operation": event.operation.value, "resource": resource}
    elif isinstance(event, Done):
        new = None if event.new is None else event.new.to_json(codec)
        content = {"event": "done", "n": event.number, "resource": new, "replacing": event.replacing}
    elif isinstance(event, Failed):
        content = {"event": "failed", "n": event.number}
    elif isinstance(event, Register):
        if known == event.state:
            content = {"event": "same", "urn": event.state.urn}
        else:
            content = {"event": "register", "resource": event.state.to_json(codec)}
    elif isinstance(event, Outputs):
        content = {"event": "outputs", "urn": event.urn, "outputs": codec.encode(event.outputs, f"{event.urn}#outputs")}
    elif isinstance(event, Forget):
        content = {"event": "forget", "resource": event.state.to_json(codec)}
    else:
        content = {"event": "resolve", "urn": event.urn}
    return content


def read_journal(content: bytes, path: Path) -> tuple[JournalHeader, list[PlainObject]] | None:
    """Return the header and the lines of a journal, without a torn last one; None when not even the header is whole.

    Raises
    ------
    MalformedStateError
        It is no journal, of another version, or damaged before its last line.
    """
    lines: list[PlainObject] = []
    for index, piece in enumerate(content.split(b"\n")[:-1], start=1):
        place = f"{path}:{index}"
        try:
            lines.append(json.loads(piece))
        except ValueError as error:
            raise MalformedStateError(place, "not a line of a journal") from error
    if not lines:
        return None
    header, *rest = lines
    if header.get("event") != "open" or header.get("version") != JOURNAL_VERSION:
        raise MalformedStateError(str(path), f"not a journal of version {JOURNAL_VERSION}")
    salts = [salt for line in lines if isinstance(salt := line.get("salt"), str)]
    closing = frozenset(str(line["base"]) for line in rest if line.get("event") == "closing")
    return JournalHeader(str(header.get("base", "")), salts[-1] if salts else None, closing), rest


def mark_superseded(path: Path, new_base: str) -> None:
    """Note in a journal that was left behind that the checkpoint about to be written contains all of it."""
    with path.open("r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
        file.write(_line({"event": "closing", "base": new_base}))
        file.flush()
        os.fsync(file.fileno())


def replay(lines: list[PlainObject], known: Mapping[str, ResourceState], codec: Codec, path: Path) -> Iterator[Event]:
    """Yield the events that `lines` stand for; `known` are the live resources of the old snapshot.

    Raises
    ------
    MalformedStateError
        A line is not of the format.
    """
    for index, line in enumerate(lines, start=2):
        place = f"{path}:{index}"
        try:
            event = _event(line, known, codec, place)
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedStateError(place, f"unreadable journal line ({error})") from error
        if event is not None:
            yield event


def _event(line: PlainObject, known: Mapping[str, ResourceState], codec: Codec, place: str) -> Event | None:
    """Return the event of one line, None for a line that is about the journal itself."""
    kind = line["event"]
    number, urn = cast("int", line.get("n", 0)), str(line.get("urn", ""))
    stored: Plain = line.get("resource")
    state = ResourceState.from_json(stored, codec, place) if isinstance(stored, dict) else None
    event: Event | None = None
    if kind == "done":
        event = Done(number=number, new=state, replacing=bool(line["replacing"]))
    elif kind == "failed":
        event = Failed(number=number)
    elif kind == "same":
        event = Register(state=known[urn])
    elif kind == "outputs":
        event = Outputs(urn=urn, outputs=codec.decode(cast("PlainObject", line["outputs"]), f"{urn}#outputs"))
    elif kind == "resolve":
        event = Resolve(urn=urn)
    elif kind not in {"closing", "salt"}:
        event = _resource_event(str(kind), number, str(line.get("operation", "")), state)
    return event


def _resource_event(kind: str, number: int, operation: str, state: ResourceState | None) -> Event:
    if state is None:
        raise ValueError(kind)
    if kind == "begin":
        return Begin(number=number, operation=Operation(operation), state=state)
    if kind == "register":
        return Register(state=state)
    if kind == "forget":
        return Forget(state=state)
    raise ValueError(kind)
