"""Which layout of the GPUs serves a demand best: candidates by the model, the best few put before the scheduler."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.gpu.checks import check
from components.gpu.slices import offered_slices

from .answers import Case, fill_up, serve
from .demand import arrivals, shared_out
from .layouts import best_cuts, kept_slices, most_of_each, pools_of, present_cut
from .stack_lines import recut, section_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from components.gpu.config import GpuConfig
    from components.gpu.models import HostGpus
    from labctl.control_plane import Progress

    from .answers import Full
    from .demand import Demand
    from .layouts import Cut, Pool
    from .pods import Profile
    from .simulator import Scheduler

__all__ = ["Candidate", "Lacking", "Proposal", "Search", "propose"]

VERIFIED: Final = 3
"""Layouts the scheduler is asked about beside the present one."""
MOST_SERVED: Final = 1500
"""Users of a demand up to which the scheduler itself is asked who of them is served."""
VERIFIED_USERS: Final = 200
"""Users of a mixture that the scheduler itself places with each layout; those before are the model's."""
LARGE_LAB: Final = 50
"""Nodes from which on only the best layout is put before the scheduler: to register and fill them all takes a while."""
LARGEST_FACTOR: Final = 1 << 20
"""Users up to whom a demand is scaled: where nobody asks for slices, no layout is ever full."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is searched."""

    config: GpuConfig
    hosts: Mapping[str, HostGpus | None]
    case_of: Callable[[GpuConfig], Case]
    """The lab with its GPUs cut as a section says."""
    time_slices: int
    """Containers that may share a GPU by time-slicing; 0: not considered."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One layout and what it does for a demand."""

    config: GpuConfig
    slices: Mapping[str, int]
    """What it offers, slices by name."""
    served: Mapping[str, int]
    """Users of the demand who fit, by profile."""
    full_at: int
    """Users of the demand's mixture who fit before the first does not."""
    changed: tuple[str, ...]
    """Hosts whose GPUs are cut anew."""
    full: Full | None = None
    """What the scheduler said; None where the figures are the model's."""

    @property
    def rank(self) -> tuple[int, int, int]:
        """The larger the better: users served, then users of the mixture, then hosts left alone."""
        return sum(self.served.values()), self.full_at, -len(self.changed)


@dataclass(frozen=True, kw_only=True)
class Lacking:
    """Slices that a demand asks for and no layout of these GPUs brings together."""

    slice: str
    asked: int
    offered: int
    """By the proposed layout."""
    most: int
    """If all GPUs that may be cut anew were cut for it alone, with those of the others."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """The layout that serves a demand best."""

    users: Mapping[str, int]
    """The demand."""
    present: Candidate
    best: Candidate
    others: tuple[Candidate, ...]
    """Further layouts that were put before the scheduler."""
    tried: int
    """Layouts the model was asked about."""
    is_exhaustive: bool
    """Whether no way to cut the GPUs was left out."""
    lacking: tuple[Lacking, ...]

    @property
    def is_better(self) -> bool:
        """Whether it is worth a change: it serves more of the demand, or a larger one."""
        return self.best.rank[:2] > self.present.rank[:2]

    @property
    def lines(self) -> list[str]:
        """Lines of the stack file."""
        return section_lines(self.best.config)


def propose(
    scheduler: Scheduler, search: Search, demand: Demand, present_full: Full, progress: Progress
) -> Proposal | None:
    """Return the layout that serves a demand best, or None where nothing may be cut anew.

    Parameters
    ----------
    present_full
        The lab as it is cut now, filled by the scheduler with the same demand.
    """
    pools = pools_of(search.config, search.hosts, time_slices=search.time_slices)
    if not pools:
        return None
    now = search.case_of(search.config)
    users = demand.users
    if users is None:
        full = now.model().fill(now.shapes, arrivals(demand.shares)).total
        users = shared_out(demand.shares, max(full, len(demand.shares)))
    progress("searching layouts")
    cuts, is_exhaustive = _candidate_cuts(search, pools, now.profiles, demand, users)
    present = _modelled(search, pools, present_cut(pools), demand, users)
    candidates = [_modelled(search, pools, cut, demand, users) for cut in cuts]
    ranked = sorted((one for one in candidates if one is not None), key=lambda one: one.rank, reverse=True)
    further = VERIFIED if len(now.machines) < LARGE_LAB else 1
    verified: list[Candidate] = []
    assert present is not None  # noqa: S101 - the section was checked when it was read
    for one in (present, *[one for one in ranked if one.changed][:further]):
        progress(f"asking the scheduler about {_named(one)}")
        known = None if one.changed else present_full
        verified.append(_verified(scheduler, search, one, demand, users, known))
    best = max(verified, key=lambda one: one.rank)
    return Proposal(
        users=users,
        present=verified[0],
        best=best,
        others=tuple(one for one in verified[1:] if one is not best),
        tried=len(candidates),
        is_exhaustive=is_exhaustive,
        lacking=_lacking(search, pools, now.profiles, users, best),
    )


def _named(candidate: Candidate) -> str:
    return "the present layout" if not candidate.changed else f"another layout of {', '.join(candidate.changed)}"


def slices_needed(profiles: Sequence[Profile], users: Mapping[str, int]) -> Counter[str]:
    """Return the slices that users of profiles hold, by name."""
    needed: Counter[str] = Counter()
    for profile in profiles:
        if profile.slice is not None and users.get(profile.slug):
            needed[profile.slice] += profile.slice_count * users[profile.slug]
    return needed


def _candidate_cuts(
    search: Search, pools: Sequence[Pool], profiles: Sequence[Profile], demand: Demand, users: Mapping[str, int]
) -> tuple[list[Cut], bool]:
    """Return ways to cut the GPUs: best for the demand, and for the largest multiple of it that any way covers."""
    kept = kept_slices(search.config, search.hosts, pools)
    least = Counter({profile.slice: profile.slice_count for profile in profiles if profile.slice is not None})

    def need(total: int) -> Counter[str]:
        wanted = users if total == sum(users.values()) else shared_out(demand.shares, total)
        # A profile whose slice nobody offers makes the stack file invalid, so one of each stays.
        return (slices_needed(profiles, wanted) | least) - kept

    def covers(total: int) -> bool:
        cut = best_cuts(pools, need(total), time_slices=search.time_slices, most=1).cuts[0]
        return not need(total) - _offered(cut)

    low, high = 0, 1
    while high < LARGEST_FACTOR and covers(high):
        low, high = high, high * 2
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        low, high = (middle, high) if covers(middle) else (low, middle)
    totals = {sum(users.values()), low or 1, high}
    found = [best_cuts(pools, need(total), time_slices=search.time_slices) for total in sorted(totals)]
    cuts: list[Cut] = []
    for cut in (cut for one in found for cut in one.cuts):
        if cut not in cuts:
            cuts.append(cut)
    return cuts, all(one.is_exhaustive for one in found)


def _modelled(
    search: Search, pools: Sequence[Pool], cut: Cut, demand: Demand, users: Mapping[str, int]
) -> Candidate | None:
    """Return what the model makes of a way to cut; None where the stack file would not be valid with it."""
    config = recut(search.config, cut)
    if any(check(config, search.hosts)):
        return None
    case = search.case_of(config)
    most = {offered.name: offered.most_on_one_node for offered in offered_slices(config, search.hosts)}
    if any(most.get(profile.slice, 0) < profile.slice_count for profile in case.profiles if profile.slice is not None):
        return None
    return Candidate(
        config=config,
        slices=dict(sorted((_offered(cut) + kept_slices(search.config, search.hosts, pools)).items())),
        served=case.model().serve(case.shapes, users),
        full_at=case.model().fill(case.shapes, arrivals(demand.shares)).total,
        changed=cut.changed(pools),
    )


def _verified(  # noqa: PLR0913, PLR0917 - what is asked, of whom, and what is known already
    scheduler: Scheduler,
    search: Search,
    candidate: Candidate,
    demand: Demand,
    users: Mapping[str, int],
    known: Full | None,
) -> Candidate:
    """Return the same layout with what the scheduler makes of it."""
    case = search.case_of(candidate.config)
    served = candidate.served
    if sum(users.values()) <= MOST_SERVED:
        served = serve(scheduler, case, users)
    full = known or fill_up(scheduler, case, demand, _silent, by_scheduler=VERIFIED_USERS)
    return Candidate(
        config=candidate.config,
        slices=candidate.slices,
        served=served,
        full_at=full.total,
        changed=candidate.changed,
        full=full,
    )


def _offered(cut: Cut) -> Counter[str]:
    return sum((host.offers for host in cut.hosts.values()), Counter[str]())


def _silent(_message: str) -> None:
    pass


def _lacking(
    search: Search,
    pools: Sequence[Pool],
    profiles: Sequence[Profile],
    users: Mapping[str, int],
    best: Candidate,
) -> tuple[Lacking, ...]:
    needed = slices_needed(profiles, users)
    kept = kept_slices(search.config, search.hosts, pools)
    most = most_of_each(pools, sorted(needed), search.time_slices)
    offered = Counter(best.slices)
    return tuple(
        Lacking(slice=name, asked=asked, offered=offered[name], most=most[name] + kept[name])
        for name, asked in sorted(needed.items())
        if asked > offered[name]
    )
