"""The questions about one layout, asked of the real scheduler: how many of each profile, and when a mixture is full."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from .demand import arrivals
from .machines import kinds_of
from .packing import PackingModel
from .pods import CPU, MEMORY, PODS
from .reasons import Refusal, refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from labctl.control_plane import Progress

    from .demand import Demand
    from .machines import Machine
    from .pods import Profile, Shape
    from .simulator import Placement, Scheduler

__all__ = ["Case", "Full", "Utilisation", "count_each", "fill_up", "serve", "utilisation_of"]

SCHEDULED_PER_NODE: Final = 8
"""Pods of one profile that the scheduler itself puts on one node when they are counted. Those before are taken off what
the node has: fitting is a sum per node, so that what decides is the last few."""
SCHEDULED_USERS: Final = 1500
"""Users of a mixture that the scheduler itself places; in a larger lab those before are placed by the model. It takes
3 to 15 s a thousand, by the machine's load."""
WAVES: Final = (256, 32, 1)
"""Users who arrive at once. A wave in which somebody does not fit is undone and goes on in smaller ones."""


TELL_SECONDS: Final = 2.0
"""Between two words on how far it is."""


@dataclass(frozen=True, kw_only=True)
class Utilisation:
    """How much of one resource is taken."""

    resource: str
    used: int
    whole: int

    @property
    def share(self) -> float:
        """Part that is taken, 0 to 1; 0 where there is nothing."""
        return self.used / self.whole if self.whole else 0.0


@dataclass(frozen=True, kw_only=True)
class Full:
    """A lab that takes no further user of a mixture."""

    users: Mapping[str, int]
    """By profile's slug, in the order of the profiles."""
    refusal: Refusal
    """Who was refused first, and why."""
    utilisation: tuple[Utilisation, ...]
    by_scheduler: int
    """How many of the users the real scheduler placed; the rest are the model's."""

    @property
    def total(self) -> int:
        """All users."""
        return sum(self.users.values())


@dataclass(frozen=True, kw_only=True)
class Case:
    """One lab as the questions see it."""

    machines: tuple[Machine, ...]
    profiles: tuple[Profile, ...]
    packs: Callable[[str], bool]
    """Tells for a scheduler's name whether it packs; others spread."""

    @property
    def shapes(self) -> dict[str, Shape]:
        """Shapes by profile's slug."""
        return {profile.slug: profile.shape for profile in self.profiles}

    def model(self) -> PackingModel:
        """Return the model of it."""
        return PackingModel(self.machines, self.packs)


def count_each(
    scheduler: Scheduler, case: Case, progress: Progress, *, per_node: int = SCHEDULED_PER_NODE
) -> dict[str, int]:
    """Return how many users of each profile fit, of that profile alone, by slug.

    Of nodes that are alike one is filled and its count multiplied. That is exact: whether a pod fits a node depends on
    that node alone (no profile has affinity to other pods, and topology spread is only a wish).

    Parameters
    ----------
    per_node
        Pods the scheduler itself places on one node; those before are taken off the node's resources.
    """
    kinds = kinds_of(case.machines)
    counts: dict[Shape, int] = {}
    for profile in case.profiles:
        if profile.shape not in counts:
            progress(f"counting {profile.slug}")
            samples = {kind.sample.name: kind.sample for kind in kinds if kind.sample.admits(profile.shape)}
            on_each = _count(scheduler, samples, profile.shape, per_node)
            counts[profile.shape] = sum(on_each.get(kind.sample.name, 0) * len(kind.machines) for kind in kinds)
    return {profile.slug: counts[profile.shape] for profile in case.profiles}


def _count(scheduler: Scheduler, samples: Mapping[str, Machine], shape: Shape, per_node: int) -> Counter[str]:
    """Return how many pods of a shape the scheduler puts on each of some nodes until none fits."""
    before = {name: max(0, machine.room(shape) - per_node) for name, machine in samples.items()}
    scheduler.use([machine.holding(shape, before[name]) for name, machine in samples.items()])
    bound: Counter[str] = Counter()
    wanted = sum(machine.room(shape) - before[name] for name, machine in samples.items()) + 1
    while samples:
        placed = scheduler.place([shape] * wanted, expected=wanted - 1)
        bound.update(placed.nodes.values())
        if placed.refused:
            break
        wanted = 1
    doubtful = {name: machine for name, machine in samples.items() if before[name] and not bound[name]}
    if doubtful:
        # The scheduler found a node full where the sums saw room: too much was taken off, so it gets them all.
        others = Counter({name: before[name] + bound[name] for name in samples if name not in doubtful})
        return others + _count(scheduler, doubtful, shape, per_node=max(before.values()) + per_node)
    return bound + Counter(before)


def fill_up(
    scheduler: Scheduler,
    case: Case,
    demand: Demand,
    progress: Progress,
    *,
    by_scheduler: int = SCHEDULED_USERS,
) -> Full:
    """Return the lab filled by users who arrive in the demand's shares, up to the first who does not fit.

    Parameters
    ----------
    by_scheduler
        Users the scheduler itself places. In a lab for more, those before are placed by the model.
    """
    expected = case.model().fill(case.shapes, arrivals(demand.shares)).total
    first = max(0, expected - by_scheduler)
    order = arrivals(demand.shares)
    begun = case.model()
    users = Counter(begun.fill(case.shapes, islice(order, first)).placed)
    state = {machine.name: machine for machine in begun.machines()}
    scheduler.use(tuple(state.values()))
    waves, came = list(WAVES), list[str]()
    told = time.monotonic()
    while True:
        # Nobody starts with a wave that is larger than what is expected to fit.
        while len(waves) > 1 and waves[0] > expected - users.total():
            waves = waves[1:]
        size = waves[0]
        came += islice(order, max(0, size - len(came)))
        wave = came[:size]
        placed = scheduler.place([case.shapes[slug] for slug in wave], expected=_expected(case, state, wave))
        if not placed.refused:
            came = came[size:]
            users.update(wave)
            _take(state, wave, placed, case.shapes)
            if time.monotonic() - told > TELL_SECONDS:
                progress(f"{users.total()} users placed")
                told = time.monotonic()
            continue
        if size == 1:
            break
        scheduler.forget(placed)
        waves = waves[1:]
    refused = next(profile for profile in case.profiles if profile.slug == wave[0])
    after = tuple(state.values())
    return Full(
        users={profile.slug: users[profile.slug] for profile in case.profiles if users[profile.slug]},
        refusal=refusal_of(refused, after, next(iter(placed.refused.values()))),
        utilisation=utilisation_of(after, case.profiles),
        by_scheduler=users.total() - first,
    )


def serve(scheduler: Scheduler, case: Case, users: Mapping[str, int]) -> dict[str, int]:
    """Return how many of these users the scheduler finds a place for, by profile; who does not fit is passed over.

    The most demanding come first, so that nobody small takes what only somebody large needs.
    """
    scheduler.use(case.machines)
    model = case.model()
    order = [slug for slug in model.by_demand(case.shapes) for _ in range(users.get(slug, 0))]
    state = {machine.name: machine for machine in case.machines}
    served: Counter[str] = Counter()
    while order:
        wave, order = order[: WAVES[0]], order[WAVES[0] :]
        placed = scheduler.place([case.shapes[slug] for slug in wave], expected=_expected(case, state, wave))
        served.update(slug for index, slug in enumerate(wave) if f"{placed.wave}-{index}" in placed.nodes)
        _take(state, wave, placed, case.shapes)
    return {slug: served[slug] for slug in users}


def _expected(case: Case, state: Mapping[str, Machine], wave: Sequence[str]) -> int:
    """Return how many of a wave the model finds a place for."""
    model = PackingModel(tuple(state.values()), case.packs)
    return sum(model.place(case.shapes[slug]) for slug in wave)


def _take(state: dict[str, Machine], wave: Sequence[str], placed: Placement, shapes: Mapping[str, Shape]) -> None:
    """Note which pods have gone where: of one name per place in the wave."""
    for index, slug in enumerate(wave):
        node = placed.nodes.get(f"{placed.wave}-{index}")
        if node is not None:
            state[node] = state[node].holding(shapes[slug], 1)


def utilisation_of(machines: Sequence[Machine], profiles: Sequence[Profile]) -> tuple[Utilisation, ...]:
    """Return how much of CPU, memory, places for pods and every slice is taken, in that order.

    Nodes that take no profile at all, such as the control plane's, are not part of it.
    """
    held: Counter[str] = Counter()
    used: Counter[str] = Counter()
    for machine in machines:
        if not any(machine.admits(profile.shape) for profile in profiles):
            continue
        held.update(machine.allocatable)
        used.update({resource: taken for resource, taken in machine.used.items() if resource in machine.allocatable})
    own = [CPU, MEMORY, PODS]
    slices = sorted(resource for resource in held if "/" in resource and held[resource])
    return tuple(Utilisation(resource=name, used=used[name], whole=held[name]) for name in (*own, *slices))
