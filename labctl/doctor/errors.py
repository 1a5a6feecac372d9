"""How an examination ends, once everything was shown; and what keeps it from beginning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import LabError, VerbError
from labctl.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LabUnhealthyError", "NoHostsError", "UnansweredChecksError", "UnknownCheckError"]


class UnknownCheckError(LabError):
    """A check was named that there is not."""

    exit_code = ExitCode.USAGE

    def __init__(self, *, name: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no check {name}; there are: {', '.join(known)}")


class NoHostsError(LabError):
    """Hosts were named, and the stack has none that can be asked."""

    exit_code = ExitCode.USAGE

    def __init__(self, stack: str) -> None:
        super().__init__(f"stack {stack} adopts a cluster (nodes.adopt), so it has no hosts that --host could name")


class LabUnhealthyError(VerbError):
    """Something is wrong; it was shown already."""

    exit_code = ExitCode.UNHEALTHY


class UnansweredChecksError(VerbError):
    """Something could not be asked, and nothing is known to be wrong; it was shown already."""

    exit_code = ExitCode.UNANSWERED
