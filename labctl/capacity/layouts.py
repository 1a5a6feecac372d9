"""Other ways to cut the lab's GPUs, searched for the ones that serve a demand best: pure.

One GPU can be cut in a few hundred ways, but only the slices that somebody asks for count, and of those only the ways
that no other way outdoes: some ten are left. GPU by GPU, each of them is taken off what is still needed; the same need
reached by two ways is one state. While GPUs and states are few the search is exhaustive; beyond `MOST_STEPS` and
`FEW_STATES` it is not, and the result says so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.gpu.config import MigSlicing, MigStrategy, TimeSlicing, WholeGpus
from components.gpu.geometry import layouts_of
from components.gpu.slices import SHARED_SUFFIX, WHOLE, device_layouts, group_model, node_slices

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from components.gpu.config import GpuConfig, GpuGroupConfig
    from components.gpu.geometry import Layout
    from components.gpu.models import GpuModelName, HostGpus

__all__ = ["Cut", "Found", "HostCut", "Pool", "best_cuts", "kept_slices", "most_of_each", "pools_of", "present_cut"]

FEW_STATES = 2000
"""Needs up to which all are kept after a step: those of a lab of a few GPU nodes."""
MOST_STATES = 64
"""Needs that are kept where there are more, none of them outdone by another."""
MOST_STEPS = 48
"""Steps of one search: in a lab of more GPUs several are cut alike at each."""
MOST_SHARED = 8
"""Numbers of time-sliced hosts that are tried."""
SHARED_WHOLE = f"{WHOLE}{SHARED_SUFFIX}"

Need = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class HostCut:
    """How the GPUs of one host are cut."""

    layouts: tuple[Layout, ...]
    """Layout of each GPU, in order; empty ones are whole GPUs."""
    replicas: int = 1
    """Containers per GPU by time-slicing, of GPUs that are all whole."""

    @property
    def offers(self) -> Counter[str]:
        """Slices by name."""
        if self.replicas > 1:
            return Counter({SHARED_WHOLE: len(self.layouts) * self.replicas})
        offered: Counter[str] = Counter()
        for layout in self.layouts:
            offered.update(dict(layout) or {WHOLE: 1})
        return offered


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Hosts with as many GPUs of one model, which may be cut anew."""

    model: GpuModelName
    count: int
    """GPUs of one host."""
    hosts: Mapping[str, HostCut]
    """How each is cut now, by host name."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One way to cut all pools: by host name."""

    hosts: Mapping[str, HostCut]

    def changed(self, pools: Sequence[Pool]) -> tuple[str, ...]:
        """Return the hosts that are not cut as now, sorted."""
        now = {name: cut for pool in pools for name, cut in pool.hosts.items()}
        return tuple(sorted(name for name, cut in self.hosts.items() if cut != now[name]))


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search has found."""

    cuts: tuple[Cut, ...]
    """The most promising first."""
    is_exhaustive: bool
    """Whether nothing was left out: no other way to cut covers more of the need."""


def pools_of(config: GpuConfig, hosts: Mapping[str, HostGpus | None], *, time_slices: int = 0) -> tuple[Pool, ...]:
    """Return the hosts that may be cut anew; those of other groups stay as they are.

    Whole GPUs and dedicated MIG slices may be exchanged for one another. What is shared is shared on purpose (another
    isolation), and stays; time-sliced GPUs may be cut anew where time-slicing is allowed at all.

    Parameters
    ----------
    time_slices
        Containers that may share a GPU by time-slicing; 0: it is not considered.
    """
    found: dict[tuple[GpuModelName, int], dict[str, HostCut]] = {}
    for name, group in config.groups.items():
        if not _may_change(group, time_slices):
            continue
        for host in group.hosts:
            model, count = group_model(name, host, hosts)
            if model.can_mig or time_slices:
                found.setdefault((model.name, count), {})[host] = _cut_of(group, count)
    return tuple(Pool(model=model, count=count, hosts=cuts) for (model, count), cuts in found.items())


def _may_change(group: GpuGroupConfig, time_slices: int) -> bool:
    slicing = group.slicing
    if isinstance(slicing, TimeSlicing):
        return time_slices > 0
    if isinstance(slicing, MigSlicing):
        return not slicing.shared and slicing.strategy is MigStrategy.MIXED
    return isinstance(slicing, WholeGpus)


def _cut_of(group: GpuGroupConfig, count: int) -> HostCut:
    slicing = group.slicing
    if isinstance(slicing, MigSlicing):
        return HostCut(layouts=tuple(sorted(device_layouts(slicing, count))))
    return HostCut(layouts=((),) * count, replicas=slicing.replicas if isinstance(slicing, TimeSlicing) else 1)


def kept_slices(config: GpuConfig, hosts: Mapping[str, HostGpus | None], pools: Sequence[Pool]) -> Counter[str]:
    """Return the slices of the hosts in no pool, by name."""
    movable = {host for pool in pools for host in pool.hosts}
    kept: Counter[str] = Counter()
    for name, group in config.groups.items():
        for host in group.hosts:
            if host not in movable:
                kept.update(node_slices(group, group_model(name, host, hosts)[1]))
    return kept


def most_of_each(pools: Sequence[Pool], names: Sequence[str], time_slices: int = 0) -> dict[str, int]:
    """Return the most there could be of each slice, if all GPUs were cut for it alone."""
    most: dict[str, int] = {}
    for name in names:
        shared = time_slices if name == SHARED_WHOLE else 0
        most[name] = sum(
            max(shared, *(taken[0] for taken, _ in _options(pool.model, (name,)))) * pool.count * len(pool.hosts)
            for pool in pools
        )
    return most


def best_cuts(pools: Sequence[Pool], need: Mapping[str, int], *, time_slices: int = 0, most: int = 4) -> Found:
    """Return the ways to cut the pools that leave least of a need uncovered, the best `most` of each number of hosts.

    Parameters
    ----------
    need
        Slices that are asked for, by name; of those that other hosts offer, what is left after them.
    """
    names = tuple(sorted(name for name, count in need.items() if count > 0))
    found: list[tuple[int, Cut]] = []
    is_exhaustive = True
    for shared in _shared_hosts(pools, need.get(SHARED_WHOLE, 0), time_slices):
        given = sum(cut.offers[SHARED_WHOLE] for cut in shared.values())
        left = tuple(max(0, need[name] - (given if name == SHARED_WHOLE else 0)) for name in names)
        states: dict[Need, _Choice] = {left: None}
        for index, pool in enumerate(pools):
            options = [(taken, (index, layout)) for taken, layout in _options(pool.model, names)]
            gpus = pool.count * sum(name not in shared for name in pool.hosts)
            for block in _blocks(gpus):
                is_exhaustive &= block == 1
                if not any(next(iter(states))):
                    break
                states, whole = _kept(_step(states, options, block))
                is_exhaustive &= whole
        ranked = sorted(states, key=lambda left: (sum(left), left))[:most]
        found += [(sum(left), _assigned(pools, list(_history(states[left])), shared)) for left in ranked]
    return Found(cuts=tuple(cut for _, cut in sorted(found, key=lambda item: item[0])), is_exhaustive=is_exhaustive)


def _blocks(gpus: int) -> list[int]:
    """Return how many GPUs are cut alike at each step: one at a time, in a large lab some."""
    size = -(-gpus // MOST_STEPS)
    return [min(size, gpus - begun) for begun in range(0, gpus, size or 1)]


def _shared_hosts(pools: Sequence[Pool], need: int, time_slices: int) -> list[dict[str, HostCut]]:
    """Return the choices of hosts whose GPUs are time-sliced: none, and up to as many as the need takes."""
    choices: list[dict[str, HostCut]] = [{}]
    if time_slices < 2 or not need:  # noqa: PLR2004 - one container is no sharing
        return choices
    # GPUs that cannot be cut otherwise first, then those that are shared now.
    hosts = [
        (bool(layouts_of(pool.model)), cut.replicas == 1, name, pool.count)
        for pool in pools
        for name, cut in pool.hosts.items()
    ]
    for _, _, name, count in sorted(hosts):
        before = choices[-1]
        if sum(cut.offers[SHARED_WHOLE] for cut in before.values()) >= need:
            break
        choices.append({**before, name: HostCut(layouts=((),) * count, replicas=time_slices)})
    return choices if len(choices) <= MOST_SHARED else [*choices[:: -(-len(choices) // MOST_SHARED)], choices[-1]]


_Step = tuple[int, "Layout"]
"""Number of the pool, and the layout of a GPU in it."""
_Choice = tuple["_Choice", _Step, int] | None
"""What led to a state: a chain of steps with the number of GPUs of each, the last first."""


def _options(model: GpuModelName, names: Sequence[str]) -> list[tuple[Need, Layout]]:
    """Return what one GPU can offer of some slices, and how: only what nothing else outdoes, simplest layouts first."""
    simplest: dict[Need, Layout] = {}
    for layout in sorted({(), *layouts_of(model)}, key=lambda layout: (sum(count for _, count in layout), layout)):
        offered = dict(layout) or {WHOLE: 1}
        simplest.setdefault(tuple(offered.get(name, 0) for name in names), layout)
    return [
        (taken, layout)
        for taken, layout in simplest.items()
        if not any(other != taken and all(a >= b for a, b in zip(other, taken, strict=True)) for other in simplest)
    ]


def _step(states: Mapping[Need, _Choice], options: Sequence[tuple[Need, _Step]], gpus: int) -> dict[Need, _Choice]:
    """Return the needs after some more GPUs that are cut alike, each with one way that leads there."""
    after: dict[Need, _Choice] = {}
    for left, choice in states.items():
        for taken, step in options:
            rest = tuple(max(0, here - there * gpus) for here, there in zip(left, taken, strict=True))
            after.setdefault(rest, (choice, step, gpus))
    return after


def _kept(states: dict[Need, _Choice]) -> tuple[dict[Need, _Choice], bool]:
    """Return the needs to go on from, and whether nothing better was left out."""
    ranked = sorted(states, key=lambda left: (sum(left), left))
    if not any(ranked[0]):
        return {ranked[0]: states[ranked[0]]}, True
    if len(ranked) <= FEW_STATES:
        return states, True
    front: list[Need] = []
    for left in ranked[: FEW_STATES // 2]:
        if not any(all(a <= b for a, b in zip(better, left, strict=True)) for better in front):
            front.append(left)
        if len(front) == MOST_STATES:
            break
    return {found: states[found] for found in front}, False


def _history(choice: _Choice) -> Iterator[_Step]:
    while choice is not None:
        choice, step, gpus = choice
        for _ in range(gpus):
            yield step


def _assigned(pools: Sequence[Pool], steps: Sequence[_Step], shared: Mapping[str, HostCut]) -> Cut:
    """Return which host gets which cut: as many hosts as can be keep theirs, the others get GPUs cut alike."""
    hosts = dict(shared)
    for index, pool in enumerate(pools):
        left = {name: cut for name, cut in pool.hosts.items() if name not in shared}
        bag = Counter(layout for number, layout in steps if number == index)
        # GPUs nobody needs are cut as now.
        now = Counter(layout for cut in left.values() for layout in cut.layouts)
        spare = (now - bag).elements()
        while bag.total() < len(left) * pool.count:
            bag[next(spare)] += 1
        for name, cut in list(left.items()):
            if cut.replicas == 1 and Counter(cut.layouts) <= bag:
                bag -= Counter(cut.layouts)
                hosts[name] = cut
                del left[name]
        gpus = sorted(bag.elements())
        for name in sorted(left):
            hosts[name], gpus = HostCut(layouts=tuple(gpus[: pool.count])), gpus[pool.count :]
    return Cut(hosts=dict(sorted(hosts.items())))


def present_cut(pools: Sequence[Pool]) -> Cut:
    """Return how the pools are cut now."""
    return Cut(hosts={name: cut for pool in pools for name, cut in sorted(pool.hosts.items())})
