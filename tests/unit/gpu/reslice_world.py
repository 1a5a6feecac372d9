"""Nodes as facts, and a small world in which steps have their effect: for tests of the decision, without a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from components.gpu.change_config import ChangeConfig
from components.gpu.reslice.decide import Circumstances, decide, is_as_expected, rfc3339
from components.gpu.reslice.document import NodeGoal
from components.gpu.reslice.facts import Holder, Kind, NodeFacts, Operand
from components.gpu.reslice.record import Former, Phase, Record
from components.gpu.reslice.steps import (
    Cordon,
    Evict,
    Finish,
    Label,
    Notify,
    Report,
    Restart,
    Step,
    Wait,
    Write,
)

LAYOUT, SHARING = "nvidia.com/mig.config", "nvidia.com/device-plugin.config"
START = datetime(2026, 11, 22, 12, tzinfo=UTC)
MANAGER = "reslice-test-a100"
OLD = NodeGoal(labels={LAYOUT: "a100-old", SHARING: "exclusive"}, allocatable={"nvidia.com/mig-1g.10gb": 7})
NEW = NodeGoal(labels={LAYOUT: "a100-new", SHARING: "exclusive"}, allocatable={"nvidia.com/mig-3g.40gb": 2})
OTHER = NodeGoal(labels={LAYOUT: "a100-other", SHARING: "exclusive"}, allocatable={"nvidia.com/mig-2g.20gb": 3})
FORMER = Former(labels=OLD.labels, allocatable=OLD.allocatable)
POLICY = ChangeConfig.model_validate({"deadline": "1h", "settle": "10m"})
EVICTING = ChangeConfig.model_validate({"deadline": "1h", "settle": "10m", "busy": "evict", "hosts": ["gpu-1"]})
MIG_MANAGER = Operand(name="mm", uid="mm-1", app="nvidia-mig-manager", is_running=True, is_ready=True)
PLUGIN = Operand(name="dp", uid="dp-1", app="nvidia-device-plugin-daemonset", is_running=True, is_ready=True)
OPERANDS = (MIG_MANAGER, PLUGIN)


def holder(name: str = "notebook", **changes: Any) -> Holder:  # noqa: ANN401 - any field of it
    return replace(Holder(namespace="users", name=name, uid=f"{name}-uid"), **changes)


def facts(**changes: Any) -> NodeFacts:  # noqa: ANN401 - any field of it
    """Return a node at rest with the old slices, or one that differs from it."""
    at_rest = NodeFacts(
        name="gpu-1",
        labels=OLD.labels,
        owned=frozenset(OLD.labels),
        state="success",
        allocatable=OLD.allocatable,
        operands=OPERANDS,
    )
    return replace(at_rest, **changes)


def record(phase: Phase, **changes: Any) -> Record:  # noqa: ANN401 - any field of it
    values = {
        "manager": MANAGER,
        "phase": phase,
        "begun": START,
        "since": START,
        "cordoned": True,
        "former": FORMER,
        "goal": NEW,
        **changes,
    }
    return Record.model_validate(values)


def under_change(phase: Phase, *, record_has: dict[str, Any] | None = None, **changes: Any) -> NodeFacts:  # noqa: ANN401 - any field of it
    """Return a node in the middle of a change from `OLD` to `NEW`, cordoned by us."""
    return facts(record=record(phase, **(record_has or {})), is_unschedulable=True, **changes)


def at(seconds: float = 0, **changes: Any) -> Circumstances:  # noqa: ANN401 - any field of it
    """Return the circumstances so many seconds after the start."""
    usual = Circumstances(
        now=START + timedelta(seconds=seconds),
        started=START,
        manager=MANAGER,
        change=POLICY,
        may_evict=False,
        may_begin=True,
    )
    return replace(usual, **changes)


@dataclass
class World:
    """One node with an operator; steps take effect, and time passes."""

    node: NodeFacts
    change: ChangeConfig
    outcome_of: dict[str, str] = field(default_factory=dict[str, str])
    """What comes of a cut by layout: success, failed, pending (it hangs) or miscount; success where it is not named."""
    stubborn: frozenset[str] = frozenset()
    """UIDs of pods whose eviction a budget forbids."""
    ends_after: dict[str, datetime] = field(default_factory=dict[str, datetime])
    now: datetime = START
    started: datetime = START
    is_foreign_cordon: bool = False
    restarts: int = 0
    expected_since: datetime | None = None
    trace: list[str] = field(default_factory=list[str])

    def step(self, goal: NodeGoal) -> Step:
        """Decide once and let it have its effect; returns the step."""
        self._pass_time()
        expected = is_as_expected(self.node)
        self.expected_since = (self.expected_since or self.now) if expected else None
        circumstances = Circumstances(
            now=self.now,
            started=self.started,
            manager=MANAGER,
            change=self.change,
            may_evict=self.change.busy == "evict",
            may_begin=True,
            expected_since=self.expected_since,
            confirm=timedelta(seconds=10),
        )
        step = decide(self.node, goal, circumstances)
        self.trace.append(type(step).__name__)
        self._judge(step)
        self._act(step)
        self.now += timedelta(seconds=5 if not isinstance(step, Wait) else 60)
        return step

    def run(self, goal: NodeGoal, steps: int = 1000) -> Report | None:
        """Step until the end, at most so often; None where it was cut off before."""
        self.started, self.expected_since = self.now, None
        for _ in range(steps):
            step = self.step(goal)
            if isinstance(step, Finish):
                return Report(outcome=step.outcome, reason=step.reason)
            if isinstance(step, Report):
                return step
        return None

    def _judge(self, step: Step) -> None:
        """Fail where a step is forbidden, whatever the state."""
        node = self.node
        if isinstance(step, Finish) and step.uncordons:
            assert not self.is_foreign_cordon, "uncordons what somebody else cordoned"
        if isinstance(step, Evict):
            assert self.change.busy == "evict", "evicts without being allowed to"
            assert node.record is not None
            assert node.record.evict_at is not None
            assert self.now >= node.record.evict_at, "evicts before the time it told"
            for pod in step.pods:
                assert pod.kind is Kind.ORDINARY
                assert pod.told == rfc3339(node.record.evict_at), "evicts whom it did not tell"
        if isinstance(step, Label) and not step.labels.items() <= node.labels.items():
            assert not node.holders, "relabels under running pods"
            assert node.is_unschedulable, "relabels a node that takes pods"
            assert node.record is not None, "relabels without a record"

    def _act(self, step: Step) -> None:
        node = self.node
        match step:
            case Cordon():
                if node.is_unschedulable:
                    self.is_foreign_cordon = True
                self.node = replace(node, record=step.record, is_unschedulable=True)
            case Write():
                self.node = replace(node, record=step.record)
            case Notify():
                told = {pod.uid for pod in step.pods}
                pods = (replace(pod, told=rfc3339(step.at)) if pod.uid in told else pod for pod in node.holders)
                self.node = replace(node, holders=tuple(pods))
            case Evict():
                going = {pod.uid for pod in step.pods} - self.stubborn
                self.node = replace(node, holders=tuple(pod for pod in node.holders if pod.uid not in going))
            case Restart():
                self._restart(step)
            case Label():
                self._label(step)
            case Finish():
                is_cordoned = node.is_unschedulable and not step.uncordons
                self.node = replace(node, record=None, is_unschedulable=is_cordoned)
            case Report() | Wait():
                pass

    def _restart(self, step: Restart) -> None:
        self.restarts += 1
        gone = {pod.uid for pod in step.pods}
        fresh = tuple(
            replace(pod, uid=f"{pod.app}-{self.restarts}-new") if pod.uid in gone else pod for pod in self.node.operands
        )
        self.node = replace(self.node, operands=fresh)
        if any(pod.app == "nvidia-mig-manager" for pod in step.pods):
            self._cut(self.node.labels.get(LAYOUT, ""))

    def _label(self, step: Label) -> None:
        before = self.node.labels.get(LAYOUT)
        kept = {key: value for key, value in self.node.labels.items() if key not in self.node.owned}
        labels = {**kept, **step.labels}
        self.node = replace(self.node, labels=labels, owned=frozenset(step.labels))
        hangs = self.outcome_of.get(before or "") == "pending" and self.node.state == "pending"
        if labels.get(LAYOUT, before) != before and not hangs:
            self._cut(labels.get(LAYOUT, ""))

    def _cut(self, layout: str) -> None:
        outcome = self.outcome_of.get(layout, "success")
        by_layout: dict[str, Mapping[str, int]] = {goal.labels[LAYOUT]: goal.allocatable for goal in (OLD, NEW, OTHER)}
        offered: Mapping[str, int] = self.node.allocatable
        if outcome == "pending":
            offered = {}
        elif outcome in {"success", "miscount"}:
            less = int(outcome == "miscount")
            offered = {name: count - less for name, count in by_layout.get(layout, {}).items()}
        state = "success" if outcome == "miscount" else outcome
        self.node = replace(self.node, state=state, allocatable=offered)

    def _pass_time(self) -> None:
        pods = (pod for pod in self.node.holders if self.ends_after.get(pod.uid, self.now) >= self.now)
        self.node = replace(self.node, holders=tuple(pods))
