"""A journal as objects of a bucket, so that it survives the loss of the machine that wrote it.

``<stack>.journal/<lock id>/<number>.jsonl``: each object, a segment, holds the lines that came up while the one before
it was being sent, and is there whole or not at all. The segments of one run are numbered from 1 without a gap, and each
is written only if nothing has its name: whoever takes a stack over puts a fence where the next one would go, and the
run before can begin nothing more (docs/decisions/0012-journal-in-a-bucket.md).
"""

from __future__ import annotations

from threading import Condition, Lock, Thread
from typing import TYPE_CHECKING, Final

from .exceptions import JournalFullError, MalformedStateError, StateWriteError
from .journal import ASK, TAKEN_OVER, Lines, closing_line, event_line, fence_line, is_fence
from .merge import Begin, Event, Failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .locks import StackLock
    from .resource import ResourceState
    from .s3_bucket import S3Bucket
    from .wire import Codec

__all__ = ["BucketJournal", "BucketJournalStore"]

DIGITS: Final = 6
"""Of a segment's number: names sort as numbers up to a million segments, an hour of operations without a pause."""
SUFFIX: Final = ".jsonl"
LINGER_SECONDS: Final = 0.02
"""How long the end of an operation waits for the beginning of the next to go with it: less than a write takes."""
REACHABLE_AGAIN: Final = "Run again when the bucket can be reached: nothing is lost"


class BucketJournalStore:
    """The journals of a stack in a bucket: at most one that counts, and fences of runs that were taken over.

    Parameters
    ----------
    bucket
        Where the stack's state is.
    folder
        ``.pulumi/stacks/<project>/<stack>.journal``; the official CLI passes it over, its stacks lie one level higher.
    """

    def __init__(self, bucket: S3Bucket, folder: str) -> None:
        self._bucket = bucket
        self._folder = folder

    @property
    def place(self) -> str:
        """The folder."""
        return f"{self._bucket.location.place}/{self._folder}"

    def read(self) -> tuple[bytes, ...]:
        """Return the lines of each run that has left some, or is writing them.

        Raises
        ------
        MalformedStateError
            A segment is missing between others.
        """
        while True:
            runs = self._runs()
            found = [self._bucket.read_many(keys) for keys in runs.values()]
            # One that has gone since it was listed belongs to a run that has just ended well.
            whole = [[piece for piece in pieces if piece is not None] for pieces in found]
            if all(len(one) == len(other) for one, other in zip(whole, found, strict=True)):
                return tuple(b"".join(pieces) for pieces in whole)

    def take_over(self, run: str) -> None:
        """Put a fence after the last segment of each run that has left some, unless it has one."""
        fenced = False
        while not fenced:
            fenced = True
            for keys in self._runs().values():
                last = self._bucket.read(keys[-1])
                if last is not None and not is_fence(last):
                    fenced = self._bucket.create(_next(keys[-1]), fence_line(run)) and fenced

    def mark_superseded(self, new_base: str) -> None:
        """Note in what was left that the checkpoint about to be written contains all of it."""
        for keys in self._runs().values():
            self._bucket.write(_next(keys[-1]), closing_line(new_base))

    def remove(self) -> None:
        """Remove what was left, the first segments first: what then has no first one is nobody's. Fences stay."""
        for keys in self._runs().values():
            pieces = self._bucket.read_many(keys)
            doomed = [key for key, piece in zip(keys, pieces, strict=True) if piece is None or not is_fence(piece)]
            self.remove_segments(doomed)

    def remove_segments(self, keys: Sequence[str]) -> None:
        """Remove the segments of one run, in their order."""
        for key in keys[:1]:
            self._bucket.delete(key)
        if rest := keys[1:]:
            self._bucket.delete_many(rest)

    def writer(self, codec: Codec, base: str, lock: StackLock) -> BucketJournal:
        """Return the journal of a run that holds `lock` and continues the checkpoint of checksum `base`."""
        return BucketJournal(self, self._bucket, f"{self._folder}/{lock.id}", Lines(codec, base), lock)

    def _runs(self) -> dict[str, list[str]]:
        """Return the segments of each run that still has its first one, in order."""
        runs: dict[str, list[str]] = {}
        for key in self._bucket.tree(self._folder):
            runs.setdefault(key.rpartition("/")[0], []).append(key)
        alive = {run: keys for run, keys in runs.items() if _number(keys[0]) == 1}
        for keys in alive.values():
            for expected, key in enumerate(keys, start=1):
                if _number(key) != expected:
                    if not self._bucket.exists(keys[0]):  # removed while it was listed, by a run that ends well
                        return self._runs()
                    place = f"{self.place}/{_name(key)}"
                    raise MalformedStateError(place, f"segment {expected} before it is missing")
        return alive


class BucketJournal:
    """A journal being written. Safe to use from many threads.

    A `Begin` waits until its segment is stored. The other events are sent soon and not waited for: they come before
    the next `Begin` in the order of segments, so what is known to have happened is stored before anything more begins,
    and a machine that dies in between leaves the operation pending, as one that dies a moment earlier does.
    """

    def __init__(self, store: BucketJournalStore, bucket: S3Bucket, folder: str, lines: Lines, lock: StackLock) -> None:
        self._store = store
        self._bucket = bucket
        self._folder = folder
        self._lines = lines
        self._lock = lock
        self._waiting: list[bytes] = []
        self._segment = b""
        self._in_segment = 0
        self._taken = 0
        self._stored = 0
        self._segments = 0
        self._failure: JournalFullError | None = None
        self._lost = False
        self._urgent = False
        self._awaited = False
        self._closed = False
        self._changed = Condition()
        self._sender = Lock()
        self._thread: Thread | None = None

    @property
    def failure(self) -> JournalFullError | None:
        """Why a line could not be stored, once that has happened."""
        return self._failure

    def append(self, event: Event, known: ResourceState | None = None, *, wait: bool = False) -> None:
        """Send `event`; a `Begin` and all before it are in the bucket when this returns.

        Raises
        ------
        JournalFullError
            It could not be stored; a `Begin` that perhaps was is followed by its end.
        """
        line = event_line(event, known, self._lines.codec)
        with self._changed:
            if self._closed:
                raise JournalFullError(self._store.place, "the run is over")
            if self._failure is not None and isinstance(event, Begin):
                raise self._failure
            mine = self._take(line)
            if wait:
                return
            self._urgent = True
            self._awaited = self._awaited or isinstance(event, Begin)
            self._start()
            self._changed.notify_all()
            if not isinstance(event, Begin):
                return
            self._changed.wait_for(lambda: self._stored >= mine or self._failure is not None)
            if self._stored < mine and self._failure is not None:
                self._take(event_line(Failed(number=event.number), None, self._lines.codec))
                raise self._failure

    def closing(self, new_base: str) -> None:
        """Store all lines, and that the checkpoint about to be written contains them; nothing if none was stored yet.

        Raises
        ------
        JournalFullError
            They could not be stored, or another run has taken over: the checkpoint must not be written.
        """
        with self._changed:
            begun = bool(self._segments or self._segment or self._urgent)
            if begun:
                self._take(closing_line(new_base))
            else:
                self._waiting.clear()
        if begun and not self._lost:
            self._send()
        elif not begun and not self._lock.present():
            self._fail(self._taken_over(), lost=True)
        if self._failure is not None and (self._lost or self._segment or self._waiting):
            raise self._failure

    def close(self, *, remove: bool) -> None:
        """End the journal: all lines stored if that can be, or its segments removed, those of the last run included."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        if remove:
            # Where the answer to the last write was lost, that segment may be there. After a take-over it is a fence.
            last = self._segments + (1 if self._segment and not self._lost else 0)
            try:
                self._store.remove_segments([self._key(number) for number in range(1, last + 1)])
            except StateWriteError:
                # The checkpoint is written, and the closing line says so: the next run removes what is left.
                return
        elif self._waiting and self._segments and not self._segment and not self._lost:
            self._send()

    def _take(self, line: bytes) -> int:
        self._waiting.append(line)
        self._taken += 1
        return self._taken

    def _start(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._work, name="journal", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._urgent or self._closed)
                if not self._urgent:
                    return
                self._changed.wait_for(lambda: self._awaited or self._closed, LINGER_SECONDS)
                self._urgent = self._awaited = False
            if not self._lost:
                self._send()

    def _send(self) -> None:
        """Store what waits, as one segment; after a failure first the segment that failed, with the same bytes.

        It may have been stored, and only its answer lost: the same bytes again are the same segment.
        """
        with self._sender:
            while self._next_segment():
                try:
                    self._put()
                except StateWriteError as error:
                    self._fail(JournalFullError(self._store.place, error.reason, REACHABLE_AGAIN))
                    return
                except Exception as error:  # noqa: BLE001 - a sender that dies would let every operation wait for ever
                    reason = f"unforeseen {type(error).__name__}: {error}"
                    self._fail(JournalFullError(self._store.place, reason, REACHABLE_AGAIN))
                    return
                if self._lost:
                    return
                with self._changed:
                    self._stored += self._in_segment
                    self._segments += 1
                    self._segment = b""
                    self._changed.notify_all()

    def _next_segment(self) -> bool:
        with self._changed:
            if not self._segment and self._waiting:
                self._segment = self._lines.preface() + b"".join(self._waiting)
                self._lines.kept()
                self._in_segment = len(self._waiting)
                self._waiting.clear()
            return bool(self._segment)

    def _put(self) -> None:
        key = self._key(self._segments + 1)
        if not self._bucket.create(key, self._segment):
            self._fail(self._taken_over(), lost=True)
        elif self._segments == 0 and not self._lock.present():
            # Whoever took over before there was a first segment could put no fence before it.
            self._bucket.delete(key)
            self._fail(self._taken_over(), lost=True)

    def _taken_over(self) -> JournalFullError:
        return JournalFullError(self._store.place, TAKEN_OVER, ASK)

    def _fail(self, failure: JournalFullError, *, lost: bool = False) -> None:
        with self._changed:
            self._failure = failure
            self._lost = self._lost or lost
            self._changed.notify_all()

    def _key(self, number: int) -> str:
        return f"{self._folder}/{number:0{DIGITS}}{SUFFIX}"


def _name(key: str) -> str:
    return "/".join(key.rsplit("/", 2)[1:])


def _number(key: str) -> int:
    name = key.rpartition("/")[2].removesuffix(SUFFIX)
    return int(name) if name.isdigit() else 0


def _next(key: str) -> str:
    return f"{key.rpartition('/')[0]}/{_number(key) + 1:0{DIGITS}}{SUFFIX}"
