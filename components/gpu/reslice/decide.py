"""What is the next step for a node. Pure: facts, goal and clock in, one step out; every case has a row in a table test.

Whatever is done to a node is remembered on it first (`Write`, `Cordon`), so that a run cut off anywhere is gone on from
by the next one, with another goal too:

    at rest -> draining -> refreshing -> cutting -> at rest
                  |             |           `-> rolling back -> at rest, or stuck (cordoned)
                  `-------------`-> given back as it was

- Only a node whose record says so is uncordoned: cordon and record are one request.
- Labels change only while no pod holds a GPU and the node takes no new ones.
- Pods are evicted only where the stack file names the host, and after they were told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from components.gpu.plan import MIG_CONFIG_LABEL

from .facts import MIG_MANAGER, Kind, MigState, NodeFacts
from .record import Former, Phase, Record
from .steps import Cordon, Evict, Finish, Label, Notify, Outcome, Report, Restart, Step, Wait, Write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.gpu.change_config import ChangeConfig

    from .document import NodeGoal
    from .facts import Holder, Operand

__all__ = ["Circumstances", "decide", "is_as_expected", "offers", "rfc3339"]


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What a decision depends on beside the node itself."""

    now: datetime
    started: datetime
    """When this run began: a run that goes on from another's traces has patience of its own."""
    manager: str
    change: ChangeConfig
    may_evict: bool
    """Whether the stack file names this host for evictions."""
    may_begin: bool
    """Whether the batch has room for one more node."""
    failed: str = ""
    """The node whose cut went wrong in this run; after it no other is begun."""
    expected_since: datetime | None = None
    """Since when the node offers what it is waited for to offer, as far as this run has seen."""
    confirm: timedelta = timedelta(0)
    """How long it must go on doing so."""
    hindrances: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the API server said to the last eviction of a pod, by UID."""


def decide(facts: NodeFacts | None, goal: NodeGoal, at: Circumstances) -> Step:  # noqa: PLR0911 - a case a line reads best
    """Return what is to be done to a node next.

    Parameters
    ----------
    facts
        The node now; None where there is none of that name.
    goal
        What it is to become.
    at
        Clock, policy, and what else is going on.
    """
    if facts is None:
        return Report(outcome=Outcome.NOT_REACHED, reason="there is no such node")
    record = facts.record
    if record is None:
        return _at_rest(facts, goal, at)
    another = record.goal != goal or record.manager != at.manager
    if another or (record.phase is Phase.STUCK and record.since < at.started):
        update = {"manager": at.manager, "goal": goal, "phase": Phase.DRAINING, "begun": at.now, "since": at.now}
        return Write(record=_renewed(record, **update, evict_at=None, stale={}, failure=""))
    match record.phase:
        case Phase.DRAINING:
            return _draining(facts, record, at)
        case Phase.REFRESHING:
            return _refreshing(facts, record, at)
        case Phase.CUTTING:
            return _cutting(facts, record, at)
        case Phase.ROLLING_BACK:
            return _rolling_back(facts, record, at)
        case Phase.STUCK:
            return Report(outcome=Outcome.STUCK, reason=record.failure)


def offers(facts: NodeFacts, wanted: Mapping[str, int]) -> bool:
    """Tell whether a node offers just these GPU resources."""
    return facts.allocatable == {resource: count for resource, count in wanted.items() if count}


def is_as_expected(facts: NodeFacts) -> bool:
    """Tell whether a node under change offers what it is waited for to offer, and nobody works on it."""
    record = facts.record
    if record is None or not facts.is_ready or facts.is_working:
        return False
    wanted = record.former if record.phase is Phase.ROLLING_BACK else record.goal
    return wanted.labels.items() <= facts.labels.items() and offers(facts, wanted.allocatable)


def rfc3339(moment: datetime) -> str:
    """Return a time as Kubernetes writes it, in whole seconds."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _at_rest(facts: NodeFacts, goal: NodeGoal, at: Circumstances) -> Step:  # noqa: PLR0911 - a case a line reads best
    has_labels = goal.labels.items() <= facts.labels.items()
    if has_labels and offers(facts, goal.allocatable) and not facts.is_working:
        if facts.owned != goal.labels.keys():
            return Label(labels=goal.labels, marks_pending=False)
        return Report(outcome=Outcome.UNCHANGED, reason="")
    patience = at.started + timedelta(seconds=at.change.settle.seconds)
    if not facts.is_ready:
        if at.now < patience:
            return Wait(reason="the node is not Ready", until=patience)
        return Report(outcome=Outcome.NOT_REACHED, reason="the node is not Ready; nothing was changed")
    if has_labels and facts.state != MigState.FAILED:
        # Nothing to cut: an operator that is still being installed, a driver that comes up. Nobody is sent away for it.
        if at.now < patience:
            return Wait(reason=_difference(facts, goal.allocatable), until=patience)
        if facts.holders or not any(operand.is_running for operand in facts.operands):
            why = f"{_difference(facts, goal.allocatable)}; labels are set"
            return Report(outcome=Outcome.NOT_AS_PLANNED, reason=why)
        # Idle, with an operator that has settled for something else: it is asked again.
    if at.failed:
        return Report(
            outcome=Outcome.NOT_REACHED, reason=f"not begun, because {at.failed} did not come back as planned"
        )
    if not at.may_begin:
        return Wait(reason="waiting for its turn", until=None)
    former = Former(labels=dict(facts.labels), allocatable=dict(facts.allocatable))
    return Cordon(
        record=Record(
            manager=at.manager,
            phase=Phase.DRAINING,
            begun=at.now,
            since=at.now,
            cordoned=not facts.is_unschedulable,
            former=former,
            goal=goal,
        )
    )


def _draining(facts: NodeFacts, record: Record, at: Circumstances) -> Step:
    if not facts.is_unschedulable:
        return Cordon(record=_renewed(record, cordoned=True))
    if not facts.holders:
        stale = {operand.app: operand.uid for operand in facts.operands if operand.is_running and not operand.is_ending}
        return Write(record=_renewed(record, phase=Phase.REFRESHING, since=at.now, stale=stale))
    deadline = _later(record.begun, at.started, at.change.deadline.seconds)
    if at.now >= deadline:
        told = tuple(holder for holder in facts.holders if holder.told is not None)
        reason = f"still busy after {at.change.deadline}: {_who(facts.holders, at)}"
        return Finish(outcome=Outcome.BUSY, reason=reason, uncordons=record.cordoned, told=told)
    if at.may_evict:
        return _evicting(facts, record, at, deadline)
    return Wait(reason=f"GPUs are in use by {_who(facts.holders, at)}", until=deadline)


def _evicting(facts: NodeFacts, record: Record, at: Circumstances, deadline: datetime) -> Step:
    if record.evict_at is None:
        notice = timedelta(seconds=at.change.notice.seconds)
        return Write(record=_renewed(record, evict_at=at.now.replace(microsecond=0) + notice))
    time = rfc3339(record.evict_at)
    ordinary = [holder for holder in facts.holders if holder.kind is Kind.ORDINARY and not holder.is_ending]
    if untold := tuple(holder for holder in ordinary if holder.told != time):
        return Notify(pods=untold, at=record.evict_at)
    if at.now < record.evict_at:
        return Wait(reason=f"told to end by {time}: {_who(facts.holders, at)}", until=record.evict_at)
    if ordinary:
        return Evict(pods=tuple(ordinary))
    return Wait(reason=f"GPUs are in use by {_who(facts.holders, at)}", until=deadline)


def _refreshing(facts: NodeFacts, record: Record, at: Circumstances) -> Step:  # noqa: PLR0911 - a case a line reads best
    if facts.holders or not facts.is_unschedulable:
        return Write(record=_renewed(record, phase=Phase.DRAINING, since=at.now, stale={}))
    settle = at.change.settle.seconds
    patience = _later(record.since, at.started, settle)
    if at.now >= patience:
        reason = f"{_missing(facts, record) or 'the MIG manager'} did not start anew within {at.change.settle}"
        return Finish(outcome=Outcome.NOT_REFRESHED, reason=reason, uncordons=record.cordoned)
    if stale := _stale(facts, record):
        # A MIG manager at work on an earlier label is not cut off, unless it hangs.
        if facts.is_working and at.now < _later(record.since, at.started, settle // 2):
            return Wait(reason="the MIG manager is still at work on an earlier layout", until=patience)
        answers = MIG_CONFIG_LABEL in facts.labels and any(operand.app == MIG_MANAGER for operand in stale)
        return Restart(pods=stale, marks_pending=answers)
    if missing := _missing(facts, record):
        return Wait(reason=f"waiting for {missing} to start anew", until=patience)
    if facts.is_working and MIG_MANAGER in record.stale:
        return Wait(reason="the MIG manager looks at the former layout", until=patience)
    return Write(record=_renewed(record, phase=Phase.CUTTING, since=at.now, stale={}))


def _cutting(facts: NodeFacts, record: Record, at: Circumstances) -> Step:  # noqa: PLR0911 - a case a line reads best
    goal, former = record.goal, record.former
    if not goal.labels.items() <= facts.labels.items():
        if facts.holders or not facts.is_unschedulable:
            return Write(record=_renewed(record, phase=Phase.DRAINING, since=at.now))
        return Label(labels=goal.labels, marks_pending=_is_answered(facts, goal.labels))
    if facts.owned != goal.labels.keys():
        return Label(labels=goal.labels, marks_pending=False)
    failed = facts.state == MigState.FAILED and MIG_CONFIG_LABEL in goal.labels
    patience = _later(record.since, at.started, at.change.settle.seconds)
    if not failed and offers(facts, goal.allocatable) and facts.is_ready and not facts.is_working:
        return _confirmed(at, Finish(outcome=Outcome.CHANGED, reason="", uncordons=record.cordoned))
    if not failed and at.now < patience:
        return Wait(reason=_difference(facts, goal.allocatable), until=patience)
    why = _difference(facts, goal.allocatable)
    why = f"the MIG manager failed ({why})" if failed else f"{why} after {at.change.settle}"
    if former.labels == goal.labels or not (former.labels or former.allocatable):
        return Finish(outcome=Outcome.NOT_AS_PLANNED, reason=f"{why}; labels are set", uncordons=record.cordoned)
    # A MIG manager that gave no answer hangs, and would not look at another label either: it starts anew.
    hangs = {op.app: op.uid for op in facts.operands if op.app == MIG_MANAGER and op.is_running and not failed}
    return Write(record=_renewed(record, phase=Phase.ROLLING_BACK, since=at.now, failure=why, stale=hangs))


def _rolling_back(facts: NodeFacts, record: Record, at: Circumstances) -> Step:  # noqa: PLR0911 - a case a line reads best
    former = record.former
    patience = _later(record.since, at.started, at.change.settle.seconds)
    why = f"{record.failure}; rolled back, and then: {_difference(facts, former.allocatable)}"
    # A label it did not have is given up; what the operator then puts there is the operator's.
    if facts.owned != former.labels.keys() or not former.labels.items() <= facts.labels.items():
        if facts.holders and at.now >= patience:
            return Write(record=_renewed(record, phase=Phase.STUCK, since=at.now, failure=f"{why}, GPUs in use"))
        if facts.holders:
            return Wait(reason=f"GPUs are in use by {_who(facts.holders, at)}", until=patience)
        return Label(labels=former.labels, marks_pending=_is_answered(facts, former.labels))
    if stale := _stale(facts, record):
        return Restart(pods=stale, marks_pending=MIG_CONFIG_LABEL in facts.labels)
    failed = facts.state == MigState.FAILED and MIG_CONFIG_LABEL in former.labels
    if not failed and offers(facts, former.allocatable) and facts.is_ready and not facts.is_working:
        done = Finish(outcome=Outcome.ROLLED_BACK, reason=record.failure, uncordons=record.cordoned)
        return _confirmed(at, done)
    if not failed and at.now < patience:
        return Wait(reason=f"rolling back: {_difference(facts, former.allocatable)}", until=patience)
    return Write(record=_renewed(record, phase=Phase.STUCK, since=at.now, failure=why))


def _confirmed(at: Circumstances, done: Finish) -> Step:
    """Return the end of a change, once the node has been as expected for long enough."""
    since = at.expected_since or at.now
    if at.now - since >= at.confirm:
        return done
    return Wait(reason="as expected; looking whether it stays so", until=since + at.confirm)


def _is_answered(facts: NodeFacts, labels: Mapping[str, str]) -> bool:
    """Tell whether the MIG manager will answer to a change to `labels`."""
    present = any(operand.app == MIG_MANAGER and not operand.is_ending for operand in facts.operands)
    changed = MIG_CONFIG_LABEL in labels and labels[MIG_CONFIG_LABEL] != facts.labels.get(MIG_CONFIG_LABEL)
    return present and changed and facts.state is not None


def _stale(facts: NodeFacts, record: Record) -> tuple[Operand, ...]:
    """Return the operator's pods that still have to end."""
    return tuple(op for op in facts.operands if record.stale.get(op.app) == op.uid and not op.is_ending)


def _missing(facts: NodeFacts, record: Record) -> str:
    """Return the operator's pods that have not come back yet."""
    back = {op.app for op in facts.operands if op.is_ready and not op.is_ending and record.stale.get(op.app) != op.uid}
    return ", ".join(sorted(record.stale.keys() - back))


def _difference(facts: NodeFacts, wanted: Mapping[str, int]) -> str:
    """Return in what a node differs from what it should offer, as a clause."""
    if not facts.is_ready:
        return "the node is not Ready"
    if offers(facts, wanted):
        return "it offers that" if not facts.is_working else f"the MIG manager says {facts.state}"
    answer = f", the MIG manager says {facts.state}" if facts.state is not None else ""
    return f"it offers {_counts(facts.allocatable)} and not {_counts(wanted)}{answer}"


def _counts(resources: Mapping[str, int]) -> str:
    return ", ".join(f"{count}x {name}" for name, count in sorted(resources.items()) if count) or "no GPUs"


MOST_NAMED = 5
"""Pods a line names; more would hide the sentence."""


def _who(holders: tuple[Holder, ...], at: Circumstances) -> str:
    """Return the pods that hold GPUs, each with what keeps it."""
    named = [f"{holder}{_why(holder, at)}" for holder in holders[:MOST_NAMED]]
    more = len(holders) - MOST_NAMED
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _why(holder: Holder, at: Circumstances) -> str:
    said = at.hindrances.get(holder.uid)
    if said is not None:
        return f" ({said})"
    if holder.kind is Kind.STATIC:
        return " (a static pod: its host's administrator ends it)"
    if holder.kind is Kind.DAEMON:
        return " (its DaemonSet would start it again)"
    return " (ending)" if holder.is_ending else ""


def _later(one: datetime, other: datetime, seconds: float) -> datetime:
    return max(one, other) + timedelta(seconds=seconds)


def _renewed(record: Record, **update: object) -> Record:
    return record.model_copy(update=update)
