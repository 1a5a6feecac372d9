"""Commands of this machine, run for the bed."""

import os
import subprocess
from collections.abc import Mapping, Sequence

from bed_errors import CommandFailedError

__all__ = ["call", "succeeds"]

COMMAND_SECONDS = 60.0
"""For `ip`, `mkfs`, `cp` and the like: each takes well below a second; a hang must not last a whole test run."""


def call(
    *command: str, text: str | None = None, seconds: float = COMMAND_SECONDS, extra: Mapping[str, str] | None = None
) -> str:
    """Return what `command` printed once it has ended well; `text` is its input, `extra` joins its environment.

    Raises
    ------
    CommandFailedError
        It ended with an error; what it said is in the message.
    """
    finished = _run(command, text, seconds, extra)
    if finished.returncode != 0:
        raise CommandFailedError(
            where="this machine", command=command, code=finished.returncode, output=finished.stdout + finished.stderr
        )
    return finished.stdout


def succeeds(*command: str) -> bool:
    """Return whether `command` ended well."""
    return _run(command, None, COMMAND_SECONDS, None).returncode == 0


def _run(
    command: Sequence[str], text: str | None, seconds: float, extra: Mapping[str, str] | None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        input=text if text is not None else "",
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env=None if extra is None else os.environ | extra,
    )
