"""All answers about one lab, and the JSON they are printed as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .reasons import in_words, resource_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.model import Value

    from .answers import Full, Utilisation
    from .demand import Demand
    from .pods import Profile
    from .search import Candidate, Proposal
    from .spawns import Usage

__all__ = ["Report", "document"]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was asked and what the scheduler answered."""

    stack: str
    nodes: int
    away: tuple[str, ...]
    """Nodes of the cluster that take no pods now, and were left out."""
    is_running: bool
    """Whether what runs in the cluster was counted."""
    profiles: tuple[Profile, ...]
    counts: Mapping[str, int]
    """How many of each profile fit, of that alone, by slug."""
    before: tuple[Utilisation, ...]
    """What is taken before any of these users comes."""
    demand: Demand
    full: Full
    proposal: Proposal | None
    usage: Usage | None
    remarks: tuple[str, ...]
    """Of the file of past spawns: what could not be read or used."""
    slices: Mapping[str, str]
    """Name of the slice by resource."""
    seconds: float

    @property
    def multiple(self) -> float | None:
        """How many times the demand the lab holds; None where only the mixture was given."""
        total = self.demand.total
        return self.full.total / total if total else None

    @property
    def is_served(self) -> bool | None:
        """Whether the whole demand fits at once; None where only the mixture was given."""
        total = self.demand.total
        return None if total is None else self.full.total >= total


def document(report: Report) -> Mapping[str, Value]:
    """Return the report in the shape that ``--json`` prints (docs/capacity.md)."""
    full = report.full
    return {
        "stack": report.stack,
        "nodes": report.nodes,
        "nodesAway": list(report.away),
        "running": report.is_running,
        "profiles": [
            {
                "profile": profile.slug,
                "fits": report.counts[profile.slug],
                "requests": {resource: amount for resource, amount in profile.shape.requests if amount},
                "scheduler": profile.shape.scheduler,
            }
            for profile in report.profiles
        ],
        "demand": {
            "source": report.demand.source,
            "shares": dict(report.demand.shares),
            "users": None if report.demand.users is None else dict(report.demand.users),
            "total": report.demand.total,
            "served": report.is_served,
            "multiple": report.multiple,
        },
        "full": {
            "users": full.total,
            "byProfile": dict(full.users),
            "placedByScheduler": full.by_scheduler,
            "refused": {
                "profile": full.refusal.slug,
                "reason": in_words(full.refusal, report.slices),
                "message": full.refusal.message,
                "short": [
                    {"resource": short.resource, "nodes": list(short.nodes)}
                    for short in full.refusal.shortages
                    if short.nodes
                ],
            },
            "utilisation": [_utilisation(taken, report.slices) for taken in full.utilisation],
        },
        "utilisationBefore": [_utilisation(taken, report.slices) for taken in report.before],
        "layouts": None if report.proposal is None else _proposal(report.proposal),
        "pastSpawns": None if report.usage is None else _usage(report.usage),
        "remarks": list(report.remarks),
        "seconds": round(report.seconds, 2),
    }


def _utilisation(taken: Utilisation, slices: Mapping[str, str]) -> Value:
    return {
        "resource": taken.resource,
        "name": resource_words(taken.resource, slices),
        "used": taken.used,
        "whole": taken.whole,
        "share": round(taken.share, 4),
    }


def _proposal(proposal: Proposal) -> Value:
    return {
        "users": dict(proposal.users),
        "better": proposal.is_better,
        "present": _candidate(proposal.present),
        "best": _candidate(proposal.best),
        "others": [_candidate(one) for one in proposal.others],
        "tried": proposal.tried,
        "exhaustive": proposal.is_exhaustive,
        "lacking": [
            {"slice": one.slice, "asked": one.asked, "offered": one.offered, "most": one.most}
            for one in proposal.lacking
        ],
        "lines": list(proposal.lines),
    }


def _candidate(candidate: Candidate) -> Value:
    return {
        "slices": dict(candidate.slices),
        "served": dict(candidate.served),
        "fullAt": candidate.full_at,
        "hostsChanged": list(candidate.changed),
    }


def _usage(usage: Usage) -> Value:
    return {
        "spawns": usage.spawns,
        "users": usage.users,
        "peak": usage.peak,
        "peakAt": usage.peak_at.isoformat(),
        "percentile95": usage.percentile,
        "atPeak": dict(usage.at_peak),
        "peaks": dict(usage.peaks),
        "percentiles95": dict(usage.percentiles),
    }


def explanation(proposal: Proposal) -> Sequence[str]:
    """Return in sentences why a layout is better than the present one, and what the demand lacks all the same."""
    asked = sum(proposal.users.values())
    present, best = proposal.present, proposal.best
    now, then = sum(present.served.values()), sum(best.served.values())
    told = [f"as they are cut now, {now} of {asked} users fit, and of their mixture {present.full_at}"]
    if proposal.is_better:
        told.append(f"cut as below, {then} of {asked} fit, and of their mixture {best.full_at}")
        names = sorted({*present.slices, *best.slices})
        changes = [
            f"{name} {present.slices.get(name, 0)} -> {best.slices.get(name, 0)}"
            for name in names
            if present.slices.get(name, 0) != best.slices.get(name, 0)
        ]
        told.append(f"cut anew: {', '.join(best.changed)} ({'; '.join(changes)})")
        gained = {slug: best.served[slug] - present.served.get(slug, 0) for slug in best.served}
        better = [f"{count:+d} {slug}" for slug, count in gained.items() if count]
        if better:
            told.append(f"of the demand that is {', '.join(better)}")
    else:
        told.append("no other layout serves more of it")
    for one in proposal.lacking:
        at_most = "" if one.most > one.offered else ", and no layout of these GPUs offers more"
        told.append(f"{one.slice}: {one.asked} asked for, {one.offered} offered{at_most}")
    if not proposal.is_exhaustive:
        told.append("not every layout was looked at: the lab has many GPUs, and the most promising ways were followed")
    return told
