"""Failures of the stacks package: of a stack file, an environment, its pins or its secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.problems import Problem

__all__ = [
    "MissingSecretsError",
    "PinFileError",
    "StackFileError",
    "StacksError",
    "UnknownEnvironmentError",
]


class StacksError(Exception):
    """Something that keeps a stack from being what its file describes."""


class StackFileError(StacksError):
    """A stack file that cannot be used, with everything that is wrong with it.

    Attributes
    ----------
    file
        The file, as its reader named it.
    problems
        All that is wrong, in the order of the file where lines are known.
    """

    def __init__(self, *, file: str, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = tuple(sorted(problems, key=_position))
        count = f"{len(self.problems)} problems" if len(self.problems) > 1 else "one problem"
        listed = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"{file}: {count}, nothing was touched\n{listed}")


class PinFileError(StackFileError):
    """A file of pinned versions that cannot be used."""


class UnknownEnvironmentError(StacksError):
    """A stack whose name tells no environment."""

    def __init__(self, *, stack: str, known: Sequence[str]) -> None:
        super().__init__(
            f"the stack {stack!r} belongs to no environment; name it after one ({', '.join(known)}), "
            f"with a site after a dash if there are several: {known[-1]}-lund"
        )
        self.stack = stack


class MissingSecretsError(StacksError):
    """Secrets the cluster's section names and the stack's configuration does not hold."""

    def __init__(self, *, stack: str, keys: Sequence[str]) -> None:
        commands = "\n".join(f"  pulumi config set --stack {stack} --secret {key}" for key in keys)
        super().__init__(f"stack {stack}: secrets are missing, nothing was touched; set them with\n{commands}")
        self.keys = tuple(keys)


def _position(problem: Problem) -> tuple[int, str]:
    return (problem.line or 0, str(problem))
