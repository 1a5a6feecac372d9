"""The processes of one control plane: started detached, recognised for certain, and only then ended."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from .errors import ProcessSurvivedError
from .pki import write_private
from .progress import Progress

__all__ = ["MARK", "ProcessRecord", "ProcessTable", "end_marked", "ended", "memory_bytes"]

POLL_SECONDS = 0.02
"""Between two looks at a process that is ending."""

KILL_SECONDS = 5.0
"""After SIGKILL: the kernel needs milliseconds, unless the process hangs in it."""

MARK = "LABCTL_PROCESS_OF"
"""Variable that says whose a process is, and that of its children, however they were started."""

LOG_LIMIT_BYTES = 10 << 20
"""A log longer than this is set aside (one generation) when its component starts."""


@dataclass(frozen=True, kw_only=True)
class ProcessRecord:
    """One process, so that no other can be taken for it."""

    pid: int
    start_ticks: int
    """Start time in clock ticks since boot: /proc/<pid>/stat, field 22."""
    boot_id: str
    """Of the boot it started in: pids and ticks begin anew after a reboot."""
    command: tuple[str, ...]
    fingerprint: str
    """Of everything that decides how it runs; a different one means it must be restarted."""


_RECORD = TypeAdapter(ProcessRecord)


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _stat(pid: int) -> tuple[str, int] | None:
    """Return state letter and start ticks of a process, None if there is none or it is a zombie."""
    # A child of ours that has ended stays a zombie until it is waited for.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in brackets may itself hold brackets and spaces: fields are counted from the last bracket.
    fields = text.rpartition(")")[2].split()
    # A killed process counts as there until its last thread is gone: only then are its ports and locks free.
    gone = fields[0] == "X" or (fields[0] == "Z" and int(fields[17]) <= 1)
    return None if gone else (fields[0], int(fields[19]))


def _command(pid: int) -> tuple[str, ...]:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(os.fsdecode(part) for part in raw.rstrip(b"\0").split(b"\0")) if raw else ()


def ended(record: ProcessRecord) -> bool:
    """Return whether this very process is gone (its pid may meanwhile be another's)."""
    stat = _stat(record.pid)
    return stat is None or stat[1] != record.start_ticks or record.boot_id != _boot_id()


def end_marked(mark: str) -> tuple[int, ...]:
    """Kill every process whose variable `MARK` begins with `mark`, and return their pids: what no record leads to."""
    wanted = f"\0{MARK}={mark}".encode()
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            variables = (entry / "environ").read_bytes()
        except OSError:
            # Gone meanwhile, or somebody else's.
            continue
        if wanted in b"\0" + variables and int(entry.name) != os.getpid():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(entry.name), signal.SIGKILL)
                found.append(int(entry.name))
    return tuple(found)


def memory_bytes(pid: int) -> int:
    """Return the resident memory of a process; 0 if it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


class ProcessTable:
    """The recorded processes of one control plane.

    Parameters
    ----------
    directory
        The control plane's; every command line of its processes names it.
    records
        Folder of one JSON file per component.
    logs
        Folder of one log per component.
    """

    def __init__(self, *, directory: Path, records: Path, logs: Path) -> None:
        self._directory = directory
        self._records = records
        self._logs = logs

    def log_of(self, component: str) -> Path:
        """Return where the component writes its log."""
        return self._logs / f"{component}.log"

    def find(self, component: str, progress: Progress) -> ProcessRecord | None:
        """Return the running process of a component, recorded or not; None if there is none.

        A record whose pid belongs to another process now is dropped, and that process left alone. A process of ours
        without a record (its starter was killed in between) is known by its command line, which names our directory.
        """
        record = self._read(component)
        if record is not None:
            stat = _stat(record.pid) if record.boot_id == _boot_id() else None
            command = _command(record.pid)
            # A process that is just ending shows no command line; pid, start time and boot are its identity already.
            if stat is not None and stat[1] == record.start_ticks and command in {record.command, ()}:
                return record
            if stat is not None:
                other = " ".join(command)[:80]
                progress(f"pid {record.pid}, recorded for {component}, is now another process ({other}): left alone")
            self.forget(component)
        return self._unrecorded(component)

    def launch(
        self, component: str, command: Sequence[str], *, environment: Mapping[str, str], fingerprint: str
    ) -> ProcessRecord:
        """Start a component in a session of its own, logging to `log_of`, and record it."""
        log = self.log_of(component)
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))
        pid = os.posix_spawn(
            command[0],
            list(command),
            dict(environment),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=[],
            # Python ignores these, and an ignored signal is inherited.
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
        stat = _stat(pid)
        # The call returns in the middle of the kernel's exec, when the command line cannot be read yet.
        while stat is not None and not _command(pid):
            time.sleep(POLL_SECONDS)
            stat = _stat(pid)
        record = ProcessRecord(
            pid=pid,
            start_ticks=stat[1] if stat else 0,
            boot_id=_boot_id(),
            command=tuple(command),
            fingerprint=fingerprint,
        )
        self._write(component, record)
        return record

    def end(self, components: Iterable[str], *, grace_seconds: float, progress: Progress) -> tuple[str, ...]:
        """Leave none of these components running and return which were: asked first, killed after `grace_seconds`.

        Raises
        ------
        ProcessSurvivedError
            One is still there after SIGKILL.
        """
        running = {component: record for component in components if (record := self.find(component, progress))}
        for record in running.values():
            _send(record, signal.SIGTERM)
        left = _wait(running, grace_seconds)
        for component, record in left.items():
            progress(f"{component} did not stop within {grace_seconds:.0f} s; killing it")
            _send(record, signal.SIGKILL)
        for component, record in _wait(left, KILL_SECONDS).items():
            raise ProcessSurvivedError(component=component, pid=record.pid)
        for component in running:
            self.forget(component)
        return tuple(running)

    def forget(self, component: str) -> None:
        """Drop the record of a component; no process is touched."""
        (self._records / f"{component}.json").unlink(missing_ok=True)

    def _read(self, component: str) -> ProcessRecord | None:
        try:
            return _RECORD.validate_json((self._records / f"{component}.json").read_bytes())
        except (OSError, ValueError):
            # Missing, cut off or from another version: the command line still tells our processes apart.
            return None

    def _write(self, component: str, record: ProcessRecord) -> None:
        self._records.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self._records / f"{component}.json", _RECORD.dump_json(record, indent=1))

    def _unrecorded(self, component: str) -> ProcessRecord | None:
        ours = f"{self._directory}/"
        for entry in Path("/proc").glob("[0-9]*"):
            pid = int(entry.name)
            command = _command(pid)
            # A program that is a script stands after its interpreter.
            if component not in {Path(argument).name for argument in command[:3]} or not any(
                ours in argument for argument in command[1:]
            ):
                continue
            stat = _stat(pid)
            if stat and entry.stat().st_uid == os.getuid():
                # Its fingerprint is not known, so it will count as outdated and be restarted.
                return ProcessRecord(pid=pid, start_ticks=stat[1], boot_id=_boot_id(), command=command, fingerprint="")
        return None


def _send(record: ProcessRecord, number: signal.Signals) -> None:
    if not ended(record):
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, number)


def _wait(records: Mapping[str, ProcessRecord], seconds: float) -> dict[str, ProcessRecord]:
    """Return those that are still there after `seconds`."""
    deadline = time.monotonic() + seconds
    left = dict(records)
    while left and time.monotonic() < deadline:
        left = {component: record for component, record in left.items() if not ended(record)}
        if left:
            time.sleep(POLL_SECONDS)
    return left
