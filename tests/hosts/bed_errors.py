"""What can go wrong while the bed of hosts is made, used or removed."""

from collections.abc import Sequence
from pathlib import Path

__all__ = [
    "BedError",
    "BedInUseError",
    "CommandFailedError",
    "HostSilentError",
    "ImageIncompleteError",
    "LeftoverError",
    "MachineUnfitError",
]


class BedError(Exception):
    """The bed could not do what it was asked to."""


class CommandFailedError(BedError):
    """A command ended with an error."""

    def __init__(self, *, where: str, command: Sequence[str] | str, code: int, output: str) -> None:
        shown = command if isinstance(command, str) else " ".join(command)
        super().__init__(f"{where}: `{shown}` ended with {code}:\n{output.strip()[-4000:]}")
        self.code = code
        self.output = output


class HostSilentError(BedError):
    """A host did not answer by SSH in time."""

    def __init__(self, *, name: str, seconds: float, console: str) -> None:
        super().__init__(f"{name} did not answer within {seconds:g} s; its console ends:\n{console}")


class BedInUseError(BedError):
    """The number asked for belongs to a bed that is up."""

    def __init__(self, *, number: int) -> None:
        super().__init__(f"bed {number} is in use by another run; give another number or none")


class MachineUnfitError(BedError):
    """This machine cannot carry the bed."""

    def __init__(self, *, reason: str) -> None:
        super().__init__(f"real hosts cannot run here: {reason}")


class LeftoverError(BedError):
    """Something of a bed could not be removed."""

    def __init__(self, *, what: str, left: Sequence[str]) -> None:
        super().__init__(f"{what} could not be removed: {', '.join(left)}")


class ImageIncompleteError(BedError):
    """A file that belongs into a container image is not where it should be."""

    def __init__(self, *, image: str, missing: Path | str) -> None:
        super().__init__(f"image {image}: {missing} is missing")
