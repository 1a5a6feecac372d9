"""Why pins were not promoted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import LabError
from labctl.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ChangedMeanwhileError",
    "NoCommitError",
    "NoSuchPinError",
    "NoWayError",
    "PinLayoutError",
    "PromotionError",
    "StackBrokenError",
    "UncommittedPinsError",
    "UnsoundSourceError",
]


class PromotionError(LabError):
    """A promotion that was refused; nothing was touched."""

    exit_code = ExitCode.REFUSED


class NoWayError(PromotionError):
    """Versions do not go from the one environment to the other, or not in one step."""

    def __init__(self, *, source: str, target: str, reason: str, ways: Sequence[str]) -> None:
        super().__init__(f"refused: {source} to {target}: {reason}; the ways there are: {'; '.join(ways)}")


class UnsoundSourceError(PromotionError):
    """The pins of the environment to copy from do not fit each other."""

    exit_code = ExitCode.INVALID

    def __init__(self, *, source: str, problems: Sequence[str]) -> None:
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"stacks/pins/{source}.yaml is not sound, so nothing is taken from it\n{listed}")


class UncommittedPinsError(PromotionError):
    """Somebody's work is in the file that would be written."""

    def __init__(self, file: str) -> None:
        super().__init__(
            f"refused: {file} has changes that are not committed; commit them or put them aside, "
            "or promote on top of them with --force"
        )


class NoSuchPinError(PromotionError):
    """A pattern that fits no pin."""

    exit_code = ExitCode.USAGE

    def __init__(self, *, pattern: str, known: Sequence[str]) -> None:
        super().__init__(f"--only {pattern} fits no pin; there are {', '.join(known)}")


class PinLayoutError(PromotionError):
    """A file whose layout cannot be kept."""

    exit_code = ExitCode.INVALID

    def __init__(self, *, file: str, place: str, what: str) -> None:
        super().__init__(f"{file}: {place}: {what}")


class StackBrokenError(PromotionError):
    """With the new pins a stack of the environment would not be valid any more."""

    exit_code = ExitCode.INVALID

    def __init__(self, *, stack: str, error: str) -> None:
        super().__init__(f"with these pins {stack} could not be built, so nothing was written:\n{error}")


class ChangedMeanwhileError(PromotionError):
    """Somebody wrote the file while its change was being prepared."""

    def __init__(self, file: str) -> None:
        super().__init__(f"refused: {file} was changed while this ran; nothing was written, run it again")


class NoCommitError(PromotionError):
    """The pins were written, and git did not commit them."""

    exit_code = ExitCode.FAILED

    def __init__(self, *, file: str, said: str) -> None:
        super().__init__(f"{file} is written, but git did not commit it: {said}")
