"""What a run did, as events, and the snapshot that they make of the one before.

The rule is that of Pulumi's ``SnapshotManager``: what this run has registered comes first, in the order it was done,
then what the old snapshot holds and this run has not reached. A resource can be registered only after everything it
refers to, and an old one's references are either registered already or still before it, so the order stays right at
every moment; whatever moment a run is cut off at, nothing it knew is lost.

How each kind of step is told (`Stack` has a method for each):

create              ``Begin(CREATING, new)``, ``Done(new)``
create, replacing   the same, with the old one still live: ``Done`` keeps the old one behind the new as ``delete``,
                    and ``Begin(DELETING, old)``, ``Done(None)`` removes it later
delete, replacing   ``Begin(DELETING, old)``, ``Done(None, replacing=True)`` keeps the old one as
                    ``pending_replacement``, so that what refers to it stays right; the following create removes it
update              ``Begin(UPDATING, new)``, ``Done(new)``
same, component     ``Register(state)``
outputs             ``Outputs(urn, outputs)``, for components and the stack
gone (refresh)      ``Forget(state)``
renamed             ``Renamed(former, urn)``, before anything else of the resource that is called `urn` now
failed              ``Failed()``: nothing has changed outside; a resource that exists in part is a ``Done`` with its
                    ``init_errors``
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from labctl.engine.providers.base import Operation

from .resource import PendingOperation, ResourceState
from .snapshot import Snapshot, settle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labctl.graph.values import Inputs

__all__ = ["Begin", "Done", "Event", "Failed", "Forget", "Outputs", "Register", "Renamed", "Resolve", "merge"]


@dataclass(frozen=True, kw_only=True)
class Begin:
    """A provider is about to be asked to change something."""

    number: int
    """Of this operation in this run; its end has the same."""
    operation: Operation
    state: ResourceState
    """What it begins with: the new state of a create or update (its outputs not known yet), the old one of a delete."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """The operation has happened."""

    number: int
    new: ResourceState | None
    """What exists now; None after a delete."""
    replacing: bool = False
    """Delete only: the resource will be created again."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The operation is over and has changed nothing."""

    number: int


@dataclass(frozen=True, kw_only=True)
class Register:
    """The program has registered a resource that no provider was asked to change."""

    state: ResourceState


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """A component or the stack has said what its outputs are."""

    urn: str
    outputs: Inputs


@dataclass(frozen=True, kw_only=True)
class Forget:
    """A resource is no longer there, or no longer anybody's; no provider was asked to delete it."""

    state: ResourceState


@dataclass(frozen=True, kw_only=True)
class Resolve:
    """An operation that an earlier run left pending has been dealt with."""

    urn: str


@dataclass(frozen=True, kw_only=True)
class Renamed:
    """What the old snapshot calls `former` is called `urn` from now on, wherever it is spoken of."""

    former: str
    urn: str


Event: TypeAlias = "Begin | Done | Failed | Register | Outputs | Forget | Resolve | Renamed"
"""One thing that happened in a run."""


def merge(old: Snapshot, events: Iterable[Event]) -> Snapshot:
    """Return the snapshot after `events`, whether they are all of a run or the beginning of it.

    Operations begun and not ended are its pending ones, after those that `old` had and that are not dealt with: a
    ``Done`` or a ``Resolve`` of the same URN does that, a ``Register`` or a ``Failed`` does not.
    """
    merging = _Merging(old)
    for event in events:
        merging.apply(event)
    return merging.result(old)


class _Entries:
    """A list of states with holes, and the places of each URN in it."""

    def __init__(self, states: Iterable[ResourceState] = ()) -> None:
        self.states: list[ResourceState | None] = []
        self.live: dict[str, int] = {}
        self.places: dict[str, list[int]] = {}
        for state in states:
            self.append(state)

    def append(self, state: ResourceState) -> None:
        place = len(self.states)
        self.states.append(state)
        self.places.setdefault(state.urn, []).append(place)
        if not state.delete:
            self.live[state.urn] = place

    def get(self, urn: str) -> ResourceState | None:
        place = self.live.get(urn)
        return None if place is None else self.states[place]

    def set(self, urn: str, state: ResourceState) -> None:
        self.states[self.live[urn]] = state
        if state.delete:
            del self.live[urn]

    def rename(self, former: str, urn: str) -> None:
        for place in self.places.pop(former, ()):
            state = self.states[place]
            self.states[place] = None if state is None else replace(state, urn=urn)
            self.places.setdefault(urn, []).append(place)
        if former in self.live:
            self.live[urn] = self.live.pop(former)

    def drop(self, place: int, urn: str) -> None:
        self.states[place] = None
        if self.live.get(urn) == place:
            del self.live[urn]

    def find(self, wanted: ResourceState, *, delete: bool) -> int | None:
        for place in self.places.get(wanted.urn, ()):
            state = self.states[place]
            if state is not None and state.id == wanted.id and state.delete is delete:
                return place
        return None


class _Merging:
    """The two lists of a merge."""

    def __init__(self, old: Snapshot) -> None:
        self.new = _Entries()
        self.old = _Entries(old.resources)
        self.begun: dict[int, Begin] = {}
        self.resolved: set[str] = set()
        self.names: dict[str, str] = {}
        """Former URNs, and what they are now."""

    def apply(self, event: Event) -> None:
        if isinstance(event, Begin):
            self.begun[event.number] = event
        elif isinstance(event, Done):
            self.finish(self.begun.pop(event.number), event)
        elif isinstance(event, Failed):
            self.begun.pop(event.number)
        elif isinstance(event, Register):
            self.put(event.state)
        elif isinstance(event, Outputs):
            self.set_outputs(event)
        elif isinstance(event, Forget):
            self.remove(event.state, pending_replacement=False)
        elif isinstance(event, Renamed):
            self.names[event.former] = event.urn
            self.old.rename(event.former, event.urn)
        else:
            self.resolved.add(self.now(event.urn))

    def now(self, urn: str) -> str:
        return self.names.get(urn, urn)

    def finish(self, begun: Begin, done: Done) -> None:
        self.resolved.add(self.now(begun.state.urn))
        if begun.operation is Operation.DELETING:
            self.remove(begun.state, pending_replacement=done.replacing)
        elif done.new is not None:
            if begun.operation is Operation.CREATING:
                self.retire(begun.state.urn)
            self.put(done.new)

    def retire(self, urn: str) -> None:
        """Keep the live predecessor of a created resource as one to be deleted, if there is anything behind it."""
        for entries in (self.old, self.new):
            state = entries.get(urn)
            if state is not None and not state.pending_replacement:
                entries.set(urn, replace(state, delete=True))

    def put(self, state: ResourceState) -> None:
        """Append `state`, or put it where this run has had it before; the old list no longer has it."""
        place = self.old.live.get(state.urn)
        if place is not None:
            self.old.drop(place, state.urn)
        if self.new.get(state.urn) is None:
            self.new.append(state)
        else:
            self.new.set(state.urn, state)

    def set_outputs(self, event: Outputs) -> None:
        for entries in (self.new, self.old):
            state = entries.get(event.urn)
            if state is not None:
                entries.set(event.urn, replace(state, outputs=event.outputs))
                return

    def remove(self, gone: ResourceState, *, pending_replacement: bool) -> None:
        """Remove the entry that `gone` stands for, or mark it as deleted and to be created again.

        An entry is found by URN, id and ``delete``. Two may share all three when ids say nothing (``none`` of a
        RandomPassword); either is as good then. One that this run has retired is found by its state from before,
        too, ahead of its successor of the same id.
        """
        gone = gone.renamed(self.names)
        for entries, delete in ((self.old, gone.delete), (self.old, True), (self.new, True), (self.new, gone.delete)):
            place = entries.find(gone, delete=delete)
            state = None if place is None else entries.states[place]
            if place is not None and state is not None:
                if pending_replacement:
                    entries.states[place] = replace(state, pending_replacement=True)
                else:
                    entries.drop(place, gone.urn)
                return

    def result(self, old: Snapshot) -> Snapshot:
        lists = (self.new.states, self.old.states)
        states = [state.renamed(self.names) for states in lists for state in states if state is not None]
        begun = [self.pending(item.operation, item.state) for item in self.begun.values()]
        again = {(item.operation, item.resource.urn) for item in begun}
        left = [
            self.pending(item.operation, item.resource)
            for item in old.pending_operations
            if self.now(item.resource.urn) not in self.resolved
            and (item.operation, self.now(item.resource.urn)) not in again
        ]
        return Snapshot(settle(states), (*left, *begun), old.extra)

    def pending(self, operation: Operation, state: ResourceState) -> PendingOperation:
        """Return an operation under the name of now; a creation keeps its own: what it made is recognised by that."""
        resource = state if operation is Operation.CREATING else state.renamed(self.names)
        return PendingOperation(operation=operation, resource=resource)
