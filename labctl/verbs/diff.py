"""``labctl diff``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.comparison.whole import between_environments, between_revisions
from labctl.display.comparison import comparison_json, print_comparison
from labctl.exit_codes import ExitCode
from labctl.lab import find_root, open_lab

from .session import error_console, output_console, print_json, teller

if TYPE_CHECKING:
    from labctl.comparison.whole import Differences

__all__ = ["diff", "diff_revisions"]


def diff(one: str, other: str, *, raw: bool, as_json: bool) -> ExitCode:
    """Print how two stacks differ, and return `ExitCode.CHANGES` if they do."""
    labs = open_lab(one), open_lab(other)
    teller(error_console())(f"rendering {one} and {other}")
    return _tell(between_environments(*labs, raw=raw), as_json=as_json)


def diff_revisions(stack: str, base: str, head: str | None, *, as_json: bool) -> ExitCode:
    """Print how one stack differs between two revisions, and return `ExitCode.CHANGES` if it does."""
    root = find_root()
    teller(error_console())(f"rendering {stack} at {base} and {head or 'as the files are'}")
    return _tell(between_revisions(root, stack, base, head), as_json=as_json)


def _tell(found: Differences, *, as_json: bool) -> ExitCode:
    if as_json:
        print_json(comparison_json(found))
    else:
        print_comparison(output_console(), found)
    return ExitCode.OK if found.equal else ExitCode.CHANGES
