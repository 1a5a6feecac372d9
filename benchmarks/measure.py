"""What a measurement is, and how time and memory are taken."""

from __future__ import annotations

import resource
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

__all__ = ["ROOT", "Measured", "Stopwatch", "peak_mebibytes", "stopwatch", "wall_seconds"]

ROOT = Path(__file__).resolve().parents[1]
"""Folder of the project."""


@dataclass(frozen=True)
class Measured:
    """One figure with its unit, beside the bar it should reach."""

    what: str
    figure: str
    bar: str = ""


@dataclass
class Stopwatch:
    """Seconds between entering and leaving a block."""

    seconds: float = 0.0


@contextmanager
def stopwatch() -> Generator[Stopwatch]:
    """Yield a stopwatch that runs while the block does."""
    watch = Stopwatch()
    began = time.perf_counter()
    try:
        yield watch
    finally:
        watch.seconds = time.perf_counter() - began


def wall_seconds(command: Sequence[str], runs: int) -> float:
    """Return the median wall time of a whole process over `runs` runs after one that warms the caches."""
    taken: list[float] = []
    for _ in range(runs + 1):
        with stopwatch() as watch:
            subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - the project's own commands
        taken.append(watch.seconds)
    return median(taken[1:])


def peak_mebibytes() -> float:
    """Return the largest resident size this process has had, in MiB (getrusage(2): KiB on Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
