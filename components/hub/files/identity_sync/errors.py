"""Why a round changed nothing. No message ever holds the bind password."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "DirectoryError",
    "ForeignIdError",
    "LeftOutError",
    "NoIdError",
    "NobodyFoundError",
    "NotOneError",
    "RoundError",
    "SettingsError",
    "TableReadError",
    "TableTooLargeError",
    "TableWriteError",
    "TooManyLostError",
    "UnusableNameError",
]


class RoundError(Exception):
    """A round that changed nothing."""


class DirectoryError(RoundError):
    """The directory cannot be read, or not whole."""

    def __init__(self, server: str, port: int, problem: Exception) -> None:
        super().__init__(f"the directory {server}:{port} cannot be read: {type(problem).__name__}: {problem}"[:500])


class TableReadError(RoundError):
    """The API server does not give the table."""

    def __init__(self, problem: Exception | str) -> None:
        super().__init__(f"the table cannot be read: {problem}"[:500])


class TableWriteError(RoundError):
    """The API server does not take the table."""

    def __init__(self, problem: Exception | str) -> None:
        super().__init__(f"the table cannot be written: {problem}"[:500])


class NobodyFoundError(RoundError):
    """A directory without people: more likely a wrong base or filter."""

    def __init__(self, base: str, condition: str) -> None:
        super().__init__(f"nobody with ids is below {base} by {condition}; the table stays as it is")


class TooManyLostError(RoundError):
    """A read that would take many people's ids away at once."""

    def __init__(self, lost: int, known: int, percent: int, some: str) -> None:
        super().__init__(
            f"{lost} of {known} users would lose or change their user id ({some}, ...), more than {percent} %: the "
            "table stays as it is. If it is meant so, raise hub.identity.mostLost for one round"
        )


class TableTooLargeError(RoundError):
    """More people or groups than one object holds."""

    def __init__(self, size: int, most: int, users: int) -> None:
        super().__init__(
            f"{users} users with their groups take {size} bytes, and one ConfigMap holds {most}: the table stays as it "
            "is. Narrow the filters of users or groups to those the lab needs"
        )


class SettingsError(RoundError):
    """Settings that are not this program's."""

    def __init__(self, path: Path, problem: Exception) -> None:
        super().__init__(f"{path}: {type(problem).__name__}: {problem}")


class LeftOutError(Exception):
    """An entry of the directory that is nobody here; said in the log, and no reason to stop."""


class NotOneError(LeftOutError):
    """An attribute with no value, or with several."""

    def __init__(self, count: int, kind: str) -> None:
        super().__init__(f"it has {count} {kind}s and not one")


class NoIdError(LeftOutError):
    """A value that is no number."""

    def __init__(self, text: str, kind: str) -> None:
        super().__init__(f"{text[:32]!r} is no {kind}")


class ForeignIdError(LeftOutError):
    """An id that is not a person's here."""

    def __init__(self, number: int, kind: str, first: int, last: int) -> None:
        super().__init__(f"the {kind} {number} is not a person's: these are {first} to {last}, without 65534 and 65535")


class UnusableNameError(LeftOutError):
    """A user name that cannot be one here."""

    def __init__(self, name: str, problem: Exception | None = None) -> None:
        super().__init__(f"every image has another user {name}" if problem is None else str(problem))
