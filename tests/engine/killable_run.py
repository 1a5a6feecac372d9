"""Run one update or destruction of a contract program in this process, which may kill itself on the way.

``python killable_run.py '{"folder": ..., "program": ..., "namespace": ..., "kill": {"at": 7, "when": "before"}}'``.
The kill is SIGKILL, at the n-th line of the journal: before it is written (what it tells of has happened already, or
is about to be begun), within it, or after it. Without ``program`` everything is destroyed.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Final

from contract_engines import PROJECT, EmbeddedEngine, Object

from labctl.engine.state import journal_file

KILLED_WITHIN: Final = 2
"""A line that is cut off is cut off in its middle: one part of so many is written."""


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_at(position: int, when: str) -> None:
    """Make the process die at the line `position`, counted from 1."""
    write = journal_file._write_all  # pyright: ignore[reportPrivateUsage] - the place where a line gets onto the disk
    lines = 0
    guard = threading.Lock()

    def counted(descriptor: int, content: bytes) -> None:
        nonlocal lines
        with guard:
            lines += content.count(b"\n")
            reached = lines >= position
        if reached and when == "before":
            _die()
        if reached and when == "within":
            os.write(descriptor, content[: len(content) // KILLED_WITHIN])
            _die()
        write(descriptor, content)
        if reached:
            _die()

    journal_file._write_all = counted  # pyright: ignore[reportPrivateUsage]


def main(order: Object) -> int:
    """Do what `order` says and return the exit status."""
    if kill := order.get("kill"):
        _kill_at(kill["at"], kill["when"])
    engine = EmbeddedEngine(folder=Path(order["folder"]), config={f"{PROJECT}:namespace": order["namespace"]})
    outcome = engine.up(Path(order["program"])) if "program" in order else engine.destroy()
    sys.stderr.write(outcome.text)
    return outcome.exit_status


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
