"""Brings the nodes of one group to where the plan wants them: looks, asks `decide`, acts, looks again."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from components.gpu.change_config import BusyPolicy
from components.gpu.plan import MIG_LAYOUTS, SHARING

from .decide import Circumstances, decide, is_as_expected
from .errors import SupersededError
from .facts import NodeFacts, node_facts
from .maps import CLAIMS, claimed, used_entries
from .patience import UNANSWERED, Patience
from .record import Phase
from .steps import Cordon, Evict, Finish, Label, Notify, Report, Restart, Wait, Write

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from .cluster import Cluster
    from .document import ReslicePlan
    from .steps import Step

__all__ = ["API_PATIENCE_SECONDS", "MAPS", "Run", "settle_maps"]

MAPS: Final = (MIG_LAYOUTS, SHARING)
FASTEST_LOOK_SECONDS: Final = 0.2
SLOWEST_LOOK_SECONDS: Final = 5.0
"""Between two looks at nodes whose pods are waited for: a person's session lasts hours."""
CLOSE_LOOK_SECONDS: Final = 1.0
"""Between two looks at nodes on which the operator works: a re-cut takes a minute or two, and people wait for it."""
SAY_AGAIN_SECONDS: Final = 30.0
"""A line about what is waited for comes this often, and whenever it changes."""
API_PATIENCE_SECONDS: Final = 300.0
"""How long the API server may be away: an upgrade of a single control plane takes some two minutes."""


@dataclass(kw_only=True)
class _Node:
    """What this run knows of one node."""

    facts: NodeFacts | None = None
    step: Step | None = None
    """The last decision."""
    expected_since: datetime | None = None
    is_ours: bool = False
    """Whether this run has seen its own goal in the node's record."""
    hindrances: dict[str, str] = field(default_factory=dict[str, str])
    said: str = ""
    said_at: float = 0.0

    @property
    def report(self) -> Report | None:
        return self.step if isinstance(self.step, Report) else None


def settle_maps(cluster: Cluster, plan: ReslicePlan, *, collects: bool) -> None:
    """Make the two ConfigMaps hold what the plan needs; with `collects` also drop what nobody needs any more.

    Raises
    ------
    DamagedMapError
        If one is not as this command writes it.
    """
    for name in MAPS:
        found = cluster.config_map(name)
        # After the ConfigMap, never before: a node that comes to use an entry later is refused by the version.
        used = used_entries(cluster.nodes()) if collects else None
        content = claimed(name, found, plan, used)
        claims = (found.metadata.annotations or {}).get(CLAIMS) if found is not None else None
        if found is None or (found.data, claims) != (dict(content.data), content.annotation):
            cluster.write_config_map(name, found, content)


class Run:
    """One run of the command over the nodes of a group.

    Parameters
    ----------
    plan
        What is to become of them.
    cluster
        Where they are.
    stop
        Set when the run is to end soon; the nodes stay as they are then, and another run goes on.
    say
        Takes a line for people.
    """

    def __init__(self, plan: ReslicePlan, cluster: Cluster, stop: Event, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._cluster = cluster
        self._stop = stop
        self._say = say
        self._started = datetime.now(UTC)
        self._nodes = {name: _Node() for name in sorted(plan.nodes)}
        self._patience = Patience(API_PATIENCE_SECONDS)
        self._parent = os.getppid()
        self._knows_all = False
        """Whether every node was looked at once: which of them are idle decides who begins."""

    def to_end(self) -> dict[str, Report] | None:
        """Return what became of each node, None where the run was stopped.

        Raises
        ------
        ResliceError
            Whatever makes going on impossible; nodes stay as they are.
        """
        if not self._insist(lambda: settle_maps(self._cluster, self._plan, collects=False)):
            return None
        pause = FASTEST_LOOK_SECONDS
        while not self._is_stopped():
            try:
                acted = self._round()
                self._patience.reset()
            except UNANSWERED as error:
                self._patience.spend(error)
                acted = False
            reports = {name: node.report for name, node in self._nodes.items() if node.report is not None}
            if len(reports) == len(self._nodes):
                return self._finished(reports)
            slowest = CLOSE_LOOK_SECONDS if self._is_worked_on() else SLOWEST_LOOK_SECONDS
            pause = FASTEST_LOOK_SECONDS if acted else min(pause * 1.5, slowest)
            self._stop.wait(pause)
        return None

    def left(self) -> list[str]:
        """Return a line on each node that is not at its end: how it was left, for the next run to go on from."""
        lines: list[str] = []
        for name, node in self._nodes.items():
            record = node.facts.record if node.facts is not None else None
            if node.report is None and record is not None:
                cordon = "cordoned by this command" if record.cordoned else "cordoned by somebody else before"
                lines.append(f"{name}: left {record.phase}, {cordon}; the same command goes on from there")
            elif node.report is None:
                lines.append(f"{name}: not begun")
        return lines

    def _finished(self, reports: dict[str, Report]) -> dict[str, Report] | None:
        if all(report.outcome.is_success for report in reports.values()):
            done = self._insist(lambda: settle_maps(self._cluster, self._plan, collects=True))
            return reports if done else None
        return reports

    def _insist(self, request: Callable[[], None]) -> bool:
        return self._patience.insist(request, self._stop, self._is_stopped, FASTEST_LOOK_SECONDS)

    def _is_stopped(self) -> bool:
        # Whoever started this is gone, by kill -9 for instance, and may run it again any moment.
        return self._stop.is_set() or os.getppid() != self._parent

    def _is_worked_on(self) -> bool:
        """Tell whether the operator is at work on a node, so that a change is a matter of moments."""
        records = (node.facts.record for node in self._nodes.values() if node.facts is not None and node.report is None)
        return any(record is not None and record.phase is not Phase.DRAINING for record in records)

    def _round(self) -> bool:
        """Look at every node that is not at its end, and take one step with each; tell whether anything was done."""
        acted = False
        for name in self._order():
            if self._is_stopped():
                break
            acted |= self._step(name)
        else:
            acted |= not self._knows_all
            self._knows_all = True
        return acted

    def _order(self) -> list[str]:
        """Return nodes under change first, then idle ones, then busy ones."""

        def rank(name: str) -> tuple[bool, bool, str]:
            facts = self._nodes[name].facts
            return (facts is None or facts.record is None, facts is None or bool(facts.holders), name)

        return sorted((name for name, node in self._nodes.items() if node.report is None), key=rank)

    def _step(self, name: str) -> bool:
        node = self._nodes[name]
        node.facts = self._look(name)
        self._watch_for_others(name, node)
        expected = node.facts is not None and is_as_expected(node.facts)
        node.expected_since = (node.expected_since or datetime.now(UTC)) if expected else None
        node.step = decide(node.facts, self._plan.nodes[name], self._circumstances(name, node))
        if node.facts is None:
            return True
        self._tell(name, node)
        return self._act(node.facts, node)

    def _look(self, name: str) -> NodeFacts | None:
        found = self._cluster.node(name)
        if found is None:
            return None
        watched = self._plan.nodes[name].labels
        pods = self._cluster.pods(name)
        return node_facts(found, pods, manager=self._plan.manager, namespace=self._plan.namespace, watched=watched)

    def _watch_for_others(self, name: str, node: _Node) -> None:
        """Leave the field to a newer run with another plan; two that both went on would undo each other's steps."""
        record = node.facts.record if node.facts is not None else None
        if record is None:
            return
        is_ours = record.goal == self._plan.nodes[name] and record.manager == self._plan.manager
        if node.is_ours and not is_ours:
            raise SupersededError(name)
        node.is_ours = is_ours

    def _circumstances(self, name: str, node: _Node) -> Circumstances:
        plan, change = self._plan, self._plan.change
        active = [
            other
            for other, known in self._nodes.items()
            if other != name and known.report is None and known.facts is not None and known.facts.record is not None
        ]
        broken = [other for other, known in self._nodes.items() if known.report and known.report.outcome.is_broken_cut]
        operands = node.facts.operands if node.facts is not None else ()
        return Circumstances(
            now=datetime.now(UTC),
            started=self._started,
            manager=plan.manager,
            change=change,
            may_evict=change.busy is BusyPolicy.EVICT and name in change.hosts,
            may_begin=self._knows_all and len(active) < change.batch,
            failed=broken[0] if broken else "",
            expected_since=node.expected_since,
            # Without an operator, on a simulated cluster, nobody could still change their mind.
            confirm=timedelta(seconds=plan.confirm_seconds if operands else 0),
            hindrances=node.hindrances,
        )

    def _act(self, facts: NodeFacts, node: _Node) -> bool:
        """Do what was decided; tell whether the node may be another one now."""
        cluster = self._cluster
        match node.step:
            case Cordon() | Write() as step:
                cordons = True if isinstance(step, Cordon) else None
                cluster.remember(facts.name, facts.version, step.record, unschedulable=cordons)
                node.facts = replace(facts, record=step.record)
            case Label() as step:
                cluster.label(facts.name, step.labels, marks_pending=step.marks_pending)
            case Finish() as step:
                for pod in step.told:
                    cluster.forget(pod)
                cluster.remember(facts.name, facts.version, None, unschedulable=False if step.uncordons else None)
                node.facts = replace(facts, record=None)
                node.step = Report(outcome=step.outcome, reason=step.reason)
            case Notify() | Evict() | Restart() as step:
                return self._act_on_pods(facts, node, step)
            case Wait():
                return False
            case Report() | None:
                pass
        return True

    def _act_on_pods(self, facts: NodeFacts, node: _Node, step: Notify | Evict | Restart) -> bool:
        match step:
            case Notify():
                for pod in step.pods:
                    self._cluster.tell(pod, facts.name, step.at, datetime.now(UTC))
            case Evict():
                said = {pod.uid: self._cluster.evict(pod) for pod in step.pods}
                node.hindrances = {uid: why for uid, why in said.items() if why is not None}
                return len(node.hindrances) < len(said)
            case Restart():
                if step.marks_pending:
                    self._cluster.mark_pending(facts.name)
                for operand in step.pods:
                    self._cluster.restart(operand)
        return True

    def _tell(self, name: str, node: _Node) -> None:
        """Say what happens to a node: when it changes, and now and then while it does not."""
        record = node.facts.record if node.facts is not None else None
        match node.step:
            case Wait():
                text, again = node.step.reason, SAY_AGAIN_SECONDS
            case Cordon() | Write():
                text, again = str(node.step.record.phase), 0.0
            case Evict():
                text, again = "evicting " + ", ".join(map(str, node.step.pods)), SAY_AGAIN_SECONDS
            case Notify():
                text, again = "telling " + ", ".join(map(str, node.step.pods)), 0.0
            case _:
                return
        phase = f"{record.phase}: " if record is not None and isinstance(node.step, Wait) else ""
        line, now = f"{name}: {phase}{text}", time.monotonic()
        if line != node.said or (again and now - node.said_at >= again):
            node.said, node.said_at = line, now
            self._say(line)
