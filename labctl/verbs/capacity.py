"""``labctl capacity``."""

from __future__ import annotations

import json
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labctl.capacity.plot import write_plot
from labctl.capacity.question import Asked, answer
from labctl.capacity.report import document
from labctl.capacity.tables import print_report
from labctl.lab import open_lab

from .session import StoppedError, error_console, output_console, teller

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = ["capacity"]


def capacity(stack: str, asked: Asked, *, as_json: bool, plot: Path | None) -> None:
    """Print how much the lab holds; nothing of the stack or its cluster is changed.

    Raises
    ------
    CapacityError
        The question has no answer: no profiles, no nodes, an unusable file, a cluster that does not answer.
    StoppedError
        The person asked to stop; nothing is left behind.
    """
    lab = open_lab(stack)
    errors, console = error_console(), output_console()
    with _interruptible():
        report = answer(lab, asked, teller(errors))
    if plot is not None:
        write_plot(plot, report)
    if as_json:
        console.print(json.dumps(document(report), indent=2), markup=False)
    else:
        print_report(console, report)


@contextmanager
def _interruptible() -> Generator[None]:
    """Turn Ctrl-C and SIGTERM into an exception, once: what was started is ended on the way out, undisturbed."""

    def stop(_number: int, _frame: object) -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        message = ""
        raise StoppedError(message)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
