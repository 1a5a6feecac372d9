"""The copies there are, as the storage host tells of them, and the one that is taken. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final, cast

from .errors import AmbiguousCopiesError, MalformedTimeError, NoCopyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Copy", "Found", "Source", "choose", "of_host", "read_found", "read_time"]

SHORTEST_ID: Final = 4
"""Hexadecimal digits of a copy's id that are taken for it."""
SHORT_ID: Final = 8
"""Digits that are shown, as restic does."""


class Source(StrEnum):
    """Where a copy is."""

    LOCAL = "local"
    """A snapshot in the pool itself: there at once, and lost with it."""
    REPOSITORY = "repository"
    """The restic repository elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Copy:
    """One state that can be restored."""

    source: Source
    id: str
    """Full name of a snapshot, ``tank/homes@autosnap_...``, or id of a copy in the repository."""
    time: datetime
    host: str = ""
    """Host whose data it is, by its name in the stack file; empty for a local one."""
    bytes: int | None = None
    """What the file system held, where that is known."""

    @property
    def short(self) -> str:
        """Name that a person reads and may give to ``--snapshot``."""
        return self.id.partition("@")[2] if self.source is Source.LOCAL else self.id[:SHORT_ID]

    @property
    def label(self) -> str:
        """Name of the folder it is restored into."""
        return f"restored-{self.time.astimezone(UTC):%Y%m%dT%H%M%SZ}"

    def is_named(self, name: str) -> bool:
        """Tell whether a person means it by `name`."""
        if self.source is Source.LOCAL:
            return name in {self.id, self.short}
        return len(name) >= SHORTEST_ID and self.id.startswith(name)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a storage host answers."""

    copies: tuple[Copy, ...]
    own: str = ""
    """Name under which the host's own copies are in the repository."""
    no_repository: str | None = None
    """Why there is no repository to restore from."""
    is_there: bool = False
    """Whether the file system asked about exists."""


def read_found(records: Iterable[Sequence[str]]) -> Found:
    """Return what the host told, copies by time; lines nobody knows are passed over.

    Parameters
    ----------
    records
        Lines of its ``list``, their fields: ``local NAME creation|referenced NUMBER``, ``repository JSON``,
        ``no-repository WHY``, ``of HOST``, ``there DATASET``.
    """
    snapshots: dict[str, dict[str, int]] = {}
    copies: list[Copy] = []
    own, no_repository, is_there = "", None, False
    for record in records:
        match tuple(record):
            case ("local", name, "creation" | "referenced" as key, number) if number.isdigit():
                snapshots.setdefault(name, {})[key] = int(number)
            case ("repository", text):
                copies += _repository(text)
            case ("no-repository", why):
                no_repository = why
            case ("of", name):
                own = name
            case ("there", _):
                is_there = True
            case _:
                pass
    copies += [
        Copy(
            source=Source.LOCAL,
            id=name,
            time=datetime.fromtimestamp(facts["creation"], UTC),
            bytes=facts.get("referenced"),
        )
        for name, facts in snapshots.items()
        if "creation" in facts
    ]
    return Found(
        copies=tuple(sorted(copies, key=lambda copy: (copy.time, copy.source, copy.id))),
        own=own,
        no_repository=no_repository,
        is_there=is_there,
    )


def _repository(text: str) -> list[Copy]:
    try:
        listed: object = json.loads(text)
    except ValueError:
        return []
    entries = cast("list[object]", listed) if isinstance(listed, list) else []
    found: list[Copy] = []
    for entry in entries:
        fields = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
        identity, time, host = fields.get("id"), fields.get("time"), fields.get("hostname")
        if isinstance(identity, str) and isinstance(time, str) and isinstance(host, str):
            found.append(Copy(source=Source.REPOSITORY, id=identity, time=_restic_time(time), host=host))
    return found


def _restic_time(text: str) -> datetime:
    """Return a time as Go writes it (RFC 3339, up to nanoseconds)."""
    moment, dot, rest = text.partition(".")
    if dot:
        digits = len(rest) - len(rest.lstrip("0123456789"))
        text = f"{moment}.{rest[:digits][:6].ljust(6, '0')}{rest[digits:]}"
    return datetime.fromisoformat(text).astimezone(UTC)


def read_time(text: str) -> datetime:
    """Return the time a person gives; without a zone it is this machine's.

    Raises
    ------
    MalformedTimeError
        It is none.
    """
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise MalformedTimeError(text) from None


def of_host(found: Found, host: str | None) -> tuple[Copy, ...]:
    """Return the copies that are meant: the local ones, and in the repository those of one host.

    Parameters
    ----------
    found
        What there is.
    host
        Host whose copies are meant; None: its own, or those of the only other there is (it was given another name).

    Raises
    ------
    AmbiguousCopiesError
        There are copies of several other hosts only.
    """
    hosts = sorted({copy.host for copy in found.copies if copy.source is Source.REPOSITORY})
    if host is None:
        others = [name for name in hosts if name != found.own]
        if found.own not in hosts and len(others) > 1:
            raise AmbiguousCopiesError(own=found.own, others=others)
        host = found.own if found.own in hosts else next(iter(others), found.own)
    return tuple(copy for copy in found.copies if copy.source is Source.LOCAL or copy.host == host)


def choose(
    copies: Sequence[Copy], dataset: str, *, at: datetime | None, name: str | None, source: Source | None
) -> Copy:
    """Return the copy that is restored: the one of that name, else the newest one not later than a time.

    Of two of the same time the local one is taken: it is nearer.

    Parameters
    ----------
    copies
        Those that are meant (`of_host`).
    dataset
        File system, for what is said.
    at, name, source
        What the person asked for; None: anything.

    Raises
    ------
    NoCopyError
        None is like that; the nearest ones are told.
    """
    fitting = [
        copy
        for copy in copies
        if (source is None or copy.source is source)
        and (at is None or copy.time <= at)
        and (name is None or copy.is_named(name))
    ]
    if name is not None and len({copy.id for copy in fitting}) > 1:
        fitting = [copy for copy in fitting if name in {copy.id, copy.short}]
    if fitting:
        return max(fitting, key=lambda copy: (copy.time, copy.source is Source.LOCAL))
    asked = "".join(
        (
            "" if name is None else f" named {name}",
            "" if at is None else f" as old as {at:%Y-%m-%dT%H:%M:%SZ}",
            "" if source is None else f" in the {source}" if source is Source.REPOSITORY else " among its snapshots",
        )
    )
    if copies:
        oldest, newest = min(copies, key=lambda copy: copy.time), max(copies, key=lambda copy: copy.time)
        there = f"there are {len(copies)}, from {oldest.time:%Y-%m-%dT%H:%M:%SZ} to {newest.time:%Y-%m-%dT%H:%M:%SZ}"
    else:
        there = "there is none at all"
    raise NoCopyError(dataset=dataset, wanted=asked, there=there)
