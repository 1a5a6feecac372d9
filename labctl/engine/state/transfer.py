"""Moving a state between this engine and the official CLI: what ``pulumi stack export`` and ``import`` exchange."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from labctl.graph.values import SECRET_SIGNATURE, SIGNATURE_KEY

from .about import UpdateAbout
from .backend import STATE_VERSION, UpdateKind, salt_of
from .exceptions import (
    CiphertextError,
    ForeignSecretsError,
    ForeignStackError,
    JournalMismatchError,
    MalformedStateError,
    PassphraseMissingError,
    SnapshotIntegrityError,
    StateDroppedError,
    WrongPassphraseError,
)
from .passphrase import SecretsManager
from .snapshot import Snapshot, settle
from .stack import read_stack, settled
from .wire import Codec

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.graph.values import Plain

    from .backend import StackFiles
    from .passphrase import Passphrase
    from .resource import PendingOperation, ResourceState
    from .wire import PlainObject

__all__ = ["SIMULATED_KEY", "Export", "Given", "check_given", "export_deployment", "import_deployment", "reveal"]

SIMULATED_KEY: Final = "__labSimulated"
"""Output of a resource that was recorded and not installed (a chart that could not be reached, on simulated nodes)."""
PLACE: Final = "the given deployment"
UNREADABLE: Final = (
    CiphertextError,
    ForeignSecretsError,
    JournalMismatchError,
    MalformedStateError,
    PassphraseMissingError,
    SnapshotIntegrityError,
    WrongPassphraseError,
)
"""Why a state cannot be read, and may all the same be replaced."""


@dataclass(frozen=True)
class Export:
    """A deployment to hand over."""

    deployment: PlainObject
    """``{"version": 3, "deployment": DeploymentV3}``; secrets stay sealed."""
    left_out: tuple[str, ...]
    """URNs of resources that were only recorded, so that the official CLI's first ``up`` installs them."""


def export_deployment(snapshot: Snapshot, codec: Codec) -> Export:
    """Return what ``pulumi stack import`` takes. It needs the same passphrase there.

    What depended on a resource that is left out no longer does, and its children get its parent: the program says
    both anew at the first ``up``.
    """
    left_out = {state.urn: state for state in snapshot.resources if state.outputs.get(SIMULATED_KEY) is True}
    kept = [_adopted(state, left_out) for state in snapshot.resources if state.urn not in left_out]
    pending = tuple(item for item in snapshot.pending_operations if item.resource.urn not in left_out)
    exported = Snapshot(settle(kept), pending, snapshot.extra)
    deployment: PlainObject = {"version": STATE_VERSION, "deployment": exported.to_json(codec)}
    return Export(deployment, tuple(left_out))


def _adopted(state: ResourceState, left_out: dict[str, ResourceState]) -> ResourceState:
    parent = state.parent
    while parent in left_out:
        parent = left_out[parent].parent
    return state if parent == state.parent else replace(state, parent=parent)


@dataclass(frozen=True, kw_only=True)
class Given:
    """A deployment that was handed over, checked: of this stack, consistent, its secrets opened and sealed again."""

    snapshot: Snapshot
    codec: Codec
    checkpoint: bytes
    """What is written."""

    def missing(self, present: Snapshot) -> tuple[str, ...]:
        """Return what `present` has and this has not: URNs, of pending operations with what they are, sorted."""
        here = {(state.urn, state.delete) for state in self.snapshot.resources}
        pending = {_named(item) for item in self.snapshot.pending_operations}
        gone = {state.urn for state in present.resources if (state.urn, state.delete) not in here}
        return tuple(sorted(gone | ({_named(item) for item in present.pending_operations} - pending)))

    def added(self, present: Snapshot) -> tuple[str, ...]:
        """Return the URNs that this has and `present` has not, sorted."""
        return tuple(sorted(self.snapshot.live.keys() - present.live.keys()))


def _named(pending: PendingOperation) -> str:
    return f"{pending.resource.urn} ({pending.operation.value}, not known to have ended)"


def check_given(
    files: StackFiles, given: Plain, passphrases: tuple[Passphrase, ...], *, salt: str | None = None
) -> Given:
    """Return what `given` would make of the stack; nothing is written, and `given` is taken over.

    Parameters
    ----------
    given
        What ``pulumi stack export`` printed, with its secrets sealed or shown.
    salt
        ``encryptionsalt:`` of the stack's file, which its secrets are sealed under then; None: the one it brings, or a
        new one.

    Raises
    ------
    MalformedStateError, SnapshotIntegrityError, ForeignStackError, ForeignSecretsError
        It is no consistent deployment of version 3 of this stack, sealed by a passphrase.
    PassphraseMissingError, WrongPassphraseError, CiphertextError
        Its secrets cannot be opened, or not be sealed again.
    """
    deployment = given.get("deployment") if isinstance(given, dict) else None
    if not isinstance(given, dict) or given.get("version") != STATE_VERSION or not isinstance(deployment, dict):
        raise MalformedStateError(PLACE, f'give {{"version": {STATE_VERSION}, "deployment": ...}}')
    try:
        return _checked(files, deployment, passphrases, salt)
    except RecursionError as error:
        raise MalformedStateError(PLACE, "a value is nested too deeply") from error
    except UnicodeEncodeError as error:
        raise MalformedStateError(PLACE, "a text holds half a character (a lone surrogate such as \\ud800)") from error


def _checked(
    files: StackFiles, deployment: PlainObject, passphrases: tuple[Passphrase, ...], salt: str | None
) -> Given:
    brought = salt_of(deployment, PLACE)
    reading = Codec(SecretsManager(brought, passphrases))
    snapshot = Snapshot.from_json(deployment, reading, PLACE)
    prefix = f"urn:pulumi:{files.stack}::{files.project}::"
    for state in snapshot.resources:
        if not state.urn.startswith(prefix):
            raise ForeignStackError(state.urn, files.stack, files.project)
    if brought is not None and passphrases:
        reading.manager.encrypt("")  # the first run would find out, and too late
    writing = reading if salt in {None, brought} else Codec(SecretsManager(salt, passphrases))
    return Given(snapshot=snapshot, codec=writing, checkpoint=files.checkpoint(snapshot.to_json(writing)))


def import_deployment(  # noqa: PLR0913 - what is given, and what may be done with it
    files: StackFiles,
    given: Plain,
    passphrases: tuple[Passphrase, ...],
    *,
    salt: str | None = None,
    may_drop: Callable[[str], bool] | None = None,
    about: UpdateAbout | None = None,
) -> Given:
    """Make `given` the stack's state, as ``pulumi stack import`` does, and return it.

    The state before, with what a run that was cut off had left, is in ``.json.bak``. Everything is checked first.

    Parameters
    ----------
    given, salt
        See `check_given`.
    may_drop
        Tells of a thing that only the present state has whether it may be forgotten; None: whatever is there may be,
        also what cannot be read.
    about
        What the history says of it.

    Raises
    ------
    StateDroppedError
        The present state has what `given` lacks and may not be forgotten.
    StackLockedError
        Another process is changing the stack.
    StateError
        See `check_given`; nothing has changed then.
    """
    start = time.time()
    checked = check_given(files, given, passphrases, salt=salt)
    lock = files.lock()
    lock.acquire()
    try:
        files.refuse_official_journal()
        files.journal.take_over(lock.id)
        before = _before(files, checked, passphrases, may_drop)
        files.write_checkpoint(checked.checkpoint, before)
        files.journal.remove()
        files.write_history(UpdateKind.IMPORT, start=start, succeeded=True, changes={}, about=about or UpdateAbout())
    except BaseException:
        lock.release_if_possible()
        raise
    lock.release()
    return checked


def _before(
    files: StackFiles, checked: Given, passphrases: tuple[Passphrase, ...], may_drop: Callable[[str], bool] | None
) -> bytes | None:
    """Return the checkpoint that is to be replaced, complete, once it is known that it may be."""
    try:
        read = read_stack(files, passphrases, None)
        dropped = [] if may_drop is None else [urn for urn in checked.missing(read.snapshot) if not may_drop(urn)]
        if dropped:
            raise StateDroppedError(dropped)
        return settled(files, read).content
    except UNREADABLE:
        if may_drop is not None:
            raise
        return files.read_checkpoint()


def reveal(deployment: PlainObject, codec: Codec) -> PlainObject:
    """Return an exported deployment with its secrets in plain (``pulumi stack export --show-secrets``)."""
    return cast("PlainObject", _revealed(deployment, codec))


def _revealed(value: Plain, codec: Codec) -> Plain:
    if isinstance(value, list):
        return [_revealed(item, codec) for item in value]
    if not isinstance(value, dict):
        return value
    sealed = value.get("ciphertext")
    if value.get(SIGNATURE_KEY) == SECRET_SIGNATURE and isinstance(sealed, str):
        return {SIGNATURE_KEY: SECRET_SIGNATURE, "plaintext": codec.manager.decrypt(sealed)}
    return {key: _revealed(item, codec) for key, item in value.items()}
