"""The command line, put together from `labctl.commands`, and what an error looks like to a person.

Each verb imports what it needs when it runs: ``labctl --help`` and ``labctl preview`` need no control plane.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import typer

from .commands import (
    capacity,
    doctor,
    embedded,
    environments,
    everyday,
    hub,
    machines,
    restore,
    review,
    runs,
    state,
    supplies,
)
from .exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["app", "run"]

app = typer.Typer(
    name="labctl",
    help="A lab's own machines as a research-compute cluster, and an engine to run the program anywhere.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
GROUPS: Final = (
    everyday,
    runs,
    environments,
    review,
    state,
    embedded,
    machines,
    doctor,
    capacity,
    hub,
    restore,
    supplies,
)
"""In the order in which ``labctl --help`` has them."""
for group in GROUPS:
    app.add_typer(group.verbs)


def run(arguments: Sequence[str]) -> int:
    """Run labctl with `arguments` and return its exit code; no traceback reaches a person."""
    from . import run_log

    try:
        code = _run(arguments)
    except BaseException:
        run_log.finish(ExitCode.FAILED)
        raise
    _, problem = run_log.finish(code)
    if problem is not None:
        sys.stderr.write(f"note: this run has no whole log: {problem.strerror}: {problem.filename or 'the log'}\n")
    return code


def _run(arguments: Sequence[str]) -> int:
    try:
        status = app(list(arguments), standalone_mode=False)
    except typer.Abort:
        return ExitCode.INTERRUPTED
    except typer.Exit as stop:
        return stop.exit_code
    except Exception as error:  # noqa: BLE001 - the one place that turns any failure into words and a code
        from rich.console import Console

        from .failures import ending_of, tell

        ending = ending_of(error)
        as_json = "--json" in arguments and "kubectl" not in arguments[:1]
        tell(ending, Console(stderr=True, highlight=False, soft_wrap=True), as_json=as_json)
        return ending.code
    return status if isinstance(status, int) else ExitCode.OK
