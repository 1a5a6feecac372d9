"""A bundle's list for people, and its progress while it is fetched."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from .contents import Contents

__all__ = ["Bars", "Lines", "print_contents"]

LINE_SECONDS: Final = 5.0
"""Between two lines of progress in a log: often enough to see that it lives, seldom enough to read the rest."""
MIB: Final = 1024**2


def print_contents(console: Console, contents: Contents) -> None:
    """Print the list as tables, one per kind; a kind of which there is nothing is left out."""
    if contents.files:
        table = _table("Files for hosts", "name", "version", "arch", "URL", "sha256")
        for file in contents.files:
            table.add_row(file.name, file.version, file.architecture, file.url, f"{file.sha256[:12]}...")
        console.print(table)
    for packages in contents.packages:
        console.print(f"Packages of {packages.distribution}, with what they depend on", style="bold")
        console.print(f"  {' '.join(packages.names)}", markup=False)
    if contents.images:
        table = _table("Images", "image", "wanted by")
        for image in contents.images:
            reference = image.parsed
            shown = (
                f"{reference.key}@{reference.digest[:19]}..." if reference.digest else f"{reference.key} (by its tag)"
            )
            table.add_row(shown, ", ".join(image.wanted_by))
        console.print(table)
    if contents.charts:
        table = _table("Charts", "chart", "version", "repository")
        for chart in contents.charts:
            table.add_row(chart.chart, chart.version, chart.repository)
        console.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


class Lines:
    """Progress as plain lines, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._parts = self._done = self._bytes = 0
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._say()

    def expect(self, parts: int) -> None:
        """Count so many more parts."""
        with self._lock:
            self._parts += parts

    def advance(self, count: int) -> None:
        """Count bytes; now and then a line says how many."""
        with self._lock:
            self._bytes += count
            due = time.monotonic() - self._said >= LINE_SECONDS
            if due:
                self._said = time.monotonic()
        if due:
            self._say()

    def done(self, what: str) -> None:
        """Count one part."""
        del what
        with self._lock:
            self._done += 1

    def failed(self, what: str, reason: str) -> None:
        """Print what cannot be had; the reasons come at the end, together."""
        del reason
        self._console.print(f"missing: {what}", markup=False)

    def _say(self) -> None:
        line = f"{self._done} of {self._parts} parts there, {self._bytes / MIB:.1f} MiB received"
        self._console.print(line, markup=False)


class Bars:
    """Progress on a terminal: parts that are there, bytes received."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=console,
            transient=True,
        )
        self._parts = self._progress.add_task("parts", total=0)
        self._total = 0
        self._bytes = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def expect(self, parts: int) -> None:
        """Lengthen the bar."""
        with self._lock:
            self._total += parts
            self._progress.update(self._parts, total=self._total)

    def advance(self, count: int) -> None:
        """Say how much came."""
        with self._lock:
            self._bytes += count
            self._progress.update(self._parts, description=f"{self._bytes / MIB:.0f} MiB received, parts")

    def done(self, what: str) -> None:
        """Move the bar on."""
        del what
        self._progress.advance(self._parts)

    def failed(self, what: str, reason: str) -> None:
        """Print what cannot be had above the bar; the reasons come at the end, together."""
        del reason
        self._progress.console.print(f"missing: {what}", markup=False)
