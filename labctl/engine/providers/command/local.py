"""``command:local:Command``: a command of this machine as a resource (pulumi-command 1.2, ``local.Command``)."""

from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING, Final

from labctl.engine.providers.properties import Kind
from labctl.graph.values import Value, as_mapping, as_text, reveal

from .exceptions import NotStartedError
from .lifecycle import COMMON_KINDS, CommandResource, Telling, previous_output
from .process import run_process

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.engine.providers.base import Context
    from labctl.graph.values import Inputs

__all__ = ["LocalCommand"]

SHELL: Final = ("/bin/sh", "-c")
"""Default interpreter; the command is its last argument."""


class LocalCommand(CommandResource):
    """What the provider does for ``command:local:Command``.

    It has all properties of the official one but ``assetPaths`` and ``archivePaths``: this program's commands return
    text.

    Parameters
    ----------
    project
        Folder in which commands run, and where a relative ``dir`` starts from; as it is when the command runs, a
        relative one starts from the working folder.
    """

    kinds = COMMON_KINDS | {"dir": Kind.TEXT, "interpreter": Kind.TEXTS}

    def __init__(self, project: Path) -> None:
        self._project = project

    def run(self, command: Value, inputs: Inputs, previous: Inputs, context: Context) -> Inputs:
        """Run `command` and return what it said; raises `CommandFailedError` or `NotStartedError`."""
        telling = Telling(command, inputs, {**inputs, "previous": list(previous.values())}, context)
        try:
            finished = run_process(
                [*_interpreter(inputs), as_text(command)],
                folder=self._project / as_text(inputs.get("dir")),
                environment=_environment(inputs, previous),
                stdin=as_text(inputs.get("stdin")).encode(),
                on_line=telling.line,
                cancelled=context.cancelled,
                timeout_seconds=context.timeout_seconds,
            )
        except (OSError, ValueError) as error:
            raise _not_started(error, telling.command) from None  # the cause would show the command
        return telling.outputs(finished, _how)


def _interpreter(inputs: Inputs) -> list[str]:
    given = reveal(inputs.get("interpreter"))
    chosen = [as_text(item) for item in given] if isinstance(given, list) else []
    return chosen or [*SHELL]


def _environment(inputs: Inputs, previous: Inputs) -> dict[str, str]:
    """Return this process's environment, the resource's over it, and the previous output's over that."""
    given = {key: as_text(value) for key, value in as_mapping(inputs.get("environment")).items()}
    return {**os.environ, **given, **previous_output(inputs, previous)}


def _how(status: int) -> str:
    """Return how a process failed, in Go's words."""
    if status < 0:
        return f"signal: {(signal.strsignal(-status) or str(-status)).lower()}"
    return f"exit status {status}"


def _not_started(error: OSError | ValueError, command: str) -> NotStartedError:
    if isinstance(error, OSError):
        hint = "set addPreviousOutputInEnv to false, or pass less in environment" if error.errno == errno.E2BIG else ""
        where = f" ({error.filename})" if error.filename and str(error.filename) not in command else ""
        return NotStartedError(f"{error.strerror}{where}", command, hint)
    return NotStartedError("an argument or variable holds a null byte", command)
