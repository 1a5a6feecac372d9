"""``python -m components.gpu.reslice [release]``: a plan on standard input, a kubeconfig in the environment.

Without an argument the nodes of the plan's group are brought to where it wants them. ``release`` gives the group's
labels up. Exit codes: `Exit`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from enum import IntEnum
from threading import Event
from typing import TYPE_CHECKING

from .cluster import Cluster, connect
from .document import CONTEXT, KUBECONFIG, parse
from .errors import ApiAwayError, ApiRefusedError, DocumentError, KubeconfigError, ResliceError
from .patience import Patience
from .release import release_group, release_left
from .runner import API_PATIENCE_SECONDS, Run
from .steps import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from .document import ReslicePlan
    from .steps import Report

RELEASE = "release"
RELEASE_PATIENCE_SECONDS = 60.0
"""How long an API server may be away while labels are given up: a cluster that is gone for good needs no longer."""
RETRY_SECONDS = 1.0


class Exit(IntEnum):
    """What the command ends with; after BSD's sysexits.h where it has a word for it."""

    OK = 0
    """Every node is as planned."""
    USAGE = 64
    """The plan or the kubeconfig is not usable; nothing was done."""
    UNAVAILABLE = 69
    """The API server was away for too long or refuses, or another run took over."""
    ROLLED_BACK = 70
    """A node did not come back as planned; it is as it was before, or has nothing to go back to."""
    STUCK = 71
    """A node came back neither as planned nor as before, and stays cordoned: somebody has to look."""
    BUSY = 75
    """A node was busy for too long, or not there; it is as it was, and another run may succeed."""
    INTERRUPTED = 130
    TERMINATED = 143


class _Stop:
    """Notes the first SIGINT or SIGTERM, and that nobody listens any more."""

    def __init__(self) -> None:
        self.event = Event()
        self.signal: int | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.signal = number
        self.event.set()

    def say(self, line: str) -> None:
        try:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
        except BrokenPipeError:
            # Whoever started this was killed, and may run it again: two at once would be one too many.
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for the rest of the process
            self.event.set()

    @property
    def exit(self) -> Exit:
        return Exit.TERMINATED if self.signal == signal.SIGTERM else Exit.INTERRUPTED


def main(arguments: list[str]) -> int:
    """Run the command, and return its exit code."""
    stop = _Stop()
    try:
        plan = parse(sys.stdin.read())
        client = connect(os.environ.get(KUBECONFIG), os.environ.get(CONTEXT))
        cluster = Cluster(client, manager=plan.manager, namespace=plan.namespace)
        if arguments == [RELEASE]:
            return _insist(lambda: release_group(cluster, plan, stop.say), stop, RELEASE_PATIENCE_SECONDS)
        return _reslice(plan, cluster, stop)
    except (DocumentError, KubeconfigError) as error:
        sys.stderr.write(f"reslice: {error}\n")
        return Exit.USAGE
    except ResliceError as error:
        sys.stderr.write(f"reslice: {error}\n")
        return Exit.UNAVAILABLE


def _reslice(plan: ReslicePlan, cluster: Cluster, stop: _Stop) -> int:
    run = Run(plan, cluster, stop.event, stop.say)
    try:
        reports = run.to_end()
    except (ApiAwayError, ApiRefusedError):
        for line in run.left():
            stop.say(line)
        raise
    if reports is None:
        for line in run.left():
            stop.say(line)
        return stop.exit
    if (status := _insist(lambda: release_left(cluster, plan, stop.say), stop, API_PATIENCE_SECONDS)) != Exit.OK:
        return status
    for line in summary(plan.group, reports):
        stop.say(line)
    return exit_code(reports)


def summary(group: str, reports: Mapping[str, Report]) -> list[str]:
    """Return a line on each node, and all of it as JSON in the last line; the same outcome is the same text."""
    lines = [
        f"{name}: {report.outcome}{f': {report.reason}' if report.reason else ''}"
        for name, report in sorted(reports.items())
    ]
    nodes = {
        name: "as planned" if report.outcome.is_success else str(report.outcome) for name, report in reports.items()
    }
    return [*lines, json.dumps({"group": group, "nodes": nodes}, sort_keys=True)]


def exit_code(reports: Mapping[str, Report]) -> Exit:
    """Return the exit code of the worst outcome."""
    outcomes = {report.outcome for report in reports.values()}
    if Outcome.STUCK in outcomes:
        return Exit.STUCK
    if any(outcome.is_broken_cut for outcome in outcomes):
        return Exit.ROLLED_BACK
    return Exit.OK if all(outcome.is_success for outcome in outcomes) else Exit.BUSY


def _insist(request: Callable[[], None], stop: _Stop, seconds: float) -> int:
    """Repeat a request until it is done; raises `ResliceError` where patience ends."""
    done = Patience(seconds).insist(request, stop.event, stop.event.is_set, RETRY_SECONDS)
    return Exit.OK if done else stop.exit


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
