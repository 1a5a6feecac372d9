"""From an exception to what a person reads and the code a script gets."""

from __future__ import annotations

import os
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from labctl.control_plane.errors import ControlPlaneError
from labctl.engine.errors import DestructionRefusedError, EngineError, ProtectedError
from labctl.engine.state import StackLockedError, StateError
from labctl.graph.errors import GraphError
from stacks.errors import MissingSecretsError, StackFileError

from .errors import LabError
from .exit_codes import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["exit_code_of"]

CODES: Final[tuple[tuple[type[Exception], ExitCode], ...]] = (
    (StackFileError, ExitCode.INVALID),
    (MissingSecretsError, ExitCode.INVALID),
    (StackLockedError, ExitCode.LOCKED),
    (StateError, ExitCode.STATE),
    (ControlPlaneError, ExitCode.CLUSTER),
    (DestructionRefusedError, ExitCode.REFUSED),
    (ProtectedError, ExitCode.REFUSED),
    (EngineError, ExitCode.FAILED),
    (GraphError, ExitCode.FAILED),
)
"""Exit code by class; the first that fits."""


def exit_code_of(error: Exception, console: Console) -> int:
    """Print what went wrong and return the exit code; what nobody foresaw goes to a file, with its traceback."""
    if isinstance(error, LabError):
        if str(error):
            _print(console, str(error))
        return error.exit_code
    for kind, code in CODES:
        if isinstance(error, kind):
            _print(console, str(error))
            return code
    usage = getattr(error, "format_message", None)
    if usage is not None:
        _print(console, str(usage()))
        return ExitCode.USAGE
    if isinstance(error, OSError):
        _print(console, f"{error.strerror or error}: {error.filename or 'no file named'}")
        return ExitCode.FAILED
    _print(console, f"unforeseen {type(error).__name__}: {error}\nIts traceback is in {_keep(error)}")
    return ExitCode.FAILED


def _print(console: Console, message: str) -> None:
    console.print("error: ", style="bold red", end="")
    console.print(message, markup=False)


def _keep(error: Exception) -> Path:
    """Write the traceback to ``.lab/errors/`` in the working folder and return the file."""
    folder = Path(".lab") / "errors"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.txt"
    path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    return path
