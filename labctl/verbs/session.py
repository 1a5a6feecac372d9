"""What the verbs that run the engine have in common."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Console

from labctl.display.progress import LiveTree, PlainLines
from labctl.engine.destruction import Gate
from labctl.engine.errors import ProtectedError
from labctl.errors import RefusedError, VerbError
from labctl.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Generator

    from labctl.control_plane import Progress
    from labctl.engine.report import Report
    from labctl.lab import Lab

__all__ = [
    "StoppedError",
    "confirm",
    "error_console",
    "gate_for",
    "output_console",
    "progress_view",
    "raise_failures",
    "refuse_destruction",
    "stoppable",
    "teller",
]

PIPE_WIDTH: Final = 200
"""Columns of a tree or a table that goes to a file: wide enough that no name of the program is cut."""
EVERYTHING: Final = "*"
"""Pattern of a gate that is open."""


class StoppedError(VerbError):
    """The person asked to stop."""

    exit_code = ExitCode.INTERRUPTED


def output_console() -> Console:
    """Return the console for results; a pipe has lines as long as it takes."""
    told = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, soft_wrap=True, width=None if told else PIPE_WIDTH)


def error_console() -> Console:
    """Return the console for failures and progress."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def teller(console: Console) -> Progress:
    """Return a callback that prints what is being done."""

    def tell(message: str) -> None:
        console.print(message, style="dim", markup=False)

    return tell


def progress_view(console: Console, heading: str) -> LiveTree | PlainLines:
    """Return a live tree on a terminal, plain lines elsewhere."""
    return LiveTree(console, heading) if console.is_terminal else PlainLines(console)


def gate_for(lab: Lab, allowed: tuple[str, ...]) -> Gate:
    """Return what may be destroyed: what was named, or everything where the environment is for throwing away."""
    return Gate((EVERYTHING,)) if lab.environment.destroyable else Gate(allowed)


def refuse_destruction(gate: Gate, report: Report) -> None:
    """Raise `RefusedError` when the plan in `report` would destroy what is protected or was not named.

    A plan that fails for another reason is not judged: `raise_failures` says what is wrong with it.
    """
    protected = [failure.error for failure in report.failures if isinstance(failure.error, ProtectedError)]
    refusals = [*protected, *gate.refusals(report.steps)]
    if refusals and len(protected) == len(report.failures):
        raise RefusedError([str(refusal) for refusal in refusals])


def confirm(question: str, *, yes: bool) -> None:
    """Return when the person agrees; without a terminal only ``--yes`` agrees."""
    if yes:
        return
    if not sys.stdin.isatty():
        message = "nobody to ask: say --yes"
        raise VerbError(message)
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        msg = ""
        raise StoppedError(msg)


def raise_failures(report: Report, console: Console, *, cancelled: threading.Event | None = None) -> None:
    """Print the failures in `report` and raise, if there are any."""
    for failure in report.failures:
        where = f"{failure.urn}\n  " if failure.urn else ""
        console.print("error: ", style="bold red", end="")
        console.print(f"{where}{failure.message}", markup=False)
    if cancelled is not None and cancelled.is_set():
        msg = ""
        raise StoppedError(msg)
    if report.failures:
        msg = ""
        raise VerbError(msg)


@contextmanager
def stoppable(console: Console) -> Generator[threading.Event]:
    """Yield an event that Ctrl-C or SIGTERM sets; a second Ctrl-C ends the process at once.

    What is under way then is in the journal, and the next run goes on from there.
    """
    cancelled = threading.Event()

    def stop(number: int, _frame: object) -> None:
        if cancelled.is_set():
            os._exit(128 + number)
        cancelled.set()
        console.print("stopping: what is under way is finished first; once more to end at once", style="yellow")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield cancelled
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
