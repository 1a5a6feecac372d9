"""What a deployment tells while it runs and when it is over."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from .plan import Op

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.graph.values import Inputs

    from .plan import Step

__all__ = ["Failure", "Listener", "Report", "SilentListener"]


@dataclass(frozen=True)
class Failure:
    """One resource that could not be brought to its goal."""

    urn: str
    """Empty: the run as a whole."""
    message: str
    error: BaseException | None = None


class Listener(Protocol):
    """Who watches a deployment; called from many threads."""

    def started(self, step: Step) -> None:
        """Note that a step that changes something is under way."""

    def progressed(self, urn: str, message: str) -> None:
        """Note one line about a resource."""

    def finished(self, step: Step, seconds: float, failure: Failure | None) -> None:
        """Note that a step is over, with what it took."""


class SilentListener:
    """Watch nothing."""

    def started(self, step: Step) -> None:
        """Ignore it."""

    def progressed(self, urn: str, message: str) -> None:
        """Ignore it."""

    def finished(self, step: Step, seconds: float, failure: Failure | None) -> None:
        """Ignore it."""


@dataclass
class Report:
    """Steps, failures and outputs of one deployment; filled while it runs."""

    steps: list[Step] = field(default_factory=list["Step"])
    failures: list[Failure] = field(default_factory=list[Failure])
    notes: list[str] = field(default_factory=list[str])
    outputs: Inputs = field(default_factory=dict[str, "object"])  # pyright: ignore[reportAssignmentType]
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, step: Step) -> None:
        """Record `step`."""
        with self._lock:
            self.steps.append(step)

    def fail(self, failure: Failure) -> None:
        """Record `failure`."""
        with self._lock:
            self.failures.append(failure)

    def note(self, message: str) -> None:
        """Record something the person should know, once."""
        with self._lock:
            if message not in self.notes:
                self.notes.append(message)

    def visible(self) -> list[Step]:
        """Return the steps without those of default providers."""
        return [step for step in self.steps if not step.hidden]

    def changes(self) -> list[Step]:
        """Return the visible steps that change something."""
        return [step for step in self.visible() if step.op is not Op.SAME]

    def renamed(self) -> list[Step]:
        """Return the steps whose resource the state calls otherwise until now, whatever else changes of it."""
        return [step for step in self.steps if step.former]

    def summary(self) -> Mapping[str, int]:
        """Return how many visible steps there are by operation (``changeSummary``), those that cannot be left out."""
        return dict(sorted(Counter(step.op.value for step in self.visible() if not step.impossible).items()))
