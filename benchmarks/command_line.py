"""What the command line itself costs: the log of a run, and a completion of the shell."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from labctl.engine.plan import Op, Step
from labctl.graph.values import Secret
from labctl.run_log.log import RunLog

from .measure import ROOT, Measured, stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["completion", "run_log"]

RESOURCES, SECRETS = 300, 500
"""A lab larger than prod (250 resources), with more secrets than any."""
RUNS = 7


def run_log() -> Iterator[Measured]:
    """Log a run of 300 resources that has 500 secrets to hide."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log = RunLog(Path(folder), "up")
        began = time.process_time()
        log.begin(["up"])
        log.hide_later(lambda: [{"value": Secret(f"secret-{number}")} for number in range(SECRETS)])
        step = Step(op=Op.UPDATE, urn="urn:pulumi:dev::research-compute::a:b:C::d")
        for _ in range(RESOURCES):
            log.started(step)
            log.finished(step, 0.1, None)
        log.end(0)
        seconds = time.process_time() - began
    yield Measured(f"log of {RESOURCES} resources, {SECRETS} secrets hidden, processor", f"{seconds * 1000:.0f} ms")


def completion() -> Iterator[Measured]:
    """Complete a stack's name in bash; beside it a Python that only imports what the library itself needs."""
    words = {"_LABCTL_COMPLETE": "complete_bash", "COMP_WORDS": "labctl preview --stack ", "COMP_CWORD": "3"}
    own = _median_seconds([str(ROOT / ".venv/bin/labctl")], os.environ | words)
    least = _median_seconds([sys.executable, "-c", "import typer, pydantic"], dict(os.environ))
    yield Measured("completion of a stack's name, wall", f"{own:.2f} s (library alone {least:.2f} s)", "<= 0.3 s")


def _median_seconds(command: list[str], environment: dict[str, str]) -> float:
    taken: list[float] = []
    for _ in range(RUNS):
        with stopwatch() as watch:
            subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True)  # noqa: S603 - our own
        taken.append(watch.seconds)
    return median(taken)
