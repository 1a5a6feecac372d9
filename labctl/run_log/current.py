"""The log of this process's run; one process is one run of `labctl`."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Final

from .files import logs_folder
from .log import NoLog, RunLog

__all__ = ["current", "finish", "start", "trace"]

NO_STACK: Final = "labctl"
"""Where the traceback of a verb goes that keeps no log."""


class _Holder:
    log: NoLog = NoLog()
    problem: OSError | None = None


def current() -> NoLog:
    """Return the log of this run; one that writes nothing where it has none."""
    return _Holder.log


def start(verb: str, stack: str, arguments: list[str] | None = None) -> None:
    """Have this run keep a log from now on; without a project, a stack, or room it goes without."""
    root = _root()
    if root is None or "/" in stack or not _is_known(root, stack):
        return
    try:
        _Holder.log = RunLog(logs_folder(root, stack), verb)
    except OSError as error:
        _Holder.problem = error
        return
    _Holder.log.begin(sys.argv[1:] if arguments is None else arguments)


def trace(error: BaseException) -> Path | None:
    """Return where the traceback of `error` is: in this run's log, or one made for it; None where there is no room."""
    if _Holder.log.path is None:
        start("failed", NO_STACK)
    _Holder.log.line("".join(traceback.format_exception(error)))
    log = _Holder.log
    return None if isinstance(log, RunLog) and log.problem is not None else log.path


def finish(exit_code: int) -> tuple[Path | None, OSError | None]:
    """Close this run's log; return where it is, and why there is none or not all of it."""
    log, problem = _Holder.log, _Holder.problem
    log.end(exit_code)
    if isinstance(log, RunLog) and log.problem is not None:
        problem = log.problem
    _Holder.log, _Holder.problem = NoLog(), None
    return log.path, problem


def _is_known(root: Path, stack: str) -> bool:
    """Tell whether there is such a stack or environment; a name mistyped leaves no folder behind."""
    names = [path.name for path in root.glob("Pulumi.*.yaml")]
    return stack == NO_STACK or any(name.startswith((f"Pulumi.{stack}.", f"Pulumi.{stack}-")) for name in names)


def _root() -> Path | None:
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "Pulumi.yaml").is_file()), None)
