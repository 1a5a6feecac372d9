"""Past spawns -> how many users of each profile were there at once.

Two sources are read, told apart by their first line: a table (CSV, with comma, semicolon or tab), as exported from the
hub's database or kept by the lab; and the hub's event log (JSON lines of ``server-action``, JupyterHub's documentation,
"Event logging and telemetry"). A line that cannot be read is named and left out.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from .demand import shared_out
from .errors import NoSpawnsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Spawn", "Spawns", "Usage", "load_spawns", "unnamed_shared_out", "usage_of"]

_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "user": ("user", "username", "user_name", "user_id", "hub_user", "name"),
    "profile": ("profile", "profile_slug", "slug", "user_options", "options"),
    "start": ("start", "started", "started_at", "start_time", "begin", "created"),
    "end": ("end", "ended", "ended_at", "end_time", "stop", "stopped", "stopped_at", "last_activity"),
}
"""Names a column may have: ours, and those of JupyterHub's database (``spawners.started``, ``user_options``,
``last_activity``; ``jupyterhub/orm.py``). The first that a file has is taken."""
_SERVER_ACTION: Final = re.compile(r"server-action")
_DIGITS: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?\Z")
_MILLISECONDS_FROM: Final = 10**11
"""Numbers of seconds since 1970 above this are milliseconds: as seconds it would be the year 5138."""
_OPEN: Final = frozenset({"", "null", "none", "nan", "\\n"})
"""What an export writes for no value: nothing, JSON's and Python's words, PostgreSQL's ``\\N``."""
PERCENTILE: Final = 0.95
"""Part of the time in which no more users were there than the figure says."""
UNKNOWN_PROFILE: Final = ""
"""Profile of a spawn whose source names none."""


@dataclass(frozen=True, kw_only=True)
class Spawn:
    """One server, from its start to its end."""

    user: str
    profile: str
    """Empty: not known."""
    start: float
    """Seconds since 1970."""
    end: float


@dataclass(frozen=True, kw_only=True)
class Spawns:
    """What a file of past spawns says."""

    spawns: tuple[Spawn, ...]
    remarks: tuple[str, ...]
    """What could not be read, each with its line, in the file's order."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """How many users were there at once."""

    spawns: int
    users: int
    """Different users."""
    peak: int
    """Most users at once, of all profiles."""
    peak_at: datetime
    percentile: int
    """Users at once that were exceeded during 5 % of the time in which anybody was there."""
    at_peak: Mapping[str, int]
    """Users by profile at the moment of the peak."""
    peaks: Mapping[str, int]
    """Most users at once of each profile, at whatever time."""
    percentiles: Mapping[str, int]
    """The 95th percentile of each profile, over the same time."""


def load_spawns(path: Path) -> Spawns:
    """Return the spawns a file tells of.

    Raises
    ------
    NoSpawnsError
        None could be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise NoSpawnsError(path, [error.strerror or "unreadable"]) from error
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    found = _events(lines) if first.lstrip().startswith("{") else _table(lines)
    if not found.spawns:
        raise NoSpawnsError(path, found.remarks)
    return found


def _table(lines: Sequence[str]) -> Spawns:
    header_at = next((index for index, line in enumerate(lines) if line.strip()), 0)
    header = lines[header_at] if lines else ""
    separator = max(",;\t", key=header.count)
    rows = csv.reader(lines[header_at:], delimiter=separator)
    names = [name.strip().strip('"').lower() for name in next(rows, list[str]())]
    places: dict[str, int | None] = {
        field: next((names.index(alias) for alias in aliases if alias in names), None)
        for field, aliases in _COLUMNS.items()
    }
    missing = [field for field in ("user", "start") if places[field] is None]
    if missing:
        known = ", ".join(f"{field} ({' or '.join(_COLUMNS[field])})" for field in missing)
        return Spawns(spawns=(), remarks=(f"line {header_at + 1}: the header names no column {known}",))
    spawns: list[Spawn] = []
    remarks: list[str] = []
    open_ended: list[tuple[int, str, str, float]] = []
    for row in rows:
        line = header_at + rows.line_num
        cells = {
            field: row[place].strip() if place is not None and place < len(row) else ""
            for field, place in places.items()
        }
        if not any(cells.values()):
            continue
        try:
            start = _moment(cells["start"])
            profile = _profile(cells["profile"])
            if _is_open(cells["end"]):
                _require_user(cells["user"])
                open_ended.append((line, cells["user"], profile, start))
                continue
            spawns.append(_spawn(cells["user"], profile, start, _moment(cells["end"])))
        except ValueError as error:
            remarks.append(f"line {line}: {error}")
    latest = max([spawn.end for spawn in spawns] + [start for *_, start in open_ended], default=0.0)
    spawns += [_spawn(user, profile, start, latest) for _, user, profile, start in open_ended]
    return Spawns(spawns=tuple(spawns), remarks=tuple(remarks))


def _events(lines: Sequence[str]) -> Spawns:
    """Read JupyterHub's event log: a server is there from its ``start`` to its ``stop``."""
    running: dict[tuple[str, str], tuple[float, str]] = {}
    spawns: list[Spawn] = []
    remarks: list[str] = []
    latest = 0.0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            event: object = json.loads(line)
            if not isinstance(event, dict):
                message = "no JSON object"
                raise ValueError(message)  # noqa: TRY301, TRY004 - one way for all that is wrong with a line
            fields: dict[str, object] = {str(key): value for key, value in event.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - raw JSON
            if not _SERVER_ACTION.search(str(fields.get("__schema__", ""))):
                continue
            moment = _moment(str(fields.get("__timestamp__", "")))
            user, server = str(fields.get("username", "")), str(fields.get("servername", ""))
            action = fields.get("action")
        except ValueError as error:
            remarks.append(f"line {number}: {error}")
            continue
        latest = max(latest, moment)
        if action == "start":
            running[user, server] = (moment, _profile(json.dumps(fields.get("user_options") or "")))
        elif action == "stop" and (user, server) in running:
            start, profile = running.pop((user, server))
            spawns.append(Spawn(user=user, profile=profile, start=start, end=max(start, moment)))
        elif action == "stop":
            remarks.append(f"line {number}: {user} stops a server whose start is not in the file")
        else:
            remarks.append(f"line {number}: no action {action!r} is known (start, stop)")
    spawns += [
        Spawn(user=user, profile=profile, start=start, end=latest) for (user, _), (start, profile) in running.items()
    ]
    return Spawns(spawns=tuple(spawns), remarks=tuple(remarks))


def _spawn(user: str, profile: str, start: float, end: float) -> Spawn:
    _require_user(user)
    if end < start:
        message = "it ends before it starts"
        raise ValueError(message)
    return Spawn(user=user, profile=profile, start=start, end=end)


def _require_user(user: str) -> None:
    if not user:
        message = "no user is named"
        raise ValueError(message)


def _is_open(text: str) -> bool:
    return text.lower() in _OPEN


def _moment(text: str) -> float:
    """Return seconds since 1970: of ISO 8601 (UTC where it names no zone, as JupyterHub keeps it) or a number."""
    if _DIGITS.match(text):
        number = float(text)
        return number / 1000 if number > _MILLISECONDS_FROM else number
    try:
        moment = datetime.fromisoformat(text.replace(" UTC", "+00:00"))
    except ValueError:
        message = f"{text!r} is no time (2026-05-11T10:02:13, with or without a zone, or seconds since 1970)"
        raise ValueError(message) from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _profile(text: str) -> str:
    """Return the profile a cell names: plainly, or in KubeSpawner's ``user_options``: ``{"profile": "gpu-small"}``."""
    if _is_open(text):
        return UNKNOWN_PROFILE
    if text.startswith(("{", '"')):
        try:
            options: object = json.loads(text)
        except ValueError:
            message = f"user options are no JSON: {text[:40]}"
            raise ValueError(message) from None
        if isinstance(options, dict):
            return str(options.get("profile") or UNKNOWN_PROFILE)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] - raw JSON
        return str(options)
    return text


def usage_of(spawns: Sequence[Spawn]) -> Usage:
    """Return how many were there at once; a server that ends when another starts makes room for it."""
    peak, peak_at, at_peak = 0, 0.0, Counter[str]()
    time_at: Counter[int] = Counter()
    time_of: dict[str, Counter[int]] = {spawn.profile: Counter() for spawn in spawns}
    peaks: Counter[str] = Counter()
    for start, end, present in _present(spawns):
        count = present.total()
        if count > peak:
            peak, peak_at, at_peak = count, start, Counter(present)
        for profile, here in present.items():
            peaks[profile] = max(peaks[profile], here)
        if count:
            weight = round((end - start) * 1000)
            time_at[count] += weight
            for profile, times in time_of.items():
                times[present[profile]] += weight
    return Usage(
        spawns=len(spawns),
        users=len({spawn.user for spawn in spawns}),
        peak=peak,
        peak_at=datetime.fromtimestamp(peak_at, UTC),
        percentile=_percentile(time_at),
        at_peak={profile: count for profile, count in sorted(at_peak.items()) if count},
        peaks=dict(sorted(peaks.items())),
        percentiles={profile: _percentile(times) for profile, times in sorted(time_of.items())},
    )


def unnamed_shared_out(at_peak: Mapping[str, int], slugs: Sequence[str]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return users by profile of today, and what was made of those whose profile is not known or is no more.

    They are counted with the others, in their proportion; where no profile is known at all, evenly.
    """
    known = {profile: count for profile, count in at_peak.items() if profile in slugs}
    strange = {profile: count for profile, count in at_peak.items() if profile not in slugs}
    total, lost = sum(at_peak.values()), sum(strange.values())
    if not lost:
        return known, ()
    named = ", ".join(f"{profile or 'no profile named'} ({count})" for profile, count in sorted(strange.items()))
    remark = f"{lost} of {total} users at the peak had no profile of today's: {named}; shared out over the others"
    shares: Mapping[str, float] = known or dict.fromkeys(slugs, 1.0)
    return shared_out(shares, total), (remark,)


def _present(spawns: Sequence[Spawn]) -> Iterator[tuple[float, float, Counter[str]]]:
    """Yield each stretch of time in which nobody comes or goes, with the users by profile: one object all along."""
    changes: dict[float, Counter[str]] = {}
    for spawn in spawns:
        # A server that ended within the second in which it started was there all the same, for that second.
        end = spawn.end if spawn.end > spawn.start else spawn.start + 1.0
        changes.setdefault(spawn.start, Counter())[spawn.profile] += 1
        changes.setdefault(end, Counter())[spawn.profile] -= 1
    moments = sorted(changes)
    present: Counter[str] = Counter()
    for start, end in zip(moments, [*moments[1:], moments[-1] if moments else 0.0], strict=True):
        for profile, change in changes[start].items():
            present[profile] += change
        yield start, end, present


def _percentile(time_at: Mapping[int, int]) -> int:
    """Return the least count that was not exceeded for `PERCENTILE` of the time; nearest rank."""
    whole, passed = sum(time_at.values()), 0
    for count in sorted(time_at):
        passed += time_at[count]
        if passed >= whole * PERCENTILE:
            return count
    return max(time_at, default=0)
