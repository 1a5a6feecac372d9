"""The stack's state: readable or not, who holds its lock, what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.engine.state import (
    PassphraseMissingError,
    Snapshot,
    StateError,
    UpdateKind,
    WrongPassphraseError,
)
from labctl.graph.values import as_mapping, as_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.engine.state import LockHolder, ResourceState
    from labctl.lab import Lab

__all__ = ["StateFacts", "state_facts"]


@dataclass(frozen=True, kw_only=True)
class StateFacts:
    """The state of one stack."""

    snapshot: Snapshot
    holders: tuple[LockHolder, ...] = ()
    """Who holds its lock."""
    failure: str = ""
    """Why it cannot be read; then it is shown empty."""
    is_closed: bool = False
    """Whether it is only the passphrase that is missing."""

    @property
    def exists(self) -> bool:
        """Whether anything was ever brought up."""
        return bool(self.snapshot.resources)

    def of_type(self, type_: str) -> Iterator[ResourceState]:
        """Yield the live resources of a type."""
        return (state for state in self.snapshot.live.values() if state.type == type_)

    def objects(self, type_: str) -> tuple[tuple[str, str], ...]:
        """Return namespace and name of the Kubernetes objects of a type, sorted."""
        found: set[tuple[str, str]] = set()
        for state in self.of_type(type_):
            metadata = as_mapping(state.outputs.get("metadata")) or as_mapping(state.inputs.get("metadata"))
            found.add((as_text(metadata.get("namespace")), as_text(metadata.get("name"))))
        return tuple(sorted(found))


def state_facts(lab: Lab) -> StateFacts:
    """Return the state of a lab, unlocked and unchanged; one that cannot be read says why."""
    empty = Snapshot(())
    try:
        holders = lab.files().lock().others()
    except (StateError, OSError) as error:
        return StateFacts(snapshot=empty, failure=str(error))
    try:
        snapshot = lab.open(UpdateKind.PREVIEW).snapshot
    except (PassphraseMissingError, WrongPassphraseError) as error:
        return StateFacts(snapshot=empty, holders=holders, failure=str(error), is_closed=True)
    except (StateError, OSError) as error:
        return StateFacts(snapshot=empty, holders=holders, failure=str(error))
    return StateFacts(snapshot=snapshot, holders=holders)
