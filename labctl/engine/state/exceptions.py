"""What can go wrong with a stack's state; every message is fit to be shown to a person as it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .holder import LockHolder

__all__ = [
    "BackendUrlError",
    "CiphertextError",
    "CompressedStateError",
    "ForeignSecretsError",
    "ForeignStackError",
    "JournalFullError",
    "JournalMismatchError",
    "LockLeftError",
    "MalformedStateError",
    "OfficialJournalError",
    "PassphraseMissingError",
    "ReadOnlyStackError",
    "SnapshotIntegrityError",
    "StackLockedError",
    "StateChangedError",
    "StateDroppedError",
    "StateError",
    "StateWriteError",
    "UnknownLockError",
    "WrongPassphraseError",
]


USER_INFO: Final = re.compile(r"://[^/]*@")
"""What a URL has before its host: a password, for example, of a database that the official CLI can keep states in."""


class StateError(Exception):
    """Any failure of reading, keeping or writing a stack's state."""


class BackendUrlError(StateError):
    """A backend URL that names no place this engine can keep state in."""

    def __init__(self, url: str, problem: str = "") -> None:
        shown = USER_INFO.sub("://...@", url.partition("?")[0])
        example = "give a folder (file:///srv/pulumi, file://./state) or a bucket (s3://lab-state?region=eu-north-1)"
        super().__init__(f"{shown!r} is not a state backend: {problem or example}")
        self.url = url


class MalformedStateError(StateError):
    """A state file, journal or deployment that is not what Pulumi writes."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place
        self.problem = problem


class SnapshotIntegrityError(StateError):
    """A snapshot whose resources contradict each other (Pulumi: ``snapshot integrity failure``)."""

    def __init__(self, urn: str, problem: str) -> None:
        super().__init__(f"the state is inconsistent and was not used: {urn}: {problem}")
        self.urn = urn
        self.problem = problem


class PassphraseMissingError(StateError):
    """A secret has to be sealed or opened and no passphrase is known."""

    def __init__(self, purpose: str, unreadable: str = "") -> None:
        cause = f"; {unreadable} cannot be read" if unreadable else ""
        super().__init__(
            f"a passphrase is needed to {purpose}{cause}: set PULUMI_CONFIG_PASSPHRASE, "
            "or PULUMI_CONFIG_PASSPHRASE_FILE to the path of a file that holds it"
        )
        self.purpose = purpose


class WrongPassphraseError(StateError):
    """The passphrase is not the one the stack's secrets were sealed with."""

    def __init__(self, sources: Sequence[str]) -> None:
        tried = " and ".join(sources)
        super().__init__(f"incorrect passphrase: the stack's secrets were sealed with another one than that of {tried}")
        self.sources = tuple(sources)


class CiphertextError(StateError):
    """A sealed value that is malformed, or that this stack's key does not open."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"a sealed value cannot be opened: {problem}")
        self.problem = problem


class ForeignStackError(StateError):
    """A deployment of another stack or project."""

    def __init__(self, urn: str, stack: str, project: str) -> None:
        super().__init__(
            f"{urn} is not a resource of stack {stack} of project {project}: this is another stack's state"
        )
        self.urn = urn


class StackLockedError(StateError):
    """Another process is changing the stack, or one that was cut off has left its lock behind."""

    def __init__(self, stack: str, holders: Sequence[LockHolder]) -> None:
        lines = [f"stack {stack} is locked by {len(holders)} other process(es):"]
        lines += [f"  {holder.describe()}" for holder in holders]
        lines.append("wait for it to end; if it has ended without removing its lock, free that lock by its id:")
        lines += [f"  labctl unlock {holder.id} --stack {stack.rpartition('/')[2]}" for holder in holders]
        super().__init__("\n".join(lines))
        self.stack = stack
        self.holders = tuple(holders)


class UnknownLockError(StateError):
    """A lock that was asked to be freed does not exist."""

    def __init__(self, stack: str, lock_id: str, present: Sequence[str]) -> None:
        known = ", ".join(present) if present else "none"
        super().__init__(f"stack {stack} has no lock {lock_id}; its locks are: {known}")
        self.lock_id = lock_id


class StateWriteError(StateError):
    """The state could not be written; what it said before is still there."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"cannot write {place}: {reason}")
        self.place = place
        self.reason = reason


class JournalFullError(StateWriteError):
    """The journal could not take a line, so no further operation may start (the disk is full, for example)."""

    def __init__(self, place: str, reason: str, remedy: str = "Make room and run again: nothing is lost") -> None:
        super().__init__(place, f"{reason}; no further operation was started. {remedy}")


class JournalMismatchError(StateError):
    """A journal of a cut-off run that belongs to another version of the state than the one found."""

    def __init__(self, journal: str, checkpoint: str) -> None:
        super().__init__(
            f"{journal} was left by a run that was cut off, but {checkpoint} has been changed since by something else, "
            "so the two cannot be joined. Compare them, then move the journal away and refresh the stack"
        )
        self.journal = journal
        self.checkpoint = checkpoint


class ReadOnlyStackError(StateError):
    """A stack that was opened to be looked at only was asked to change."""

    def __init__(self, stack: str) -> None:
        super().__init__(f"stack {stack} was opened for reading: open it for an update, refresh, destroy or import")
        self.stack = stack


class LockLeftError(StateError):
    """The lock could not be removed at the end."""

    def __init__(self, stack: str, lock_id: str, reason: str) -> None:
        command = f"labctl unlock {lock_id} --stack {stack.rpartition('/')[2]}"
        super().__init__(f"the lock on {stack} could not be removed ({reason}); remove it by its id: {command}")
        self.lock_id = lock_id


class StateChangedError(StateWriteError):
    """Something else has written what this process read before and was about to replace."""

    def __init__(self, place: str) -> None:
        super().__init__(
            place,
            "something else has changed it since this run read it, so that stays. What this run did is in its journal; "
            "see who works on the stack (labctl locks), then run again",
        )


class OfficialJournalError(StateError):
    """The official CLI was cut off, and what it had done is in a journal that only it can read."""

    def __init__(self, stack: str, folder: str) -> None:
        super().__init__(
            f"a run of the official CLI on stack {stack} was cut off, and {folder} says what it had done. "
            f"Only that CLI can read it: run `pulumi refresh --stack {stack}` once, then go on here"
        )
        self.folder = folder


class CompressedStateError(StateError):
    """The official CLI has written the state compressed."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"{key} is compressed, and only plain .json is read here. Take PULUMI_DIY_BACKEND_GZIP (or the newer "
            "setting of a compression) out of the environment of the official CLI and let it write the state once more"
        )
        self.key = key


class ForeignSecretsError(StateError):
    """A state whose secrets are sealed by another provider than a passphrase."""

    def __init__(self, place: str, provider: str) -> None:
        super().__init__(
            f"{place}: secrets provider {provider!r}; only passphrase is known here. Change it with the official CLI: "
            "`pulumi stack change-secrets-provider passphrase`, then export again"
        )
        self.place = place
        self.provider = provider


class StateDroppedError(StateError):
    """A state that is to be imported lacks resources that the present one has."""

    def __init__(self, dropped: Sequence[str]) -> None:
        lines = [f"the given state lacks {len(dropped)} thing(s) that the present one has; they would be forgotten:"]
        lines += [f"  {urn}" for urn in dropped]
        lines.append("name each with --drop URN (a shell pattern), or say --replace to drop whatever is there")
        super().__init__("\n".join(lines))
        self.dropped = tuple(dropped)
