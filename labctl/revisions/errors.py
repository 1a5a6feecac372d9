"""What can go wrong while two revisions are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import LabError
from labctl.exit_codes import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["GitError", "NoRepositoryError", "RehearsalError", "UnknownRevisionError", "UnsafeRevisionError"]


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


class UnsafeRevisionError(LabError):
    """A revision has a link that leads out of it: what it would show is not the revision's."""

    exit_code = ExitCode.INVALID

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is a link out of the revision; nothing of it is run")


class RehearsalError(LabError):
    """The process that runs a revision's program ended without an answer."""

    def __init__(self, revision: str, said: str) -> None:
        super().__init__(f"the program of {revision} could not be run: {said or 'it said nothing'}")
