"""The hub's own SQLite, set up so that a start waits for the disk less often.

JupyterHub commits eighteen times per start, and each commit of SQLite's default journal waits for the disk several
times: with many starts at once most of the hub's time goes there. With a write-ahead log and ``synchronous=NORMAL`` a
commit waits for nothing. A crash of the hub loses nothing; a power failure may lose the last moments, never the
database's integrity (SQLite, "Write-Ahead Logging"). The log needs shared memory, which a network file system does not
give: there everything stays as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

__all__ = ["is_on_network", "quicken_sqlite"]

_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse", "fuse.glusterfs", "fuse.sshfs", "lustre", "beegfs"}
"""File systems another machine has a part in, as mounts name them (proc_pid_mountinfo(5)). FUSE may be one."""


class _Cursor(Protocol):
    def execute(self, statement: str) -> object: ...
    def fetchall(self) -> list[tuple[object, ...]]: ...
    def close(self) -> None: ...


class _Connection(Protocol):
    def cursor(self) -> _Cursor: ...


def is_on_network(path: Path, mounts: str) -> bool:
    """Return whether a file lies on a network file system.

    Parameters
    ----------
    path
        Absolute path of the file.
    mounts
        Content of ``/proc/self/mounts``.
    """
    best, kind = -1, ""
    for line in mounts.splitlines():
        _, place, found, *_ = line.split()
        # Blanks in a path are written as octal there.
        point = Path(place.replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), found
    return kind in _NETWORK or kind.startswith("fuse.")


def quicken_sqlite(mounts: Path = Path("/proc/self/mounts")) -> None:
    """Have every connection to a SQLite file on a disk of this machine use a write-ahead log."""
    from sqlalchemy import event  # noqa: PLC0415 - only the hub has it
    from sqlalchemy.engine import Engine  # noqa: PLC0415 - only the hub has it

    def connected(connection: _Connection, _record: object) -> None:
        if type(connection).__module__.partition(".")[0] != "sqlite3":
            return
        cursor = connection.cursor()
        try:
            cursor.execute("PRAGMA database_list")
            # One in memory has no file.
            file = next((str(row[2]) for row in cursor.fetchall() if row[1] == "main"), "")
            if file and not is_on_network(Path(file).resolve(), mounts.read_text(encoding="utf-8")):
                cursor.execute("PRAGMA journal_mode=WAL")
                cursor.execute("PRAGMA synchronous=NORMAL")
        finally:
            cursor.close()

    event.listen(Engine, "connect", connected)
