"""The process of the pod runner: ``python -m labctl.control_plane.pods SETTINGS``."""

from __future__ import annotations

import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from .runner import PodRunner
from .settings import RunnerSettings


def _say(message: str) -> None:
    sys.stdout.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {message}\n")
    sys.stdout.flush()


def main() -> None:
    """Run pods until told to stop; their processes go on."""
    settings = RunnerSettings.model_validate_json(Path(sys.argv[1]).read_bytes())
    stop = threading.Event()

    def end(_number: int, _frame: object) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    PodRunner(settings, _say).run(stop)


main()
