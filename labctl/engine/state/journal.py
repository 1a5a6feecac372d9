"""The journal: what a run is doing, kept before it does it, so that saving costs the same for 5 resources and 5,000.

One JSON object per line; the first line says which checkpoint the journal continues. This module has the lines and what
they mean; `journal_file` keeps them in a file beside the checkpoint, `journal_bucket` as objects of a bucket.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

from labctl.engine.providers.base import Operation

from .exceptions import MalformedStateError
from .merge import Begin, Done, Event, Failed, Forget, Outputs, Register, Renamed, Resolve
from .resource import ResourceState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labctl.graph.values import Plain

    from .exceptions import JournalFullError
    from .locks import StackLock
    from .wire import Codec, PlainObject

__all__ = [
    "ASK",
    "TAKEN_OVER",
    "Journal",
    "JournalHeader",
    "JournalStore",
    "Lines",
    "checksum",
    "closing_line",
    "event_line",
    "fence_line",
    "is_fence",
    "read_journal",
    "replay",
]

JOURNAL_VERSION: Final = 1
"""Of the line format."""
TAKEN_OVER: Final = "this run's lock was released by somebody, and another run may have taken the stack over"
ASK: Final = "See who works on it (labctl locks); what this run had begun is pending in the state for the next one"
FENCE: Final = b'{"event":"fence"'
"""How a fence begins, see `fence_line`."""


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


class Journal(Protocol):
    """A journal being written. Safe to use from many threads; there is nothing to see of it before its first line."""

    @property
    def failure(self) -> JournalFullError | None:
        """Why a line could not be kept, once that has happened."""
        ...

    def append(self, event: Event, known: ResourceState | None = None, *, wait: bool = False) -> None:
        """Write `event`; when this returns for a `Begin`, it and all before it outlive this process.

        `known` is what the old snapshot has for a registered resource: the same is written as its URN only. `wait` lets
        the line wait for the next one.

        Raises
        ------
        JournalFullError
            The line could not be kept.
        """
        ...

    def closing(self, new_base: str) -> None:
        """Note that the checkpoint about to be written contains all of this journal.

        Raises
        ------
        JournalFullError
            That checkpoint must not be written.
        """
        ...

    def close(self, *, remove: bool) -> None:
        """End the journal: kept as it is, or removed because a checkpoint holds all of it."""
        ...


class JournalStore(Protocol):
    """Where the journals of one stack are."""

    @property
    def place(self) -> str:
        """For messages: the file or the folder."""
        ...

    def read(self) -> tuple[bytes, ...]:
        """Return what runs have left or are writing: the lines of each."""
        ...

    def take_over(self, run: str) -> None:
        """Make sure that no other run adds to what it has left; `run` holds the stack's lock now."""
        ...

    def mark_superseded(self, new_base: str) -> None:
        """Note in what was left that the checkpoint about to be written contains all of it."""
        ...

    def remove(self) -> None:
        """Remove what was left."""
        ...

    def writer(self, codec: Codec, base: str, lock: StackLock) -> Journal:
        """Return the journal of a run that holds `lock` and continues the checkpoint of checksum `base`."""
        ...


class Lines:
    """The lines of one run, put in order: the header before the first, the salt before the first secret under it."""

    def __init__(self, codec: Codec, base: str) -> None:
        self.codec = codec
        self._base = base
        self._salt: str | None = None
        self._begun = False

    def preface(self) -> bytes:
        """Return what must come before the next lines; the same again until `kept` is called."""
        salt = self.codec.manager.salt
        if not self._begun:
            return _line({"event": "open", "version": JOURNAL_VERSION, "base": self._base, "salt": salt})
        return b"" if salt == self._salt else _line({"event": "salt", "salt": salt})

    def kept(self) -> None:
        """Note that the last preface was written."""
        self._begun = True
        self._salt = self.codec.manager.salt


def event_line(event: Event, known: ResourceState | None, codec: Codec) -> bytes:
    """Return the line of an event; see `Journal.append` for `known`."""
    return _line(_event_json(event, known, codec))


def closing_line(new_base: str) -> bytes:
    """Return the line that says which checkpoint is to contain all lines before it."""
    return _line({"event": "closing", "base": new_base})


def fence_line(run: str) -> bytes:
    """Return the line that `run` puts where the run before it would have gone on writing."""
    return _line({"event": "fence", "by": run})


def is_fence(content: bytes) -> bool:
    """Tell whether `content` is a `fence_line`."""
    return content.startswith(FENCE)


def _line(content: PlainObject) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


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
    elif isinstance(event, Renamed):
        content = {"event": "renamed", "former": event.former, "urn": event.urn}
    else:
        content = {"event": "resolve", "urn": event.urn}
    return content


def read_journal(content: bytes, place: str) -> tuple[JournalHeader, list[PlainObject]] | None:
    """Return the header and the lines of a journal, without a torn last one; None when not even the header is whole.

    Raises
    ------
    MalformedStateError
        It is no journal, of another version, or damaged before its last line.
    """
    lines: list[PlainObject] = []
    for index, piece in enumerate(content.split(b"\n")[:-1], start=1):
        where = f"{place}:{index}"
        try:
            lines.append(json.loads(piece))
        except ValueError as error:
            raise MalformedStateError(where, "not a line of a journal") from error
    if not lines:
        return None
    header, *rest = lines
    if header.get("event") != "open" or header.get("version") != JOURNAL_VERSION:
        raise MalformedStateError(place, f"not a journal of version {JOURNAL_VERSION}")
    salts = [salt for line in lines if isinstance(salt := line.get("salt"), str)]
    closing = frozenset(str(line["base"]) for line in rest if line.get("event") == "closing")
    return JournalHeader(str(header.get("base", "")), salts[-1] if salts else None, closing), rest


def replay(lines: list[PlainObject], known: Mapping[str, ResourceState], codec: Codec, place: str) -> Iterator[Event]:
    """Yield the events that `lines` stand for; `known` are the live resources of the old snapshot.

    Raises
    ------
    MalformedStateError
        A line is not of the format.
    """
    for index, line in enumerate(lines, start=2):
        where = f"{place}:{index}"
        try:
            event = _event(line, known, codec, where)
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedStateError(where, f"unreadable journal line ({error})") from error
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
    elif kind == "renamed":
        event = Renamed(former=str(line["former"]), urn=urn)
    elif kind == "resolve":
        event = Resolve(urn=urn)
    elif kind not in {"closing", "fence", "salt"}:
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
