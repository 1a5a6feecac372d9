"""Whatever a run does, and wherever it is cut off: the state is consistent, and everything that exists is in it.

A model of an engine draws runs over a small world of objects, notes what it does as events, and is cut off anywhere;
the next run starts from what was merged, as after a crash.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.engine.providers.base import Operation
from labctl.engine.state import ResourceState, Snapshot, merge, verify
from labctl.engine.state.merge import Begin, Done, Event, Failed, Forget, Outputs, Register, Resolve

ROOT = ResourceState(urn="root", type="pulumi:pulumi:Stack", custom=False)
PROVIDER = ResourceState(urn="provider", type="pulumi:providers:x", custom=True, id="p")
ACTIONS = ("same", "update", "replace", "delete-first", "fail")


@dataclass(frozen=True)
class Wanted:
    """One resource of a program."""

    name: str
    dependencies: tuple[str, ...]
    action: str


@st.composite
def programs(draw: st.DrawFn) -> list[Wanted]:
    names = draw(st.lists(st.sampled_from("abcdefg"), unique=True, max_size=6))
    return [
        Wanted(
            name,
            tuple(draw(st.lists(st.sampled_from(names[:index]), unique=True, max_size=2))) if index else (),
            draw(st.sampled_from(ACTIONS)),
        )
        for index, name in enumerate(names)
    ]


@dataclass
class Engine:
    """Runs a program over `world`, noting after each event what surely exists then."""

    old: Snapshot
    world: set[tuple[str, str]]
    fresh: int = 0
    events: list[Event] = field(default_factory=list[Event])
    moments: list[set[tuple[str, str]]] = field(default_factory=list[set[tuple[str, str]]])
    maybe: list[tuple[str, str] | None] = field(default_factory=list[tuple[str, str] | None])
    failed: set[str] = field(default_factory=set[str])
    gone: set[str] = field(default_factory=set[str])
    number: int = 0

    def note(self, event: Event, maybe: tuple[str, str] | None = None) -> None:
        self.events.append(event)
        self.moments.append(set(self.world))
        self.maybe.append(maybe)

    def operate(self, operation: Operation, state: ResourceState, new: ResourceState | None, **how: bool) -> None:
        """Begin, change the world, end: between the two it may be one way or the other."""
        self.number += 1
        created = (state.urn, new.id) if operation is Operation.CREATING and new is not None else None
        if operation is Operation.DELETING:
            self.world.discard((state.urn, state.id))
        self.note(Begin(number=self.number, operation=operation, state=state), created)
        if created:
            self.world.add(created)
        self.note(Done(number=self.number, new=new, **how))

    def run(self, program: list[Wanted]) -> None:
        self.note(Register(state=ROOT))
        self.note(Register(state=PROVIDER))
        retired: list[ResourceState] = []
        for wanted in program:
            if not self.failed.isdisjoint(wanted.dependencies):
                self.failed.add(wanted.name)
                continue
            self.step(wanted, retired)
        self.note(Outputs(urn="root", outputs={"n": len(program)}))
        if not self.failed:
            self.clean({wanted.name for wanted in program}, retired)

    def step(self, wanted: Wanted, retired: list[ResourceState]) -> None:
        old = self.old.get(wanted.name)
        alive = old is not None and wanted.name not in self.gone and not old.pending_replacement
        self.fresh += 1
        new = ResourceState(
            urn=wanted.name,
            type="x:y:Z",
            custom=True,
            parent="root",
            provider="provider::p",
            dependencies=wanted.dependencies,
        )
        made = replace(new, id=f"{wanted.name}{self.fresh}", modified=str(self.fresh))
        if wanted.action == "fail":
            self.number += 1
            operation = Operation.UPDATING if alive else Operation.CREATING
            self.note(Begin(number=self.number, operation=operation, state=new))
            self.note(Failed(number=self.number))
            self.failed.add(wanted.name)
        elif old is None or not alive:
            self.operate(Operation.CREATING, new, made)
        elif wanted.action == "same":
            self.note(Register(state=replace(old, dependencies=wanted.dependencies)))
        elif wanted.action == "update":
            self.operate(Operation.UPDATING, new, replace(made, id=old.id))
        elif wanted.action == "replace":
            self.operate(Operation.CREATING, new, made)
            retired.append(old)
        else:
            self.delete_first(old)
            self.operate(Operation.CREATING, new, made)

    def delete_first(self, old: ResourceState) -> None:
        doomed = {old.urn}
        chain = [old]
        for state in self.old.resources:
            if not state.delete and not doomed.isdisjoint(state.dependencies):
                doomed.add(state.urn)
                chain.append(state)
        for state in reversed(chain):
            if state.urn not in self.gone and not state.pending_replacement:
                self.gone.add(state.urn)
                self.operate(Operation.DELETING, state, None, replacing=True)

    def clean(self, wanted: set[str], retired: list[ResourceState]) -> None:
        for state in reversed(self.old.resources):
            hidden = state.urn in {"root", "provider"}
            if hidden or (state.urn in wanted and not state.delete):
                continue
            if state.pending_replacement or (state.urn in self.gone and not state.delete):
                self.note(Forget(state=state))
            else:
                self.operate(Operation.DELETING, state, None)
        for state in reversed(retired):
            self.operate(Operation.DELETING, state, None)
        for pending in self.old.pending_operations:
            self.world.discard((pending.resource.urn, pending.resource.id))
            self.note(Resolve(urn=pending.resource.urn))


def check(snapshot: Snapshot, exists: set[tuple[str, str]], maybe: tuple[str, str] | None) -> None:
    verify(snapshot.resources)
    held = {(state.urn, state.id) for state in snapshot.resources if not state.pending_replacement}
    pending = {item.resource.urn for item in snapshot.pending_operations if item.operation is Operation.CREATING}
    assert exists <= held, exists - held
    if maybe is not None:
        assert maybe[0] in pending


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(programs(), st.floats(0, 1)), min_size=1, max_size=4))
def test_any_run_cut_off_anywhere_loses_nothing(runs: list[tuple[list[Wanted], float]]) -> None:
    snapshot, fresh = Snapshot(), 0
    world: set[tuple[str, str]] = set()
    for program, share in runs:
        engine = Engine(snapshot, set(world), fresh)
        engine.run(program)
        cut = round(share * len(engine.events))
        for length in range(len(engine.events) + 1):
            merged = merge(snapshot, engine.events[:length])
            if length:
                check(merged, engine.moments[length - 1], engine.maybe[length - 1])
        fresh = engine.fresh
        if cut == len(engine.events):
            snapshot, world = merge(snapshot, engine.events), engine.world
        elif cut:
            snapshot, world = merge(snapshot, engine.events[:cut]), set(engine.moments[cut - 1])


@given(programs())
def test_a_whole_run_leaves_what_the_program_wants(program: list[Wanted]) -> None:
    program = [replace(wanted, action="update") if wanted.action == "fail" else wanted for wanted in program]
    first = Engine(Snapshot(), set())
    first.run([replace(wanted, action="same") for wanted in program])
    between = merge(Snapshot(), first.events)
    second = Engine(between, first.world, first.fresh)
    second.run(program)
    merged = merge(between, second.events)
    assert [state.urn for state in merged.resources] == ["root", "provider", *(wanted.name for wanted in program)]
    assert not any(state.delete or state.pending_replacement for state in merged.resources)
    assert {(state.urn, state.id) for state in merged.resources if state.parent} == second.world
    assert merged.pending_operations == ()
    assert merged.resources[0].outputs == {"n": len(program)}


def test_ids_that_say_nothing_do_not_confuse_old_and_new() -> None:
    old = ResourceState(urn="password", type="x:y:Z", custom=True, id="none", inputs={"length": 1})
    new = replace(old, inputs={"length": 2})
    events: list[Event] = [
        Begin(number=1, operation=Operation.CREATING, state=new),
        Done(number=1, new=new),
        Begin(number=2, operation=Operation.DELETING, state=old),
    ]
    between = merge(Snapshot((old,)), events[:2])
    assert between.resources == (new, replace(old, delete=True))
    assert merge(Snapshot((old,)), [*events, Done(number=2, new=None)]).resources == (new,)


def test_pending_operations_last_until_they_are_dealt_with() -> None:
    state = ResourceState(urn="a", type="x:y:Z", custom=True, id="a")
    begin = Begin(number=1, operation=Operation.UPDATING, state=state)
    pending = merge(Snapshot((state,)), [begin])
    assert [item.operation for item in pending.pending_operations] == [Operation.UPDATING]
    assert merge(pending, []).pending_operations == pending.pending_operations
    assert merge(pending, [Register(state=state)]).pending_operations == pending.pending_operations
    assert merge(pending, [begin, Failed(number=1)]).pending_operations == pending.pending_operations
    assert len(merge(pending, [begin]).pending_operations) == 1
    assert merge(pending, [Resolve(urn="a")]).pending_operations == ()
    assert merge(pending, [begin, Done(number=1, new=state)]).pending_operations == ()


def test_deleted_to_be_made_again_stays_known_until_it_is() -> None:
    old = ResourceState(urn="a", type="x:y:Z", custom=True, id="a1")
    user = ResourceState(urn="b", type="x:y:Z", custom=True, id="b1", dependencies=("a",))
    deletion: list[Event] = [
        Begin(number=1, operation=Operation.DELETING, state=old),
        Done(number=1, new=None, replacing=True),
    ]
    between = merge(Snapshot((old, user)), deletion)
    assert between.resources == (replace(old, pending_replacement=True), user)
    new = replace(old, id="a2")
    creation: list[Event] = [Begin(number=1, operation=Operation.CREATING, state=new), Done(number=1, new=new)]
    assert merge(between, creation).resources == (new, user)
    assert merge(between, [Forget(state=between.resources[0])]).resources == (replace(user, dependencies=()),)
