"""The copies there are, and a restore as it goes."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from datetime import UTC
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from labctl import run_log
from labctl.restore.copies import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from rich.console import Console
    from rich.status import Status

    from labctl.restore.copies import Copy, Found

__all__ = ["WHERE", "Told", "copies_document", "print_copies", "size", "telling"]

WHERE: Final = {Source.LOCAL: "snapshot on the storage host", Source.REPOSITORY: "repository"}
SAY_EVERY_SECONDS: Final = 30.0
"""Between two lines about how far it is, where there is no terminal whose line could change."""
UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")
STEP: Final = 1024


def size(count: int) -> str:
    """Return a number of bytes as a person reads it: ``1.5 GiB``."""
    amount = float(count)
    for unit in UNITS[:-1]:
        if amount < STEP:
            return f"{amount:.0f} {unit}" if unit == UNITS[0] else f"{amount:.1f} {unit}"
        amount /= STEP
    return f"{amount:.1f} {UNITS[-1]}"


def print_copies(console: Console, dataset: str, found: Found) -> None:
    """Print the copies of a file system, the newest last, and why there are none elsewhere."""
    table = Table(title=f"Copies of {dataset}", title_justify="left", box=None, pad_edge=False)
    for heading in ("time (UTC)", "where", "of", "snapshot", "size"):
        table.add_column(heading, no_wrap=True)
    for copy in found.copies:
        table.add_row(
            f"{copy.time.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            WHERE[copy.source],
            Text(copy.host),
            Text(copy.short),
            "" if copy.bytes is None else size(copy.bytes),
        )
    console.print(table)
    if found.no_repository is not None:
        console.print(f"no repository: {found.no_repository}", markup=False)
    if not found.copies:
        console.print("there is no copy", markup=False)


def copies_document(stack: str, dataset: str, found: Found) -> str:
    """Return the same as JSON."""
    return json.dumps(
        {
            "version": 1,
            "stack": stack,
            "dataset": dataset,
            "exists": found.is_there,
            "noRepository": found.no_repository,
            "copies": [_entry(copy) for copy in found.copies],
        },
        indent=2,
    )


def copy_document(copy: Copy) -> dict[str, str | int | None]:
    """Return one copy as JSON has it."""
    return _entry(copy)


def _entry(copy: Copy) -> dict[str, str | int | None]:
    return {
        "time": copy.time.astimezone(UTC).isoformat(),
        "source": str(copy.source),
        "snapshot": copy.id,
        "host": copy.host or None,
        "bytes": copy.bytes,
    }


class Told:
    """What the host said, turned into lines as it comes; the rest is kept for who asks.

    Parameters
    ----------
    console
        For what is done.
    progress
        For how far it is; told of a text.
    """

    def __init__(self, console: Console, progress: Callable[[str], None]) -> None:
        self._console = console
        self._progress = progress
        self._total = 0
        self.said: list[str] = []
        """Every line, for whoever wants them as JSON."""
        self.pools_wait = False
        """Whether backups go on waiting, because not all that was backed up came back."""

    def __call__(self, record: Sequence[str]) -> None:
        """Take one line of the host's, its fields."""
        match tuple(record):
            case ("progress", done) if done.lstrip("-").isdigit():
                self._progress(f"{size(max(0, int(done)))} of {size(self._total)}")
            case ("counted", count, total) if total.isdigit():
                self._total += int(total)
                files = f"{count} files, " if count.isdigit() else f"{count}: "
                self._say(f"to come: {files}{size(int(total))}")
            case ("pools-not-accepted",):
                self.pools_wait = True
            case _:
                self._tell(record)

    def _tell(self, record: Sequence[str]) -> None:
        """Say what was, or would be, done with one file system."""
        match tuple(record):
            case ("kept", snapshot):
                self._say(f"what is there now stays in the snapshot {snapshot}")
            case ("made", dataset):
                self._say(f"made {dataset}")
            case ("restored", dataset, folder):
                self._say(f"restored {dataset} to {folder}")
            case ("already", dataset):
                self._say(f"restored before: {dataset}")
            case ("skipped", dataset, why):
                self._say(f"left alone: {dataset}: {why}")
            case ("would", folder):
                self._say(f"would be restored to {folder}")
            case ("would-make", dataset, total) if total.isdigit():
                self._say(f"would be made and restored: {dataset}, {size(int(total))}")
            case ("note", words):
                self._say(words)
            case _:
                pass

    def _say(self, line: str) -> None:
        self.said.append(line)
        run_log.current().line(line)
        self._console.print(line, markup=False)


@contextmanager
def telling(console: Console, errors: Console, doing: str) -> Generator[Told]:
    """Yield what turns the host's words into lines, with a line that changes on a terminal."""
    if errors.is_terminal:
        with errors.status(doing) as status:
            yield Told(console, lambda text: _update(status, f"{doing}: {text}"))
        return
    last = time.monotonic()

    def plain(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= SAY_EVERY_SECONDS:
            last = time.monotonic()
            errors.print(f"{doing}: {text}", markup=False)

    yield Told(console, plain)


def _update(status: Status, text: str) -> None:
    status.update(Text(text))
