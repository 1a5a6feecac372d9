"""The next step for a node: a row per case, and whatever an interruption leaves is brought to an end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reslice_world import (
    EVICTING,
    FORMER,
    LAYOUT,
    MIG_MANAGER,
    NEW,
    OLD,
    OPERANDS,
    OTHER,
    POLICY,
    SHARING,
    START,
    World,
    at,
    facts,
    holder,
    record,
    under_change,
)

from components.gpu.reslice.decide import Circumstances, decide
from components.gpu.reslice.document import NodeGoal
from components.gpu.reslice.facts import Kind, NodeFacts
from components.gpu.reslice.record import Former, Phase
from components.gpu.reslice.steps import (
    Cordon,
    Evict,
    Finish,
    Label,
    Notify,
    Outcome,
    Report,
    Restart,
    Step,
    Wait,
    Write,
)

BUSY = (holder(),)
EVICT_AT = START + timedelta(minutes=15)
TOLD = "2026-11-22T12:15:00Z"
FRESH = tuple(replace(pod, uid=f"{pod.uid}-fresh") for pod in OPERANDS)
STALE: dict[str, object] = {"stale": {pod.app: pod.uid for pod in OPERANDS}}
CUT: dict[str, Any] = {"labels": NEW.labels, "owned": frozenset(NEW.labels)}

CASES: list[tuple[str, NodeFacts | None, Circumstances, Step | type[Step] | tuple[type[Step], str]]] = [
    ("no such node", None, at(), Report(outcome=Outcome.NOT_REACHED, reason="there is no such node")),
    (
        "as planned",
        facts(**CUT, allocatable=NEW.allocatable),
        at(),
        Report(outcome=Outcome.UNCHANGED, reason=""),
    ),
    (
        "as planned, labels somebody else's",
        facts(labels=NEW.labels, owned=frozenset(), allocatable=NEW.allocatable),
        at(),
        Label(labels=NEW.labels, marks_pending=False),
    ),
    (
        "labels set, operator not there yet",
        facts(**CUT, allocatable={}, state=None),
        at(),
        (Wait, "no GPUs and not 2x"),
    ),
    (
        "labels set, operator never came",
        facts(**CUT, allocatable={}, state=None, operands=()),
        at(601),
        (Report, "not-as-planned"),
    ),
    ("labels set, something else for long, busy", facts(**CUT, holders=BUSY), at(601), (Report, "not-as-planned")),
    ("labels set, something else for long, idle", facts(**CUT), at(601), Cordon),
    ("labels set, a cut failed before", facts(**CUT, state="failed"), at(), Cordon),
    ("not Ready", facts(is_ready=False), at(), (Wait, "not Ready")),
    ("not Ready for long", facts(is_ready=False), at(601), (Report, "not-reached")),
    ("another cut went wrong", facts(), at(failed="gpu-9"), (Report, "because gpu-9 did not")),
    ("no room in the batch", facts(), at(may_begin=False), Wait(reason="waiting for its turn", until=None)),
    ("its turn", facts(), at(), Cordon(record=record(Phase.DRAINING))),
    ("its turn, busy", facts(holders=BUSY), at(), Cordon(record=record(Phase.DRAINING))),
    (
        "its turn, cordoned by somebody else",
        facts(is_unschedulable=True),
        at(),
        Cordon(record=record(Phase.DRAINING, cordoned=False)),
    ),
    ("draining, somebody uncordoned it", replace(under_change(Phase.DRAINING), is_unschedulable=False), at(), Cordon),
    (
        "draining, empty",
        under_change(Phase.DRAINING),
        at(5),
        Write(record=record(Phase.REFRESHING, since=at(5).now, **STALE)),
    ),
    ("draining, busy", under_change(Phase.DRAINING, holders=BUSY), at(3599), (Wait, "users/notebook")),
    (
        "draining, busy for too long",
        under_change(Phase.DRAINING, holders=BUSY),
        at(3600),
        Finish(outcome=Outcome.BUSY, reason="still busy after 1h: users/notebook", uncordons=True),
    ),
    (
        "busy for too long, not our cordon",
        under_change(Phase.DRAINING, record_has={"cordoned": False}, holders=BUSY),
        at(3600),
        Finish(outcome=Outcome.BUSY, reason="still busy after 1h: users/notebook", uncordons=False),
    ),
    (
        "an old deadline, and a run that begins now",
        under_change(Phase.DRAINING, holders=BUSY),
        at(9000, started=START + timedelta(seconds=9000)),
        Wait,
    ),
    (
        "evicting, nobody told",
        under_change(Phase.DRAINING, holders=BUSY),
        at(change=EVICTING, may_evict=True),
        Write(record=record(Phase.DRAINING, evict_at=EVICT_AT)),
    ),
    (
        "evicting, one not told",
        under_change(Phase.DRAINING, record_has={"evict_at": EVICT_AT}, holders=BUSY),
        at(change=EVICTING, may_evict=True),
        Notify(pods=BUSY, at=EVICT_AT),
    ),
    (
        "evicting, before its time",
        under_change(Phase.DRAINING, record_has={"evict_at": EVICT_AT}, holders=(holder(told=TOLD),)),
        at(899, change=EVICTING, may_evict=True),
        (Wait, f"told to end by {TOLD}"),
    ),
    (
        "evicting",
        under_change(Phase.DRAINING, record_has={"evict_at": EVICT_AT}, holders=(holder(told=TOLD),)),
        at(900, change=EVICTING, may_evict=True),
        Evict(pods=(holder(told=TOLD),)),
    ),
    (
        "evicting, only a static pod is left",
        under_change(Phase.DRAINING, record_has={"evict_at": EVICT_AT}, holders=(holder(kind=Kind.STATIC),)),
        at(900, change=EVICTING, may_evict=True),
        (Wait, "a static pod: its host's administrator ends it"),
    ),
    (
        "evicting, a DaemonSet's pod is left",
        under_change(Phase.DRAINING, record_has={"evict_at": EVICT_AT}, holders=(holder(kind=Kind.DAEMON),)),
        at(3600, change=EVICTING, may_evict=True),
        (Finish, "its DaemonSet would start it again"),
    ),
    (
        "evicting, a budget forbids it to the end",
        under_change(Phase.DRAINING, record_has={"evict_at": EVICT_AT}, holders=(holder(told=TOLD),)),
        at(3600, change=EVICTING, may_evict=True, hindrances={"notebook-uid": "budget keeps-it needs 1"}),
        Finish(
            outcome=Outcome.BUSY,
            reason="still busy after 1h: users/notebook (budget keeps-it needs 1)",
            uncordons=True,
            told=(holder(told=TOLD),),
        ),
    ),
    (
        "refreshing",
        under_change(Phase.REFRESHING, record_has=STALE),
        at(),
        Restart(pods=OPERANDS, marks_pending=True),
    ),
    (
        "refreshing, MIG manager still at work",
        under_change(Phase.REFRESHING, record_has=STALE, state="pending"),
        at(299),
        (Wait, "still at work on an earlier layout"),
    ),
    (
        "refreshing, MIG manager hangs",
        under_change(Phase.REFRESHING, record_has=STALE, state="pending"),
        at(301),
        Restart,
    ),
    (
        "refreshing, one not back",
        under_change(Phase.REFRESHING, record_has=STALE, operands=FRESH[1:]),
        at(),
        (Wait, "nvidia-mig-manager to start anew"),
    ),
    (
        "refreshing, never back",
        under_change(Phase.REFRESHING, record_has=STALE, operands=FRESH[1:]),
        at(600),
        (Finish, "not-refreshed"),
    ),
    (
        "refreshing, a pod came",
        under_change(Phase.REFRESHING, holders=BUSY),
        at(),
        Write(record=record(Phase.DRAINING)),
    ),
    (
        "refreshed, MIG manager looks at the old layout",
        under_change(Phase.REFRESHING, record_has=STALE, operands=FRESH, state="pending"),
        at(),
        (Wait, "the former layout"),
    ),
    (
        "refreshed",
        under_change(Phase.REFRESHING, record_has=STALE, operands=FRESH),
        at(7),
        Write(record=record(Phase.CUTTING, since=at(7).now)),
    ),
    (
        "refreshed, no operator",
        under_change(Phase.REFRESHING, operands=(), state=None),
        at(),
        Write(record=record(Phase.CUTTING)),
    ),
    ("cutting", under_change(Phase.CUTTING), at(), Label(labels=NEW.labels, marks_pending=True)),
    (
        "cutting, no operator",
        under_change(Phase.CUTTING, operands=(), state=None),
        at(),
        Label(labels=NEW.labels, marks_pending=False),
    ),
    ("cutting, a pod came", under_change(Phase.CUTTING, holders=BUSY), at(), Write(record=record(Phase.DRAINING))),
    (
        "cutting, somebody uncordoned it",
        replace(under_change(Phase.CUTTING), is_unschedulable=False),
        at(),
        Write(record=record(Phase.DRAINING)),
    ),
    ("cut, at work", under_change(Phase.CUTTING, **CUT, state="pending"), at(), Wait),
    (
        "cut, offered, at work",
        under_change(Phase.CUTTING, **CUT, state="pending", allocatable=NEW.allocatable),
        at(),
        Wait,
    ),
    (
        "cut, offered",
        under_change(Phase.CUTTING, **CUT, allocatable=NEW.allocatable),
        at(9, confirm=timedelta(seconds=10), expected_since=START),
        Wait,
    ),
    (
        "cut, offered for a while",
        under_change(Phase.CUTTING, **CUT, allocatable=NEW.allocatable),
        at(10, confirm=timedelta(seconds=10), expected_since=START),
        Finish(outcome=Outcome.CHANGED, reason="", uncordons=True),
    ),
    ("cut, not offered yet", under_change(Phase.CUTTING, **CUT), at(599), Wait),
    (
        "cut, failed",
        under_change(Phase.CUTTING, **CUT, state="failed"),
        at(),
        (Write, "the MIG manager failed"),
    ),
    ("cut, never offered", under_change(Phase.CUTTING, **CUT), at(600), (Write, "after 10m")),
    (
        "cut for the first time, never offered",
        under_change(Phase.CUTTING, record_has={"former": Former(labels={}, allocatable={})}, **CUT, allocatable={}),
        at(600),
        (Finish, "not-as-planned"),
    ),
    (
        "rolling back",
        under_change(Phase.ROLLING_BACK, **CUT, state="failed"),
        at(),
        Label(labels=OLD.labels, marks_pending=True),
    ),
    ("rolling back, a pod came", under_change(Phase.ROLLING_BACK, **CUT, holders=BUSY), at(), Wait),
    ("rolling back, pods stay", under_change(Phase.ROLLING_BACK, **CUT, holders=BUSY), at(600), (Write, "GPUs in use")),
    (
        "rolling back, MIG manager hangs",
        under_change(Phase.ROLLING_BACK, record_has=STALE, state="pending", allocatable={}),
        at(),
        Restart(pods=OPERANDS, marks_pending=True),
    ),
    (
        "rolled back",
        under_change(Phase.ROLLING_BACK, record_has={"failure": "why"}),
        at(),
        Finish(outcome=Outcome.ROLLED_BACK, reason="why", uncordons=True),
    ),
    ("rolled back, not offered", under_change(Phase.ROLLING_BACK, allocatable={}), at(599), Wait),
    ("rolled back, never offered", under_change(Phase.ROLLING_BACK, allocatable={}), at(600), (Write, "stuck")),
    ("rolled back, failed too", under_change(Phase.ROLLING_BACK, state="failed"), at(), (Write, "stuck")),
    (
        "stuck in this run",
        under_change(Phase.STUCK, record_has={"failure": "why"}),
        at(),
        Report(outcome=Outcome.STUCK, reason="why"),
    ),
    (
        "stuck since an earlier run",
        under_change(Phase.STUCK),
        at(60, started=START + timedelta(seconds=60)),
        Write(record=record(Phase.DRAINING, begun=at(60).now, since=at(60).now)),
    ),
]


@pytest.mark.parametrize(
    ("node", "circumstances", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_next_step(
    node: NodeFacts | None, circumstances: Circumstances, expected: Step | type[Step] | tuple[type[Step], str]
) -> None:
    step = decide(node, NEW, circumstances)
    if isinstance(expected, tuple):
        kind, text = expected
        assert isinstance(step, kind)
        assert text in str(step)
    elif isinstance(expected, type):
        assert isinstance(step, expected)
    else:
        assert step == expected


@pytest.mark.parametrize("phase", Phase)
def test_another_goal_starts_from_draining_and_keeps_what_was_before(phase: Phase) -> None:
    step = decide(under_change(phase, record_has={"failure": "why", "evict_at": EVICT_AT}), OTHER, at(9))
    assert step == Write(record=record(Phase.DRAINING, goal=OTHER, begun=at(9).now, since=at(9).now))


def test_another_groups_record_is_taken_over() -> None:
    step = decide(under_change(Phase.CUTTING, record_has={"manager": "reslice-test-b200"}), NEW, at())
    assert step == Write(record=record(Phase.DRAINING))


def test_a_label_without_a_mig_manager_is_not_waited_for() -> None:
    """Time-slicing on a GPU without MIG: there is no answer, and a failure of long ago is not this change's."""
    goal = NodeGoal(labels={SHARING: "turns-1"}, allocatable={"nvidia.com/gpu.shared": 4})
    node = under_change(
        Phase.CUTTING,
        record_has={"goal": goal, "former": Former(labels={SHARING: "exclusive"}, allocatable={"nvidia.com/gpu": 1})},
        labels=goal.labels,
        owned=frozenset(goal.labels),
        allocatable=goal.allocatable,
        state="failed",
        operands=(MIG_MANAGER,),
    )
    assert decide(node, goal, at()) == Finish(outcome=Outcome.CHANGED, reason="", uncordons=True)


# What an interruption can leave: any phase, with any part of what the phase does already done.
STATES = st.sampled_from(["success", "failed", "pending", "rebooting", None])
PHASES = st.sampled_from([None, *Phase])
OUTCOMES = st.fixed_dictionaries(
    {goal.labels[LAYOUT]: st.sampled_from(["success", "failed", "pending", "miscount"]) for goal in (OLD, NEW)}
)
PODS = st.lists(st.sampled_from(["ends", "stays", "stubborn", "static", "daemon"]), max_size=3, unique=True)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    phase = draw(PHASES)
    labelled = draw(st.sampled_from([OLD, NEW]))
    ours = draw(st.booleans())
    pods = draw(PODS) if phase in {None, Phase.DRAINING} or draw(st.booleans()) else []
    kinds = {"static": Kind.STATIC, "daemon": Kind.DAEMON}
    holders = tuple(holder(name, kind=kinds.get(name, Kind.ORDINARY)) for name in pods)
    stale: dict[str, object] = STALE if phase in {Phase.REFRESHING, Phase.ROLLING_BACK} and draw(st.booleans()) else {}
    node = facts(
        labels=labelled.labels,
        owned=draw(st.sampled_from([frozenset(labelled.labels), frozenset[str]()])),
        allocatable=draw(st.sampled_from([OLD.allocatable, NEW.allocatable, {}])),
        state=draw(STATES),
        operands=draw(st.sampled_from([OPERANDS, FRESH])),
        holders=holders,
        is_unschedulable=phase is not None or not ours,
        record=None
        if phase is None
        else record(phase, cordoned=ours, goal=draw(st.sampled_from([NEW, OTHER])), failure="why", **stale),
    )
    return World(
        node=node,
        change=draw(st.sampled_from([POLICY, EVICTING])),
        outcome_of=draw(OUTCOMES),
        stubborn=frozenset({"stubborn-uid"}),
        ends_after={"ends-uid": START + timedelta(minutes=20)},
        is_foreign_cordon=not ours,
        now=START + timedelta(seconds=1),
    )


@settings(max_examples=200, deadline=None)
@given(world=worlds(), cuts=st.lists(st.integers(1, 12), max_size=4))
def test_whatever_an_interruption_leaves_is_brought_to_an_end(world: World, cuts: list[int]) -> None:
    """Runs that are cut off after some steps, then one that is not: it ends and says how; forbidden steps fail."""
    for steps in cuts:
        world.run(NEW, steps)
    was_foreign = world.is_foreign_cordon
    report = world.run(NEW)
    assert report is not None, world.trace[-20:]
    node = world.node
    if report.outcome is Outcome.STUCK:
        assert node.record is not None
        assert node.is_unschedulable
        assert report.reason
        return
    assert node.record is None
    assert node.is_unschedulable == was_foreign
    if report.outcome.is_success:
        assert NEW.labels.items() <= node.labels.items()
        assert node.owned == NEW.labels.keys()
        assert node.allocatable == NEW.allocatable
    else:
        assert report.reason
    if report.outcome is Outcome.ROLLED_BACK:
        assert FORMER.labels.items() <= node.labels.items()


@settings(max_examples=200, deadline=None)
@given(world=worlds())
def test_once_everything_works_the_goal_is_reached(world: World) -> None:
    world.run(NEW)
    world.outcome_of.clear()
    world.node = replace(world.node, holders=(), is_ready=True)
    report = world.run(NEW)
    if report is not None and not report.outcome.is_success:
        report = world.run(NEW)  # a roll-back that was begun is finished first
    assert report is not None
    assert report.outcome.is_success, (report, world.node, world.trace[-20:])
