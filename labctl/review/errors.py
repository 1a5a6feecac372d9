"""What can go wrong while a change is reviewed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import LabError, VerbError
from labctl.exit_codes import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DescriptionError", "NotPassedError", "NothingToReviewError", "PreviewShapeError", "UnknownPreviewError"]


class PreviewShapeError(LabError):
    """A file is not what ``pulumi preview --json`` prints."""

    exit_code = ExitCode.USAGE

    def __init__(self, source: str, what: str) -> None:
        super().__init__(f"{source} is no output of `pulumi preview --json`: {what}")


class UnknownPreviewError(LabError):
    """It is not said which stack a preview is of."""

    exit_code = ExitCode.USAGE

    def __init__(self, given: str) -> None:
        super().__init__(
            f"--preview {given}: which stack is it of? Write FILE=STACK, or name the one stack with --stack"
        )


class NothingToReviewError(LabError):
    """Neither revisions nor previews were named, or both."""

    exit_code = ExitCode.USAGE

    def __init__(self) -> None:
        super().__init__("say what is reviewed: --base REV (and --head REV), or --preview FILE=STACK; not both")


class DescriptionError(LabError):
    """The description of the request cannot be read."""

    exit_code = ExitCode.USAGE

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"the description {path} cannot be read: {reason}")


class NotPassedError(VerbError):
    """The change does not pass; the comment says why."""

    def __init__(self, code: ExitCode, reasons: str) -> None:
        super().__init__(reasons)
        self.exit_code = code
