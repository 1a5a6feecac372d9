"""What can go wrong between the command line and the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["LabError", "NoProjectError", "NotSimulatedError", "RefusedError", "UnknownStackError", "VerbError"]


class LabError(Exception):
    """A verb that did not do what it was asked, with the exit code that says why."""

    exit_code = ExitCode.FAILED


class VerbError(LabError):
    """A verb whose failures were shown already."""


class NoProjectError(LabError):
    """There is no Pulumi.yaml in this folder or above it."""

    exit_code = ExitCode.USAGE

    def __init__(self, start: Path) -> None:
        super().__init__(f"no Pulumi.yaml in {start} or above it; go to the project's folder")


class UnknownStackError(LabError):
    """No stack file of that name."""

    exit_code = ExitCode.USAGE

    def __init__(self, *, stack: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no Pulumi.{stack}.yaml; stacks here: {', '.join(known) or 'none'}")


class NotSimulatedError(LabError):
    """A verb for the embedded control plane, asked for a stack that has none."""

    exit_code = ExitCode.USAGE

    def __init__(self, stack: str) -> None:
        super().__init__(
            f"stack {stack} does not run on the embedded control plane (nodes.adopt.simulated is not set in its file)"
        )


class RefusedError(LabError):
    """The change would destroy what was not named."""

    exit_code = ExitCode.REFUSED

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("refused, nothing was touched:\n" + "\n".join(f"  {reason}" for reason in reasons))
