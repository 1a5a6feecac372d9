"""One log file, written line by line as things happen."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from .files import create, rotate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from labctl.engine.plan import Step
    from labctl.engine.report import Failure, Report
    from labctl.graph.values import Value

__all__ = ["NoLog", "RunLog"]

MOST_BYTES: Final = 32 * 2**20
"""Bytes of one log; more is a program that talks without end, and the disk is the lab's."""


class NoLog:
    """The log of a run that keeps none."""

    path: Path | None = None
    """Where it is."""

    def line(self, text: str) -> None:
        """Write one line, or each of several."""

    def begin(self, arguments: Sequence[str]) -> None:
        """Write what the run was asked, and by which program."""

    def git(self, environment: Mapping[str, str]) -> None:
        """Write which revision of the project this is."""

    def plan(self, report: Report) -> None:
        """Write what a plan would change."""

    def started(self, step: Step) -> None:
        """Write that a step is under way."""

    def progressed(self, urn: str, message: str) -> None:
        """Write what a provider says of a resource."""

    def finished(self, step: Step, seconds: float, failure: Failure | None) -> None:
        """Write that a step is over."""

    def failures(self, report: Report) -> None:
        """Write what went wrong."""

    def hide(self, texts: Iterable[str]) -> None:
        """Keep texts that a person gave as secrets out of the log."""

    def hide_later(self, values: Callable[[], Iterable[Value]]) -> None:
        """Keep the secrets of these values out of the log; they are asked for when a line is written."""

    def end(self, exit_code: int) -> None:
        """Write how the run ended, and close the file."""


class RunLog(NoLog):
    """A log in a folder; see `NoLog` for what is written. Its methods may be called from many threads.

    Raises
    ------
    OSError
        The file cannot be made; nothing else of it ever raises.
    """

    def __init__(self, folder: Path, verb: str, *, most_bytes: int = MOST_BYTES) -> None:
        from .veil import GrowingVeil  # noqa: PLC0415 - shell completion loads this module and keeps no log

        self._began = time.monotonic()
        self._descriptor, self.path = create(folder, verb, datetime.now(UTC))
        self._veil = GrowingVeil()
        self._guard = threading.Lock()
        self._left = most_bytes
        self.problem: OSError | None = None
        """Why there is nothing more in the file."""
        rotate(folder)

    def line(self, text: str) -> None:
        """Write `text`, every line of it after the time, secrets hidden."""
        moment = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
        hidden = self._veil.hide(text).splitlines() or [""]
        # One write per line: what a killed run had to say is there.
        self._write("".join(f"{moment} {line}\n" for line in hidden).encode(errors="backslashreplace"))

    def begin(self, arguments: Sequence[str]) -> None:
        """Write what the run was asked: the arguments without texts that a person made up."""
        from importlib.metadata import version  # noqa: PLC0415 - only a run that is logged pays for it

        self._veil.add(_passphrases())
        machine = f"Python {platform.python_version()}, {platform.system()} {platform.release()}"
        self.line(f"labctl {version('research-compute')}, {machine}")
        self.line(f"arguments: {' '.join(_without_texts(arguments))}")

    def git(self, environment: Mapping[str, str]) -> None:
        """Write the revision, and whether the tree had changes of its own."""
        if "git.head" in environment:
            dirty = ", with changes that are not committed" if environment.get("git.dirty") == "true" else ""
            self.line(f"git: {environment['git.head']} {environment.get('git.headName', '')}{dirty}")

    def plan(self, report: Report) -> None:
        """Write each step that would change something, and the counts."""
        for step in report.changes():
            self.line(f"plan: {step.op.value} {step.urn}")
        self.line(f"plan: {_counts(report)}")
        for note in report.notes:
            self.line(f"note: {note}")

    def started(self, step: Step) -> None:
        """Write that `step` is under way; what it brings of secrets is known from now on."""
        state = step.new or step.old
        if state is not None:
            self._veil.add_values([dict(state.inputs)])
        self.line(f"begin {step.op.value} {step.urn}")

    def progressed(self, urn: str, message: str) -> None:
        """Write one line of a provider."""
        self.line(f"  {urn.rsplit('::', 1)[-1]}: {message}")

    def finished(self, step: Step, seconds: float, failure: Failure | None) -> None:
        """Write the step's end, what it took, and why it failed."""
        word = f"FAILED {step.op.value}" if failure else f"done {step.op.value}"
        self.line(f"{word} {step.urn} ({seconds:.3f}s)" + (f": {failure.message}" if failure else ""))

    def failures(self, report: Report) -> None:
        """Write the failures of a report, and its notes."""
        for note in report.notes:
            self.line(f"note: {note}")
        for failure in report.failures:
            self.line(f"failure: {failure.urn} {failure.message}")

    def hide(self, texts: Iterable[str]) -> None:
        """Keep what a person gave as a secret out of what is still to be written."""
        self._veil.add(texts)

    def hide_later(self, values: Callable[[], Iterable[Value]]) -> None:
        """Keep the secrets of a state out of what is still to be written."""
        self._veil.add_later(values)

    def end(self, exit_code: int) -> None:
        """Write the last line, and close the file."""
        self._left += 1024  # a log that was cut has its end all the same
        self.line(f"ended with exit code {exit_code} after {time.monotonic() - self._began:.3f}s")
        with self._guard, contextlib.suppress(OSError):
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)

    def _write(self, content: bytes) -> None:
        with self._guard:
            if self._descriptor < 0 or self._left <= 0 or self.problem is not None:
                return
            self._left -= len(content)
            if self._left <= 0:
                content += b"cut here: the log is as long as it may be\n"
            try:
                os.write(self._descriptor, content)
            except OSError as error:
                self.problem = error


def _counts(report: Report) -> str:
    return ", ".join(f"{count} {word}" for word, count in report.summary().items()) or "nothing"


def _passphrases() -> list[str]:
    """Return the passphrases that the environment gives."""
    return [text for text in (os.environ.get("PULUMI_CONFIG_PASSPHRASE"),) if text]


TEXT_OPTIONS: Final = ("--message", "-m")
"""Options whose value is a text that a person makes up; it is in the history, where it belongs."""
JOINED_TEXT: Final = re.compile(r"(-[a-ln-zA-Z]*m).+")
"""The short one with its text in the same word, alone or after flags: ``-mwhy``, ``-ymwhy``."""
ENDS_WITH_TEXT: Final = re.compile(r"-[a-ln-zA-Z]*m")
"""The short one last among flags: its text is the next word."""


def _without_texts(arguments: Sequence[str]) -> list[str]:
    shown: list[str] = []
    follows_text = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if follows_text:
            shown.append("…")
        elif name in TEXT_OPTIONS and equals:
            shown.append(f"{name}=…")
        elif joined := JOINED_TEXT.fullmatch(argument):
            shown.append(f"{joined[1]}…")
        else:
            shown.append(argument)
        ends = argument in TEXT_OPTIONS or ENDS_WITH_TEXT.fullmatch(argument) is not None
        follows_text = not follows_text and ends
    return shown
