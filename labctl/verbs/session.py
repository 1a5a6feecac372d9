"""What the verbs that run the engine have in common."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.console import Console

from labctl import run_log
from labctl.display.progress import LiveTree, LoggedView, PlainLines
from labctl.display.result import result_json
from labctl.engine.destruction import Gate
from labctl.engine.errors import ProtectedError
from labctl.errors import LabError, RefusedError, ShownFailuresError, VerbError
from labctl.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from labctl.control_plane import Progress
    from labctl.engine.report import Report
    from labctl.graph.values import Plain
    from labctl.lab import Lab

__all__ = [
    "Asked",
    "StoppedError",
    "UnansweredQuestionError",
    "confirm",
    "error_console",
    "gate_for",
    "output_console",
    "print_json",
    "progress_view",
    "raise_failures",
    "refuse_destruction",
    "stoppable",
    "stopped_in_order",
    "teller",
]

PIPE_WIDTH: Final = 200
"""Columns of a tree or a table that goes to a file: wide enough that no name of the program is cut."""
EVERYTHING: Final = "*"
"""Pattern of a gate that is open."""


class UnansweredQuestionError(LabError):
    """A script that has not said yes."""

    exit_code = ExitCode.USAGE

    def __init__(self) -> None:
        super().__init__("--json asks no questions: say --yes, too")


class StoppedError(VerbError):
    """The person asked to stop."""

    exit_code = ExitCode.INTERRUPTED


class _OwnConsole(Console):
    """A console whose reader may go away (``| head``) and takes no run with it: what was begun is finished, unheard."""

    def on_broken_pipe(self) -> None:
        """Say nothing more, also not when the process ends and what is buffered is written."""
        self.quiet = True
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.file.fileno())
            os.close(nowhere)


def output_console() -> Console:
    """Return the console for results; a pipe has lines as long as it takes."""
    told = sys.stdout.isatty() or "COLUMNS" in os.environ
    return _OwnConsole(highlight=False, soft_wrap=True, width=None if told else PIPE_WIDTH)


def error_console() -> Console:
    """Return the console for failures and progress."""
    return _OwnConsole(stderr=True, highlight=False, soft_wrap=True)


def teller(console: Console) -> Progress:
    """Return a callback that prints what is being done."""

    def tell(message: str) -> None:
        console.print(message, style="dim", markup=False)
        run_log.current().line(message)

    return tell


def progress_view(console: Console, heading: str) -> LoggedView:
    """Return a live tree on a terminal, plain lines elsewhere; both in the run's log, too."""
    view = LiveTree(console, heading) if console.is_terminal else PlainLines(console)
    return LoggedView(view, run_log.current())


def print_json(shape: Plain) -> None:
    """Print a result as JSON, and nothing else, on stdout."""
    sys.stdout.write(json.dumps(shape, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


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


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How a person wants a changing verb to speak: to them, or as JSON to a script."""

    message: str = ""
    """What the history says of the run."""
    as_json: bool = False
    yes: bool = False

    def console(self) -> Console:
        """Return where what a person reads goes: stdout, or stderr when stdout is for the JSON."""
        return error_console() if self.as_json else output_console()

    def confirm(self, question: str) -> None:
        """Return when the person agrees; a script has agreed before, by ``--yes``.

        Raises
        ------
        UnansweredQuestionError
            ``--json`` without it.
        """
        if self.as_json and not self.yes:
            raise UnansweredQuestionError
        confirm(question, yes=self.yes)

    def result(self, report: Report, began: float) -> dict[str, Plain]:
        """Return what was done, in the shape of a plan; printed at once where something failed."""
        shape = result_json(report, seconds=time.monotonic() - began)
        if self.as_json and report.failures:
            print_json(shape)
        return shape


def raise_failures(report: Report, console: Console, *, cancelled: threading.Event | None = None) -> None:
    """Print the failures in `report` and raise, if there are any."""
    run_log.current().failures(report)
    for failure in report.failures:
        where = f"{failure.urn}\n  " if failure.urn else ""
        console.print("error: ", style="bold red", end="")
        console.print(f"{where}{failure.message}", markup=False)
    if cancelled is not None and cancelled.is_set():
        msg = ""
        raise StoppedError(msg)
    if report.failures:
        raise ShownFailuresError([(failure.urn, failure.message) for failure in report.failures])


@contextmanager
def stoppable(console: Console) -> Generator[threading.Event]:
    """Yield an event that Ctrl-C or SIGTERM sets; a second Ctrl-C ends the process at once.

    What is under way then is in the journal, and the next run goes on from there.
    """
    cancelled = threading.Event()

    def stop(number: int) -> None:
        if cancelled.is_set():
            os._exit(128 + number)
        cancelled.set()
        console.print("stopping: what is under way is finished first; once more to end at once", style="yellow")

    with _handling(stop):
        yield cancelled


@contextmanager
def stopped_in_order(console: Console, words: str) -> Generator[threading.Event]:
    """Yield an event that Ctrl-C and SIGTERM set, however often; `words` say what is done before the process ends."""
    cancelled = threading.Event()

    def stop(_number: int) -> None:
        cancelled.set()
        console.print(f"stopping: {words}", style="yellow")

    with _handling(stop):
        yield cancelled


@contextmanager
def _handling(stop: Callable[[int], None]) -> Generator[None]:
    """Have Ctrl-C and SIGTERM call `stop`; the handlers from before come back."""
    before = {
        number: signal.signal(number, lambda number, _frame: stop(number)) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
