"""How looking for drift ends, once everything was shown."""

from __future__ import annotations

from labctl.errors import VerbError
from labctl.exit_codes import ExitCode

__all__ = ["DriftFoundError", "UnansweredError"]


class DriftFoundError(VerbError):
    """Something differs; it was shown already."""

    exit_code = ExitCode.DRIFT


class UnansweredError(VerbError):
    """A host, or one of its steps, could not be asked; it was shown already."""

    exit_code = ExitCode.UNANSWERED
