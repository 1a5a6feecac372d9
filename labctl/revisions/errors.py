"""What can go wrong while two revisions are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import LabError
from labctl.exit_codes import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["GitError", "NoRepositoryError", "RehearsalError", "UnknownRevisionError"]


class GitError(LabError):
    """Git could not be asked."""

    exit_code = ExitCode.USAGE


class NoRepositoryError(GitError):
    """The project is not in a git repository, or git is missing."""

    def __init__(self, root: Path, reason: str) -> None:
        super().__init__(f"{root} is no git repository that can be read ({reason}); revisions need one")


class UnknownRevisionError(GitError):
    """There is no such revision."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"there is no revision {revision!r} here; name a commit, branch or tag "
            "(a shallow clone has few: `git fetch --unshallow`, or fetch-depth: 0 in the workflow)"
        )


class RehearsalError(LabError):
    """The process that runs a revision's program ended without an answer."""

    def __init__(self, revision: str, said: str) -> None:
        super().__init__(f"the program of {revision} could not be run: {said or 'it said nothing'}")
