"""What keeps something from being restored, each with what would be right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import LabError, RefusedError
from labctl.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AmbiguousCopiesError",
    "BusyHostError",
    "HostRefusedError",
    "HostSilentError",
    "InPlaceUnnamedError",
    "MalformedPathError",
    "MalformedTimeError",
    "NoCopyError",
    "NoDatabaseError",
    "NoStorageError",
    "RestoreFailedError",
    "StillUsedError",
    "UnknownFolderError",
    "UnknownKindError",
]


class NoStorageError(LabError):
    """The stack has no storage of its own that could be restored."""

    exit_code = ExitCode.USAGE

    def __init__(self, *, stack: str, why: str) -> None:
        super().__init__(f"nothing can be restored for stack {stack}: {why}")


class NoDatabaseError(LabError):
    """The stack has no hub, or its database is on a server of somebody else's."""

    exit_code = ExitCode.USAGE

    def __init__(self, stack: str, *, is_elsewhere: bool) -> None:
        super().__init__(
            f"the hub of stack {stack} has its database on a PostgreSQL server; docs/hub-operation.md says how to "
            "restore that"
            if is_elsewhere
            else f"stack {stack} has no hub, and so no hub's database"
        )


class UnknownKindError(LabError):
    """Something is asked for that is nothing to restore."""

    exit_code = ExitCode.USAGE

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what!r} is nothing that can be restored: "
            "write home/NAMESPACE/CLAIM, shared/NAME, group/NAME or hub-database"
        )


class UnknownFolderError(LabError):
    """A name that the stack file does not have."""

    exit_code = ExitCode.USAGE

    def __init__(self, *, kind: str, name: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no {kind} {name} in the stack file; there are: {', '.join(known) or 'none'}")


class MalformedPathError(LabError):
    """A path that does not lie in what is restored."""

    exit_code = ExitCode.USAGE

    def __init__(self, path: str) -> None:
        super().__init__(f"--path {path!r} is no path in the folder: write it without a leading /, without . and ..")


class MalformedTimeError(LabError):
    """A time nobody can read."""

    exit_code = ExitCode.USAGE

    def __init__(self, text: str) -> None:
        super().__init__(f"--at {text!r} is no time: write 2026-11-20, 2026-11-20T14:30 or 2026-11-20T14:30:00Z")


class NoCopyError(LabError):
    """There is no copy of what is wanted."""

    exit_code = ExitCode.ABSENT

    def __init__(self, *, dataset: str, wanted: str, there: str) -> None:
        super().__init__(f"there is no copy of {dataset}{wanted}; {there}")


class AmbiguousCopiesError(LabError):
    """The repository holds copies of other hosts only."""

    exit_code = ExitCode.USAGE

    def __init__(self, *, own: str, others: Sequence[str]) -> None:
        super().__init__(
            f"the repository has no copy of {own}, but of {', '.join(others)}: say which is meant (--of HOST)"
        )


class InPlaceUnnamedError(RefusedError):
    """What is there would be replaced, and was not named."""

    def __init__(self, dataset: str) -> None:
        super().__init__([f"{dataset} would be replaced; if that is meant: --in-place --allow-destroy {dataset}"])


class StillUsedError(RefusedError):
    """Somebody works with what would be replaced, or nobody can tell."""

    def __init__(self, *, dataset: str, why: str, remedy: str) -> None:
        super().__init__([f"{dataset} would be replaced, and {why}: {remedy}"])


class HostRefusedError(LabError):
    """The storage host refused; nothing was changed."""

    exit_code = ExitCode.REFUSED

    def __init__(self, *, host: str, said: str) -> None:
        super().__init__(f"{host} refuses: {said}")


class RestoreFailedError(LabError):
    """The storage host began, and did not come to the end."""

    exit_code = ExitCode.FAILED

    def __init__(self, *, host: str, said: str) -> None:
        super().__init__(
            f"{host}: {said}\nWhat was there before is untouched or kept; the same command goes on from there."
        )


class BusyHostError(LabError):
    """Another backup or restore is under way on the host."""

    exit_code = ExitCode.LOCKED

    def __init__(self, host: str) -> None:
        super().__init__(f"another backup or restore is under way on {host}; try again when it has ended")


class HostSilentError(LabError):
    """The storage host could not be reached, or went away."""

    exit_code = ExitCode.UNANSWERED

    def __init__(self, *, host: str, why: str) -> None:
        super().__init__(f"no answer from the storage host {host}: {why}")
