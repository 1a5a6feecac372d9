"""From an exception to what a person or a script reads, and the code a script gets."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from labctl import run_log
from labctl.control_plane.errors import ControlPlaneError
from labctl.engine.errors import DestructionRefusedError, EngineError, ProtectedError
from labctl.engine.state import StackLockedError, StateDroppedError, StateError
from labctl.graph.errors import GraphError
from stacks.errors import MissingSecretsError, StackFileError

from .errors import LabError, ShownFailuresError
from .exit_codes import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Ending", "ending_of", "tell"]

CODES: Final[tuple[tuple[type[Exception], ExitCode], ...]] = (
    (StackFileError, ExitCode.INVALID),
    (MissingSecretsError, ExitCode.INVALID),
    (StackLockedError, ExitCode.LOCKED),
    (StateDroppedError, ExitCode.REFUSED),
    (StateError, ExitCode.STATE),
    (ControlPlaneError, ExitCode.CLUSTER),
    (DestructionRefusedError, ExitCode.REFUSED),
    (ProtectedError, ExitCode.REFUSED),
    (EngineError, ExitCode.FAILED),
    (GraphError, ExitCode.FAILED),
)
"""Exit code by class; the first that fits."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a run ended that did not do what it was asked."""

    code: ExitCode
    message: str = ""
    """Empty: it was shown already."""
    failures: tuple[tuple[str, str], ...] = ()
    """URN and message of each resource that failed."""


def ending_of(error: Exception) -> Ending:
    """Return what went wrong and the exit code; what nobody foresaw goes to the run's log, with its traceback."""
    if isinstance(error, LabError):
        failures = error.failures if isinstance(error, ShownFailuresError) else ()
        return Ending(code=ExitCode(error.exit_code), message=str(error), failures=failures)
    for kind, code in CODES:
        if isinstance(error, kind):
            return Ending(code=code, message=str(error))
    usage = getattr(error, "format_message", None)
    if usage is not None:
        return Ending(code=ExitCode.USAGE, message=str(usage()))
    if isinstance(error, OSError):
        message = f"{error.strerror or error}: {error.filename or 'no file named'}"
        return Ending(code=ExitCode.FAILED, message=message)
    kept = run_log.trace(error)
    where = f"Its traceback is in {kept}" if kept else "Its traceback could not be kept: no room, or a read-only folder"
    return Ending(code=ExitCode.FAILED, message=f"unforeseen {type(error).__name__}: {error}\n{where}")


def tell(ending: Ending, console: Console, *, as_json: bool) -> None:
    """Print `ending` on stderr; under ``--json`` its last line is one object (docs/runs.md)."""
    log = run_log.current()
    if ending.message:
        log.line(f"error: {ending.message}")
    if as_json:
        shape = {
            "code": int(ending.code),
            "name": ending.code.name,
            "message": ending.message,
            "failures": [{"urn": urn, "message": message} for urn, message in ending.failures],
            "log": None if log.path is None else str(log.path),
        }
        sys.stderr.write(json.dumps({"error": shape}, ensure_ascii=False) + "\n")
        return
    if ending.message:
        console.print("error: ", style="bold red", end="")
        console.print(ending.message, markup=False)
    if log.path is not None and ending.code is not ExitCode.USAGE:
        console.print(f"log: {log.path}", style="dim", markup=False)
