"""Progress of a deployment: a live tree by component on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from labctl.engine.plan import Op
from labctl.graph.goal import urn_name, urn_type

from .words import DOING, DONE, SYMBOLS, short_type, title

if TYPE_CHECKING:
    from rich.console import Console

    from labctl.engine.plan import Step
    from labctl.engine.report import Failure
    from labctl.run_log import NoLog

__all__ = ["LiveTree", "LoggedView", "PlainLines"]

MOST_RUNNING: Final = 6
"""Resources under way shown per component; a terminal has few lines."""


class PlainLines:
    """One line per finished step, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def started(self, step: Step) -> None:
        """Print nothing: the end of a step is what matters in a log."""

    def progressed(self, urn: str, message: str) -> None:
        """Print one line of a resource, unless it is what it said last."""
        if self._last.get(urn) != message:
            self._last[urn] = message
            self._print(f"    {urn_name(urn)}: {message}")

    def finished(self, step: Step, seconds: float, failure: Failure | None) -> None:
        """Print the step's end and what it took."""
        word = f"FAILED {DOING[step.op]}" if failure else DONE[step.op]
        self._print(f"{SYMBOLS[step.op]} {title(step.urn, step.type)} {word} ({seconds:.2f}s)")

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class LoggedView:
    """A view that writes everything it is told into the run's log, too."""

    def __init__(self, view: LiveTree | PlainLines, log: NoLog) -> None:
        self._view = view
        self._log = log

    def __enter__(self) -> Self:
        self._view.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._view.__exit__(*raised)

    def started(self, step: Step) -> None:
        """Pass it on."""
        self._log.started(step)
        self._view.started(step)

    def progressed(self, urn: str, message: str) -> None:
        """Pass it on."""
        self._log.progressed(urn, message)
        self._view.progressed(urn, message)

    def finished(self, step: Step, seconds: float, failure: Failure | None) -> None:
        """Pass it on."""
        self._log.finished(step, seconds, failure)
        self._view.finished(step, seconds, failure)


@dataclass
class _Component:
    """What is shown of one component."""

    name: str
    done: Counter[Op] = field(default_factory=Counter[Op])
    failed: list[str] = field(default_factory=list[str])
    running: dict[str, tuple[Step, float]] = field(default_factory=dict[str, "tuple[Step, float]"])
    messages: dict[str, str] = field(default_factory=dict[str, str])
    seconds: float = 0.0


class LiveTree:
    """A tree of components with what is done, what is under way and since when."""

    def __init__(self, console: Console, heading: str) -> None:
        self._heading = heading
        self._components: dict[str, _Component] = {}
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._live = Live(console=console, refresh_per_second=8, get_renderable=self._render, transient=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def started(self, step: Step) -> None:
        """Show the step as under way."""
        with self._lock:
            self._component(step).running[step.urn] = (step, time.monotonic())

    def progressed(self, urn: str, message: str) -> None:
        """Show one line beside the resource."""
        with self._lock:
            for component in self._components.values():
                if urn in component.running:
                    component.messages[urn] = message

    def finished(self, step: Step, seconds: float, failure: Failure | None) -> None:
        """Count the step as done, or keep its failure in sight."""
        with self._lock:
            component = self._component(step)
            component.running.pop(step.urn, None)
            component.messages.pop(step.urn, None)
            component.seconds = max(component.seconds, time.monotonic() - self._began)
            if failure:
                component.failed.append(title(step.urn, step.type))
            else:
                component.done[step.op] += 1
        del seconds

    def _component(self, step: Step) -> _Component:
        """Return the outermost component that `step` belongs to; the stack's own children have one together."""
        chain = step.urn.split("::")[2].split("$")
        state = step.new or step.old
        key, name = "", "stack"
        if chain[0].startswith("lab:"):
            owner = state.parent if state and len(chain) == 2 else step.urn  # noqa: PLR2004 - parent and resource
            key = chain[0]
            name = f"{short_type(chain[0])} {urn_name(owner)}" if urn_type(owner) == chain[0] else short_type(chain[0])
        component = self._components.setdefault(key, _Component(name))
        if len(name) > len(component.name):
            component.name = name
        return component

    def _render(self) -> Tree:
        with self._lock:
            tree = Tree(Text(f"{self._heading}  {time.monotonic() - self._began:.1f}s", style="bold"))
            for component in self._components.values():
                self._grow(tree, component)
            return tree

    @staticmethod
    def _grow(tree: Tree, component: _Component) -> None:
        mark, style = ("⋯", "yellow") if component.running else ("✓", "green")
        if component.failed:
            mark, style = "✗", "red"
        label = Text(f"{mark} ", style=style)
        label.append(component.name, style="bold")
        done = ", ".join(f"{SYMBOLS[op]} {count} {DONE[op]}" for op, count in sorted(component.done.items()))
        label.append(f"  {done}", "dim")
        label.append(f"  {component.seconds:.1f}s", "dim")
        branch = tree.add(label)
        for name in component.failed:
            branch.add(Text(f"✗ {name}", style="red"))
        now = time.monotonic()
        for urn, (step, since) in list(component.running.items())[:MOST_RUNNING]:
            line = Text(f"{SYMBOLS[step.op]} {title(urn, step.type)} {DOING[step.op]} {now - since:.0f}s")
            if urn in component.messages:
                line.append(f"  {component.messages[urn]}", "dim")
            branch.add(line)
