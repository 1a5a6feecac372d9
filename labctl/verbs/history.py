"""``labctl history``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from labctl.display.history import print_entry, print_history, print_state_changes
from labctl.errors import LabError
from labctl.exit_codes import ExitCode
from labctl.history import past_of, state_changes
from labctl.lab import open_lab

from .session import output_console, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.graph.values import Plain
    from labctl.history import PastRun

__all__ = ["NoSuchRunError", "history"]


class NoSuchRunError(LabError):
    """The history has no such version."""

    exit_code = ExitCode.ABSENT

    def __init__(self, *, stack: str, version: int | None, count: int) -> None:
        which = "no run at all" if version is None else f"no version {version}"
        what = f"versions 1 to {count}" if count else "nothing: `labctl up` has not run on this state"
        super().__init__(f"the history of {stack} has {which}; it has {what}")


def history(stack: str, *, limit: int, show: int | None, diff: bool, as_json: bool) -> None:
    """Print the stack's past runs, one of them whole (`show`), or what one changed in the state (`diff`).

    Raises
    ------
    NoSuchRunError
        There is no such version.
    """
    runs = past_of(open_lab(stack).files())
    console = output_console()
    if diff:
        chosen = _chosen(stack, runs, show)
        before = next((run for run in runs if run.version == chosen.version - 1), None)
        changes = state_changes(None if before is None else before.resources(), chosen.resources())
        if as_json:
            print_json({"version": chosen.version, "changes": [change.document() for change in changes]})
        else:
            print_state_changes(console, chosen, changes)
    elif show is not None:
        chosen = _chosen(stack, runs, show)
        print_json(chosen.document()) if as_json else print_entry(console, chosen)
    elif as_json:
        listed: list[Plain] = [run.document() for run in runs[:limit]]
        print_json(listed)
    else:
        print_history(console, stack, runs[:limit], count=len(runs), now=datetime.now(UTC))


def _chosen(stack: str, runs: Sequence[PastRun], version: int | None) -> PastRun:
    found = [run for run in runs if version in (None, run.version)]
    if not found:
        raise NoSuchRunError(stack=stack, version=version, count=len(runs))
    return found[0]
