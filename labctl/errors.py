"""What can go wrong between the command line and the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = [
    "LabError",
    "LeftBehindError",
    "NoProjectError",
    "NotSimulatedError",
    "OwnerAbsentError",
    "ProjectFileError",
    "RefusedError",
    "ShownFailuresError",
    "TenantsError",
    "UnknownStackError",
    "VerbError",
]


class LabError(Exception):
    """A verb that did not do what it was asked, with the exit code that says why."""

    exit_code = ExitCode.FAILED


class VerbError(LabError):
    """A verb whose failures were shown already."""


class ShownFailuresError(VerbError):
    """Resources that could not be brought to their goals; each was shown."""

    def __init__(self, failures: Sequence[tuple[str, str]]) -> None:
        super().__init__("")
        self.failures = tuple(failures)
        """URN (empty: the run as a whole) and message of each."""


class NoProjectError(LabError):
    """There is no Pulumi.yaml in this folder or above it."""

    exit_code = ExitCode.USAGE

    def __init__(self, start: Path) -> None:
        super().__init__(f"no Pulumi.yaml in {start} or above it; go to the project's folder")


class ProjectFileError(LabError):
    """Pulumi.yaml says something that cannot be used."""

    exit_code = ExitCode.INVALID

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


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


class TenantsError(LabError):
    """What other stacks live on would go."""

    exit_code = ExitCode.REFUSED

    def __init__(self, *, stack: str, living: Mapping[str, int]) -> None:
        named = "\n".join(
            f"  {tenant} has {count} resources there: labctl destroy --stack {tenant}"
            for tenant, count in living.items()
        )
        super().__init__(f"refused, nothing was touched: other stacks live on the cluster of {stack}\n{named}")


class OwnerAbsentError(LabError):
    """The cluster that a stack lives on is not there."""

    exit_code = ExitCode.REFUSED

    def __init__(self, *, stack: str, owner: str) -> None:
        super().__init__(
            f"{stack} lives on the cluster of {owner} (nodes.adopt.owner), and {owner} has nothing up: nothing was "
            f"touched; bring it up first: labctl up --stack {owner}"
        )


class LeftBehindError(LabError):
    """Forgetting a stack would leave what it has on another's cluster."""

    exit_code = ExitCode.REFUSED

    def __init__(self, *, stack: str, owner: str, count: int) -> None:
        super().__init__(
            f"refused, nothing was touched: {count} resources of {stack} are on the cluster of {owner}, and nobody "
            f"would know of them any more; first: labctl destroy --stack {stack}"
        )


class RefusedError(LabError):
    """The change would destroy what was not named."""

    exit_code = ExitCode.REFUSED

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("refused, nothing was touched:\n" + "\n".join(f"  {reason}" for reason in reasons))
