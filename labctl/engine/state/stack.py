"""An open stack: its old state, and everything a run does to it, on disk as it happens."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING

from labctl.engine.providers.base import Operation

from .about import UpdateAbout
from .backend import StackFiles, UpdateKind, salt_of
from .exceptions import JournalFullError, JournalMismatchError, MalformedStateError, ReadOnlyStackError
from .journal import checksum, read_journal, replay
from .merge import Begin, Done, Event, Failed, Forget, Outputs, Register, Renamed, Resolve, merge
from .passphrase import SecretsManager
from .resource import ResourceState, now
from .snapshot import Snapshot
from .wire import Codec, collector_paused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from labctl.graph.values import Inputs

    from .journal import JournalHeader
    from .locks import StackLock
    from .passphrase import Passphrase
    from .wire import PlainObject

__all__ = ["Begun", "Stack", "open_stack"]


@dataclass(frozen=True)
class Begun:
    """An operation under way; give it to `Stack.done` or `Stack.failed`."""

    number: int
    operation: Operation
    state: ResourceState


class Stack:
    """A stack opened by `open_stack`. Its methods may be called from many threads.

    A run: for each resource, in an order where each comes after what it refers to, one of

    - ``register(state)`` for a component, or a resource no provider is asked to change;
    - ``begun = begin(operation, state)``, then the provider, then ``done(begun, new)`` or ``failed(begun)``;

    ``outputs(urn, outputs)`` for components and the stack, ``forget(state)`` for what a refresh found gone,
    ``resolve(urn)`` for an earlier run's pending operation that needed nothing, and ``close`` at the end. See
    `labctl.engine.state.merge` for how replacements are told.
    """

    def __init__(self, files: StackFiles, kind: UpdateKind, lock: StackLock, read: _Read) -> None:
        self.files = files
        self.kind = kind
        self.snapshot = read.snapshot
        """The state before this run, an earlier run's journal included."""
        self.codec = read.codec
        self.about: Callable[[], UpdateAbout] = UpdateAbout
        """What its entry in the history says of it; asked for when that is written."""
        self._base = read.content
        self._start = time.time()
        self._journal = files.journal.writer(read.codec, checksum(read.content), lock)
        self._events: list[Event] = []
        self._former: dict[str, str] = {}
        """What `snapshot` calls the resources that this run renamed."""
        self._number = 0
        self._guard = Lock()
        self._lock = lock
        self._closed = False

    @property
    def read_only(self) -> bool:
        """Tell whether it was opened for a preview."""
        return self.kind is UpdateKind.PREVIEW

    @property
    def broken(self) -> JournalFullError | None:
        """Why nothing more may be started: the disk took a line of the journal no more."""
        return self._journal.failure

    def begin(self, operation: Operation, state: ResourceState) -> Begun:
        """Note that a provider is about to be asked; on disk when this returns.

        `state` is the new state of a create or an update, without the outputs that only the provider knows, and the
        old one of a delete.

        Raises
        ------
        JournalFullError
            The note could not be written, now or earlier: the provider must not be asked.
        """
        if self._journal.failure is not None:
            raise self._journal.failure
        with self._guard:
            self._number += 1
            begun = Begun(self._number, operation, state)
        self._note(Begin(number=begun.number, operation=operation, state=self._stamped(state, operation)))
        return begun

    def done(self, begun: Begun, new: ResourceState | None = None, *, replacing: bool = False) -> None:
        """Note that the operation has happened, and what exists now; None after a delete.

        `replacing` says of a delete that a create will follow. A create of a URN that is still live is a replacement:
        the old resource stays in the state as one to be deleted.

        Raises
        ------
        JournalFullError
            The note could not be written: begin no more. `close` still writes it if there is room then; if not, the
            next run finds the operation pending.
        """
        stamped = None if new is None else self._stamped(new, begun.operation)
        self._note(Done(number=begun.number, new=stamped, replacing=replacing))

    def failed(self, begun: Begun) -> None:
        """Note that the operation is over and has changed nothing."""
        self._note(Failed(number=begun.number))

    def register(self, state: ResourceState) -> None:
        """Note a component, or a resource that stays as it is apart from what the program says about it."""
        self._note(Register(state=self._stamped(state, None)), wait=True)

    def renamed(self, former: str, urn: str) -> None:
        """Note that the resource of the URN `former` is called `urn` now, before anything else is noted about it."""
        self._former[urn] = former
        self._note(Renamed(former=former, urn=urn), wait=True)

    def outputs(self, urn: str, outputs: Inputs) -> None:
        """Note the outputs that a component or the stack has registered."""
        self._note(Outputs(urn=urn, outputs=outputs), wait=True)

    def forget(self, state: ResourceState) -> None:
        """Note that a resource is gone, or is kept without an owner, and no provider was asked to delete it."""
        self._note(Forget(state=state))

    def resolve(self, urn: str) -> None:
        """Note that the pending operations an earlier run left on `urn` are dealt with; `done` notes it by itself."""
        self._note(Resolve(urn=urn))

    def current(self) -> Snapshot:
        """Return the state as it is now."""
        with self._guard:
            events = tuple(self._events)
        return merge(self.snapshot, events)

    def close(
        self, *, succeeded: bool = True, changes: Mapping[str, int] | None = None, config: PlainObject | None = None
    ) -> Snapshot:
        """Write the state and a history entry, give the lock back, and return the state written.

        `changes` counts the steps by operation (``{"create": 3, "same": 5}``). A run that changed nothing does not
        touch the checkpoint.

        Raises
        ------
        StateWriteError
            The checkpoint could not be written; the journal stays, and the next run goes on from it.
        LockLeftError
            Everything is written, and the lock could not be removed.
        """
        if self.read_only or self._closed:
            self._closed = True
            return self.snapshot
        self._closed = True
        try:
            with collector_paused():
                merged = self.current()
                self._save(merged)
            about = self.about()
            self.files.write_history(
                self.kind,
                start=self._start,
                succeeded=succeeded,
                changes=changes or {},
                about=about if config is None else replace(about, config=config),
            )
        except BaseException:
            self._journal.close(remove=False)
            self._lock.release_if_possible()
            raise
        self._lock.release()
        return merged

    def abandon(self) -> None:
        """Give the lock back and leave everything else as a killed process would."""
        if not self._closed:
            self._closed = True
            self._journal.close(remove=False)
            self._lock.release_if_possible()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the stack, as failed when an exception is under way; one stopped before it began leaves nothing."""
        del error, traceback
        if kind is not None and not self._events:
            self.abandon()
        else:
            self.close(succeeded=kind is None)

    def _save(self, merged: Snapshot) -> None:
        if self._base is None or not _same(merged, self.snapshot):
            content = self.files.checkpoint(merged.to_json(self.codec))
            self._journal.closing(checksum(content))
            self.files.write_checkpoint(content, self._base)
        self._journal.close(remove=True)

    def _note(self, event: Event, *, wait: bool = False) -> None:
        if self.read_only or self._closed:
            raise ReadOnlyStackError(self.files.stack)
        known = self.snapshot.get(event.state.urn) if isinstance(event, Register) else None
        if not isinstance(event, Begin):
            self._remember(event)
        self._journal.append(event, known, wait=wait)
        if isinstance(event, Begin):
            self._remember(event)

    def _remember(self, event: Event) -> None:
        with self._guard:
            self._events.append(event)

    def _stamped(self, state: ResourceState, operation: Operation | None) -> ResourceState:
        """Fill in the times: a resource that no operation changed keeps those it had."""
        if operation is Operation.DELETING or (operation is None and state.created and state.modified):
            return state
        moment = now()
        old = self.snapshot.get(self._former.get(state.urn, state.urn))
        if operation is Operation.CREATING:
            return replace(state, created=moment, modified=moment)
        created = state.created or (old.created if old else "") or moment
        if operation is Operation.UPDATING:
            return replace(state, created=created, modified=moment)
        return replace(state, created=created, modified=state.modified or (old.modified if old else "") or moment)


def _same(one: Snapshot, other: Snapshot) -> bool:
    """Tell whether two snapshots hold the same, in whatever order: registrations come in another one every time."""

    def ordered(snapshot: Snapshot) -> list[ResourceState]:
        return sorted(snapshot.resources, key=lambda state: (state.urn, state.delete, state.id))

    return one.pending_operations == other.pending_operations and ordered(one) == ordered(other)


@dataclass(frozen=True)
class _Read:
    """What was found of a stack."""

    content: bytes | None
    """The checkpoint."""
    snapshot: Snapshot
    codec: Codec
    """To write with."""
    replayed: bool = False
    """True: `snapshot` has more than `content`, from a journal."""
    left: bool = False
    """True: there is a journal, whether it counts or not."""


def open_stack(
    files: StackFiles, kind: UpdateKind, *, passphrases: tuple[Passphrase, ...], salt: str | None = None
) -> Stack:
    """Return the stack with its state read, and locked unless `kind` is a preview.

    What an earlier run left in its journal is joined to the state, and written unless `kind` is a preview.

    Parameters
    ----------
    passphrases
        See `known_passphrases`.
    salt
        ``encryptionsalt:`` of the stack's file: what is sealed from now on is sealed under it. None: under the salt
        the state has, or a new one.

    Raises
    ------
    StackLockedError
        Another process is changing the stack.
    MalformedStateError, SnapshotIntegrityError, JournalMismatchError
        What is there cannot be used.
    PassphraseMissingError, WrongPassphraseError, CiphertextError
        It holds secrets that cannot be opened.
    StateWriteError
        The lock or the joined state cannot be written.
    """
    lock = files.lock()
    if kind is not UpdateKind.PREVIEW:
        lock.acquire()
    try:
        if kind is not UpdateKind.PREVIEW:
            files.refuse_official_journal()
            files.journal.take_over(lock.id)
        with collector_paused():
            read = read_stack(files, passphrases, salt)
            if kind is not UpdateKind.PREVIEW:
                read = settled(files, read)
    except BaseException:
        lock.release_if_possible()
        raise
    return Stack(files, kind, lock, read)


def read_stack(files: StackFiles, passphrases: tuple[Passphrase, ...], salt: str | None) -> _Read:
    """Return the state with what a run has left in its journal; see `open_stack`."""
    content, left = _consistent(files)
    deployment = files.parse_checkpoint(content)
    stored_salt = salt_of(deployment, files.checkpoint_key) if deployment is not None else None
    codecs = _Codecs(passphrases)
    codec = codecs.get(stored_salt)
    codec.manager.prefetch()
    snapshot = Snapshot() if deployment is None else Snapshot.from_json(deployment, codec, files.checkpoint_key)
    counting = _counting(files, content, left)
    if counting is not None:
        header, lines = counting
        events = replay(lines, snapshot.live, codecs.get(header.salt), files.journal.place)
        snapshot = merge(snapshot, events)
        stored_salt = stored_salt or header.salt
    return _Read(content, snapshot, codecs.for_writing(salt or stored_salt), counting is not None, bool(left))


def _counting(
    files: StackFiles, content: bytes | None, left: tuple[bytes, ...]
) -> tuple[JournalHeader, list[PlainObject]] | None:
    """Return the journal that the checkpoint does not contain yet, None when there is none."""
    counting: list[tuple[JournalHeader, list[PlainObject]]] = []
    for piece in left:
        journal = read_journal(piece, files.journal.place)
        if journal is None or checksum(content) in journal[0].superseded_by:
            continue
        if checksum(content) != journal[0].base:
            raise JournalMismatchError(files.journal.place, files.checkpoint_key)
        counting.append(journal)
    if len(counting) > 1:
        raise MalformedStateError(files.journal.place, f"{len(counting)} runs have left lines, and only one can count")
    return counting[0] if counting else None


def _consistent(files: StackFiles) -> tuple[bytes | None, tuple[bytes, ...]]:
    """Return checkpoint and journals as they were at one moment, even while another process is writing them."""
    content = files.read_checkpoint()
    while True:
        left = files.journal.read()
        again = files.read_checkpoint()
        if again == content:
            return content, left
        content = again


class _Codecs:
    """One codec per salt, so that ciphertexts are kept and each key is derived once."""

    def __init__(self, passphrases: tuple[Passphrase, ...]) -> None:
        self._passphrases = passphrases
        self._codecs: dict[str | None, Codec] = {}

    def get(self, salt: str | None) -> Codec:
        return self._codecs.setdefault(salt, Codec(SecretsManager(salt, self._passphrases)))

    def for_writing(self, salt: str | None) -> Codec:
        """Return the codec of `salt`, or one with a salt to be made if only a superseded passphrase opened that."""
        codec = self.get(salt)
        return Codec(SecretsManager(None, self._passphrases)) if codec.manager.superseded else codec


def settled(files: StackFiles, read: _Read) -> _Read:
    """Write what was replayed as the checkpoint, and remove the journal; the caller holds the stack's lock."""
    if not read.left:
        return read
    content = read.content
    if read.replayed:
        content = files.checkpoint(read.snapshot.to_json(read.codec))
        files.journal.mark_superseded(checksum(content))
        files.write_checkpoint(content, read.content)
    files.journal.remove()
    return replace(read, content=content, replayed=False, left=False)
