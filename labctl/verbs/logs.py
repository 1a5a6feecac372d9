"""``labctl logs``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.table import Table

from labctl.errors import LabError, UnknownStackError
from labctl.exit_codes import ExitCode
from labctl.lab import find_root
from labctl.run_log import logged_runs, logs_folder
from stacks.loading import stack_names

from .session import output_console, print_json

if TYPE_CHECKING:
    from labctl.graph.values import Plain
    from labctl.run_log import LoggedRun

__all__ = ["NoLogError", "logs"]


class NoLogError(LabError):
    """No run of the stack has left a log here."""

    exit_code = ExitCode.ABSENT

    def __init__(self, stack: str, folder: str) -> None:
        super().__init__(f"no run of {stack} has left a log in {folder}")


def logs(stack: str, *, last: bool, path: bool, limit: int, as_json: bool) -> None:
    """List the logs of the stack's runs on this machine; with `last` print the latest, with `path` where it is.

    Raises
    ------
    UnknownStackError, NoLogError
        There is no such stack; none of its runs has a log.
    """
    root = find_root()
    folder = logs_folder(root, stack)
    known = stack_names(root)
    if stack not in known and ("/" in stack or not logged_runs(folder)):
        raise UnknownStackError(stack=stack, known=known)
    runs = logged_runs(folder)
    if (last or path) and not runs:
        raise NoLogError(stack, str(folder))
    if as_json:
        print_json([_document(run) for run in (runs[:1] if last or path else runs[:limit])])
    elif path:
        sys.stdout.write(f"{runs[0].path}\n")
    elif last:
        sys.stdout.write(runs[0].path.read_text(encoding="utf-8", errors="replace"))
    elif not runs:
        output_console().print(f"no run of {stack} has left a log here yet", markup=False)
    else:
        _print(runs[:limit], stack, len(runs))


def _document(run: LoggedRun) -> dict[str, Plain]:
    return {
        "time": run.time,
        "verb": run.verb,
        "pid": run.pid,
        "exitCode": run.exit_code,
        "seconds": run.seconds,
        "path": str(run.path),
    }


def _print(runs: list[LoggedRun], stack: str, count: int) -> None:
    table = Table(title=f"{stack}: logs of runs", title_justify="left", box=None, pad_edge=False)
    for name in ("began (UTC)", "verb", "ended", "took"):
        table.add_column(name)
    table.add_column("log", overflow="fold")  # a name that is cut names no file
    for run in runs:
        table.add_row(
            run.time.replace("T", " ").removesuffix("Z"),
            run.verb,
            "no end: killed, or still running" if run.exit_code is None else _word(run.exit_code),
            "" if run.seconds is None else f"{run.seconds:.1f}s",
            run.path.name,
        )
    console = output_console()
    console.print(table)
    if count > len(runs):
        console.print(f"… and {count - len(runs)} older ones", markup=False)


def _word(code: int) -> str:
    known = {item.value: item.name for item in ExitCode}
    return "well" if code == ExitCode.OK else f"{code} {known.get(code, '')}".strip()
