"""A model of the scheduler that is fast enough to try thousands of layouts with: pure, and without its randomness.

Whether a pod fits a node is modelled exactly: labels, taints, and per resource a sum. Which of the nodes that have room
gets it is modelled after NodeResourcesFit and TaintToleration alone (kubernetes v1.36, ``pkg/scheduler``); what the
model says about a mixture is therefore an estimate, and the real scheduler has the last word on it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .machines import kinds_of
from .pods import CPU, MEMORY, PODS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .machines import Kind, Machine
    from .pods import Shape

__all__ = ["Filled", "PackingModel"]

LARGEST_FILL = 200_000
"""Users after whom a lab counts as endless: profiles that ask for nothing fit until the places for pods are used up."""
TAINT_WEIGHT = 3.0
"""TaintToleration's weight against NodeResourcesFit's (``apis/config/v1/default_plugins.go``)."""
GPU_WEIGHT = 50.0
"""Of a GPU resource against CPU or memory, where pods are packed (`components.scheduling.plan`)."""

Amounts = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A lab in which as many arrivals as fit have been placed."""

    placed: Mapping[str, int]
    """Users by profile's slug."""
    refused: str | None
    """The first who did not fit; None where all fit."""

    @property
    def total(self) -> int:
        """All users placed."""
        return sum(self.placed.values())


class PackingModel:
    """A lab's nodes, filled one pod at a time; nodes in the same state are one entry.

    Parameters
    ----------
    machines
        The nodes with what runs there.
    packs
        Tells for a scheduler's name whether it packs; others spread.
    """

    def __init__(self, machines: Sequence[Machine], packs: Callable[[str], bool]) -> None:
        self._kinds: tuple[Kind, ...] = kinds_of(machines)
        self._packs = packs
        self._resources = sorted({resource for machine in machines for resource in machine.allocatable} | {PODS})
        self._capacity = [self._amounts(kind.sample.allocatable) for kind in self._kinds]
        self._states: dict[tuple[int, Amounts], int] = {}
        self._asks: dict[Shape, Amounts | None] = {}
        self._scores: dict[tuple[int, Amounts, Shape], float] = {}
        for index, kind in enumerate(self._kinds):
            self._states[index, self._amounts(kind.sample.used)] = len(kind.machines)

    def room(self, shape: Shape) -> int:
        """Return how many pods of a shape fit the lab as it was given, alone: an exact figure."""
        return sum(kind.sample.room(shape) * len(kind.machines) for kind in self._kinds)

    def place(self, shape: Shape) -> bool:
        """Put one pod where a scheduler would, or return False where it fits nowhere."""
        ask = self._ask(shape)
        if ask is None:
            return False
        best: tuple[int, Amounts] | None = None
        best_score = -1.0
        for state in self._states:
            key = (*state, shape)
            score = self._scores.get(key)
            if score is None:
                # A negative score says that it does not fit.
                score = self._scores[key] = self._score(state, shape, ask)
            if score > best_score:
                best, best_score = state, score
        if best is None:
            return False
        self._move(best, ask)
        return True

    def machines(self) -> tuple[Machine, ...]:
        """Return the nodes as they are now, by name: of those that are alike it does not matter which is which."""
        left = {index: list(kind.machines) for index, kind in enumerate(self._kinds)}
        found: list[Machine] = []
        for (index, used), count in self._states.items():
            held = {resource: taken for resource, taken in zip(self._resources, used, strict=True) if taken}
            found += [replace(left[index].pop(), used=held) for _ in range(count)]
        return tuple(sorted(found, key=lambda machine: machine.name))

    def fill(self, shapes: Mapping[str, Shape], order: Iterable[str], most: int = LARGEST_FILL) -> Filled:
        """Place users in the order of their arrival until one does not fit, or `most` are there."""
        placed: Counter[str] = Counter()
        for count, slug in enumerate(order):
            if count >= most:
                break
            if not self.place(shapes[slug]):
                return Filled(placed=dict(placed), refused=slug)
            placed[slug] += 1
        return Filled(placed=dict(placed), refused=None)

    def serve(self, shapes: Mapping[str, Shape], users: Mapping[str, int]) -> dict[str, int]:
        """Return how many users of each profile fit when those who do not are passed over, most demanding first."""
        served: dict[str, int] = {}
        for slug in self.by_demand(shapes):
            served[slug] = 0
            while served[slug] < users.get(slug, 0) and self.place(shapes[slug]):
                served[slug] += 1
        return {slug: served[slug] for slug in users}

    def by_demand(self, shapes: Mapping[str, Shape]) -> list[str]:
        """Return the profiles, the most demanding first: by slices, then by their part of all CPU and memory."""
        return sorted(shapes, key=lambda slug: self._size(shapes[slug]), reverse=True)

    def _amounts(self, held: Mapping[str, int]) -> Amounts:
        return tuple(held.get(resource, 0) for resource in self._resources)

    def _ask(self, shape: Shape) -> Amounts | None:
        """Return what a pod takes of each resource, None where it asks for one that no node has."""
        if shape not in self._asks:
            unknown = any(wanted and resource not in self._resources for resource, wanted in shape.requests)
            self._asks[shape] = None if unknown else tuple(shape.of(resource) for resource in self._resources)
        return self._asks[shape]

    def _size(self, shape: Shape) -> tuple[float, float]:
        """Return how much room a pod needs: slices before everything, then its part of all CPU and memory."""
        slices = sum(wanted for resource, wanted in shape.requests if "/" in resource)
        parts = 0.0
        for resource in (CPU, MEMORY):
            whole = sum(kind.sample.allocatable.get(resource, 0) * len(kind.machines) for kind in self._kinds)
            parts += shape.of(resource) / whole if whole else 0.0
        return slices, parts

    def _score(self, state: tuple[int, Amounts], shape: Shape, ask: Amounts) -> float:
        """Return how a scheduler likes a node in a state, 0 to some hundreds; -1 where the pod does not fit."""
        index, used = state
        capacity, sample = self._capacity[index], self._kinds[index].sample
        if any(wanted and wanted + taken > held for wanted, taken, held in zip(ask, used, capacity, strict=True)):
            return -1.0
        if not sample.admits(shape):
            return -1.0
        packs = self._packs(shape.scheduler)
        parts: list[tuple[float, float]] = []
        for resource, wanted, taken, held in zip(self._resources, ask, used, capacity, strict=True):
            is_own = resource in {CPU, MEMORY}
            if held and (is_own or (wanted and "/" in resource)):
                weight = GPU_WEIGHT if packs and not is_own else 1.0
                parts.append((weight, (taken + wanted) / held))
        filling = sum(weight * part for weight, part in parts) / (sum(weight for weight, _ in parts) or 1.0)
        unwelcome = sum(
            not any(held.tolerates(taint.key, taint.value, taint.effect) for held in shape.tolerations)
            for taint in sample.taints
            if taint.effect == "PreferNoSchedule"
        )
        has_gpus = any(held and "/" in resource for resource, held in zip(self._resources, capacity, strict=True))
        is_misplaced = packs and has_gpus and not any("/" in resource for resource, _ in shape.requests)
        return 100.0 * (filling if packs else 1.0 - filling) + (
            0.0 if unwelcome or is_misplaced else 100.0 * TAINT_WEIGHT
        )

    def _move(self, state: tuple[int, Amounts], ask: Amounts) -> None:
        index, used = state
        self._states[state] -= 1
        if not self._states[state]:
            del self._states[state]
        after = (index, tuple(taken + wanted for taken, wanted in zip(used, ask, strict=True)))
        self._states[after] = self._states.get(after, 0) + 1
