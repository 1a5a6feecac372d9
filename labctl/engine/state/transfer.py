"""Moving a state between this engine and the official CLI: what ``pulumi stack export`` and ``import`` exchange."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from .backend import STATE_VERSION, UpdateKind, salt_of
from .exceptions import ForeignStackError, MalformedStateError
from .passphrase import SecretsManager
from .snapshot import Snapshot, settle
from .wire import Codec

if TYPE_CHECKING:
    from labctl.graph.values import Plain

    from .backend import StackFiles
    from .passphrase import Passphrase
    from .resource import ResourceState
    from .wire import PlainObject

__all__ = ["SIMULATED_KEY", "Export", "export_deployment", "import_deployment"]

SIMULATED_KEY: Final = "__labSimulated"
"""Output of a resource that was recorded and not installed (a chart that could not be reached, on simulated nodes)."""
PLACE: Final = "the given deployment"


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


def import_deployment(files: StackFiles, given: PlainObject, passphrases: tuple[Passphrase, ...]) -> Snapshot:
    """Make `given` the stack's state, as ``pulumi stack import`` does, and return it.

    Its secrets stay sealed as they are, under the salt it brings. The state before is in ``.json.bak``.

    Raises
    ------
    MalformedStateError, SnapshotIntegrityError, ForeignStackError
        It is no consistent deployment of version 3 of this stack; nothing has changed then.
    PassphraseMissingError, WrongPassphraseError, CiphertextError
        Its secrets cannot be opened.
    StackLockedError
        Another process is changing the stack.
    """
    deployment: Plain = given.get("deployment")
    if given.get("version") != STATE_VERSION or not isinstance(deployment, dict):
        raise MalformedStateError(PLACE, f'give {{"version": {STATE_VERSION}, "deployment": ...}}')
    codec = Codec(SecretsManager(salt_of(deployment, PLACE), passphrases))
    start = time.time()
    snapshot = Snapshot.from_json(cast("PlainObject", deployment), codec, PLACE)
    prefix = f"urn:pulumi:{files.stack}::{files.project}::"
    for state in snapshot.resources:
        if not state.urn.startswith(prefix):
            raise ForeignStackError(state.urn, files.stack, files.project)
    lock = files.lock()
    lock.acquire()
    try:
        files.write_checkpoint(files.checkpoint(snapshot.to_json(codec)))
        files.journal_path.unlink(missing_ok=True)
        files.write_history(UpdateKind.IMPORT, start=start, succeeded=True, changes={}, config={})
    finally:
        lock.release()
    return snapshot
