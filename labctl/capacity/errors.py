"""What can go wrong while a lab's capacity is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import LabError
from labctl.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from components.problems import Problem

__all__ = [
    "CapacityError",
    "DemandError",
    "NoHubError",
    "NoNodesError",
    "NoSpawnsError",
    "NotPlacedError",
    "UnknownOperatorError",
    "UnreachableClusterError",
]

MOST_LINES_SHOWN = 10
"""Bad lines that are named one by one; a file of another format is bad in each."""


class CapacityError(LabError):
    """A question about capacity that has no answer."""


class NoHubError(CapacityError):
    """A stack without profiles."""

    exit_code = ExitCode.USAGE

    def __init__(self, stack: str) -> None:
        super().__init__(f"stack {stack} has no hub section, so there are no profiles to count")


class NoNodesError(CapacityError):
    """A stack without nodes to put anything on."""

    exit_code = ExitCode.USAGE

    def __init__(self, stack: str) -> None:
        super().__init__(
            f"stack {stack} names no hosts (nodes.hosts); with --running the nodes of its cluster are taken instead"
        )


class DemandError(CapacityError):
    """A demand file that cannot be used, with everything that is wrong with it."""

    exit_code = ExitCode.INVALID

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{file}: the demand cannot be used\n{listed}")


class NoSpawnsError(CapacityError):
    """A file of past spawns without a single one."""

    exit_code = ExitCode.INVALID

    def __init__(self, file: Path, remarks: Sequence[str]) -> None:
        shown = [*remarks[:MOST_LINES_SHOWN]]
        if len(remarks) > MOST_LINES_SHOWN:
            shown.append(f"and {len(remarks) - MOST_LINES_SHOWN} more")
        listed = "".join(f"\n  {line}" for line in shown)
        super().__init__(f"{file}: no spawn in it could be read; docs/capacity.md says what is read{listed}")


class UnreachableClusterError(CapacityError):
    """The cluster whose load is to be counted does not answer."""

    exit_code = ExitCode.UNANSWERED

    def __init__(self, stack: str, reason: str) -> None:
        super().__init__(f"what runs in the cluster of {stack} cannot be read: {reason}")


class NotPlacedError(CapacityError):
    """The scheduler said nothing about some pods for a long time."""

    exit_code = ExitCode.CLUSTER

    def __init__(self, *, waiting: int, seconds: float, log: Path) -> None:
        super().__init__(
            f"the scheduler has not decided about {waiting} pods within {seconds:.0f} s; its log was {log}, "
            "and the machine may be too busy"
        )


class UnknownOperatorError(CapacityError):
    """A condition on node labels that is not understood here."""

    def __init__(self, operator: str) -> None:
        super().__init__(f"a profile chooses nodes by the operator {operator}, which capacity does not know")
