"""One round: the directory read, the table written if it has to change."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from .cluster import StoredTable
from .errors import NobodyFoundError
from .table import Rules, decide

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from pathlib import Path

    from .cluster import TableObject
    from .settings import DirectorySettings, SyncSettings
    from .table import Snapshot

__all__ = ["Sync", "read_password"]

STAMP_EVERY = dt.timedelta(minutes=15)
"""How old the note of the last good read may grow while nothing changes: everybody who watches gets the whole table
with it."""


class Sync:
    """Rounds of one program.

    Parameters
    ----------
    settings
        What the stack file decides.
    stored
        The table's ConfigMap.
    read
        Reads the directory: `directory.read_directory`.
    log
        Where is said what changed, and who is left out; each of these once, until it changes.
    """

    def __init__(
        self,
        settings: SyncSettings,
        stored: TableObject,
        read: Callable[[DirectorySettings, str | None], Snapshot],
        log: logging.Logger,
    ) -> None:
        self._settings, self._stored, self._read, self._log = settings, stored, read, log
        self._said: frozenset[str] = frozenset()

    def once(self, password: str | None, now: dt.datetime) -> bool:
        """Bring the table in step with the directory; return whether it changed.

        Parameters
        ----------
        password
            Of who looks people up.
        now
            The moment, with its zone.

        Raises
        ------
        RoundError
            If it was not brought in step; it is as it was.
        """
        settings = self._settings
        before = self._stored.read() or StoredTable()
        snapshot = self._read(settings["directory"], password)
        rules = Rules(_pair(settings["uids"]), _pair(settings["gids"]), settings["mostLost"])
        decision = decide(snapshot.people, snapshot.groups, before.rows, rules)
        self._say(decision.left_out)
        if not decision.users:
            users = settings["directory"]["users"]
            raise NobodyFoundError(users["base"], users["filter"])
        is_changed = decision.table != before.rows
        if is_changed:
            self._stored.write(decision.table)
            added = len(decision.table.keys() - before.rows.keys())
            gone = len(before.rows.keys() - decision.table.keys())
            self._log.info("%d users; %d rows new, %d gone, others changed or as before", decision.users, added, gone)
        if is_changed or _is_old(before.last_good_read, now):
            self._stored.stamp(_text(now))
        return is_changed

    def _say(self, left_out: list[str]) -> None:
        for sentence in sorted(set(left_out) - self._said):
            self._log.warning("left out: %s", sentence)
        self._said = frozenset(left_out)


def read_password(path: Path) -> str | None:
    """Return the bind password out of its file; None where there is no file. A line's end after it is not part of it.

    Raises
    ------
    OSError
        If there is a file that cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n")
    except FileNotFoundError:
        return None


def _pair(numbers: list[int]) -> tuple[int, int]:
    first, last = numbers
    return first, last


def _text(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_old(stamp: str | None, now: dt.datetime) -> bool:
    try:
        return stamp is None or now - dt.datetime.fromisoformat(stamp) >= STAMP_EVERY
    except ValueError:
        return True
