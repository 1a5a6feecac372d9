"""The program's resource graph without any engine: nothing is applied and no cluster is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from .monitor import Answer, ResourceMonitor
from .program import Program, run_program
from .values import UNKNOWN, Inputs, Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .goal import Goal

__all__ = ["Graph", "record"]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """What a program asks for."""

    project: str
    stack: str
    goals: tuple[Goal, ...]
    """In topological order: parents, providers and dependencies first, ties broken by URN."""
    outputs: Mapping[str, Inputs] = field(default_factory=dict[str, Inputs])
    """What components and the stack export, by URN."""

    def by_urn(self) -> dict[str, Goal]:
        """Return the goals by URN."""
        return {goal.urn: goal for goal in self.goals}


class _Recorder(ResourceMonitor):
    """Answer every registration with its own inputs: what only exists after applying stays unknown."""

    def __init__(self, *, project: str, stack: str) -> None:
        super().__init__(project=project, stack=stack)
        self.goals: dict[str, Goal] = {}
        self.outputs: dict[str, Inputs] = {}

    def register(self, goal: Goal) -> Answer:
        self.goals[goal.urn] = goal
        secret: Inputs = {key: Secret(UNKNOWN) for key in goal.additional_secret_outputs if key not in goal.inputs}
        return Answer(outputs=goal.inputs | secret)

    def register_outputs(self, urn: str, outputs: Inputs) -> None:
        self.outputs[urn] = outputs


def record(program: Program) -> Graph:
    """Return the graph of `program`, recorded as a preview of an empty stack.

    Raises
    ------
    GraphError
        When the program fails or uses what the embedded engine has not.
    """
    recorder = _Recorder(project=program.project, stack=program.stack)
    run_program(program, recorder, preview=True)
    return Graph(
        project=program.project,
        stack=program.stack,
        goals=tuple(topological(recorder.goals)),
        outputs=dict(sorted(recorder.outputs.items())),
    )


def topological(goals: Mapping[str, Goal]) -> list[Goal]:
    """Return `goals` so that each comes after what it needs; within one depth, sorted by URN."""
    sorter = TopologicalSorter({urn: needs(goal) & goals.keys() for urn, goal in goals.items()})
    sorter.prepare()
    ordered: list[Goal] = []
    while sorter:
        ready = sorted(sorter.get_ready())
        ordered.extend(goals[urn] for urn in ready)
        sorter.done(*ready)
    return ordered


def needs(goal: Goal) -> set[str]:
    """Return the URNs that must exist before `goal`: its parent, its provider, its dependencies."""
    provider = {goal.provider.rsplit("::", 1)[0]} if goal.provider else set[str]()
    return {goal.parent, *goal.dependencies} - {""} | provider
