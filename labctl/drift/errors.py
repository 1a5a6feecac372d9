"""What keeps drift from being looked for at all; what keeps one host from answering is part of the result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import LabError, VerbError
from labctl.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DriftFoundError", "UnansweredError", "UnknownHostError"]


class UnknownHostError(LabError):
    """A host was named that can not be asked."""

    exit_code = ExitCode.USAGE

    def __init__(self, *, name: str, stack: str, known: Sequence[str]) -> None:
        super().__init__(
            f"nodes.hosts of stack {stack} has no {name} that can be asked (a lost host cannot); "
            f"there are: {', '.join(known) or 'none'}"
        )
        self.name = name


class DriftFoundError(VerbError):
    """Something differs; it was shown already."""

    exit_code = ExitCode.DRIFT


class UnansweredError(VerbError):
    """A host, or one of its steps, could not be asked; it was shown already."""

    exit_code = ExitCode.UNANSWERED
