"""What can go wrong with collecting host keys and writing them down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import LabError, VerbError
from labctl.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DifferentKeyError", "FileChangedError", "HostKeysMissedError", "NotWritableError"]


class DifferentKeyError(VerbError):
    """A host shows another key than the one pinned; it was shown already."""

    exit_code = ExitCode.DRIFT


class HostKeysMissedError(VerbError):
    """A host did not show its key; it was shown already."""

    exit_code = ExitCode.UNANSWERED


class NotWritableError(LabError):
    """The file is laid out so that a line cannot be put in without changing something else; nothing was written."""

    exit_code = ExitCode.INVALID

    def __init__(self, *, file: str, hosts: Sequence[str]) -> None:
        super().__init__(
            f"{file}: hostKey of {', '.join(hosts)} cannot be written without changing something else there "
            "(an alias, or a host without an address of its own): nothing was written; copy the lines by hand"
        )
        self.hosts = tuple(hosts)


class FileChangedError(LabError):
    """Somebody saved the stack file meanwhile; nothing was written."""

    def __init__(self, file: str) -> None:
        super().__init__(f"{file} was changed while the keys were collected: nothing was written; run it again")
