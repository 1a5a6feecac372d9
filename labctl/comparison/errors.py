"""Why two things could not be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import LabError
from labctl.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ComparisonError", "NoSuchStackError", "UnbuildableError"]


class ComparisonError(LabError):
    """A comparison that was not made."""

    exit_code = ExitCode.USAGE


class NoSuchStackError(ComparisonError):
    """Neither revision has the stack."""

    def __init__(self, *, stack: str, revisions: Sequence[str]) -> None:
        super().__init__(f"neither {' nor '.join(revisions)} has a Pulumi.{stack}.yaml")


class UnbuildableError(ComparisonError):
    """A revision whose stack is not valid."""

    exit_code = ExitCode.INVALID

    def __init__(self, *, stack: str, revision: str, error: str) -> None:
        super().__init__(f"{stack} cannot be built at {revision}:\n{error}")
