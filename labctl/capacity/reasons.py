"""Why somebody was refused, in plain words: the scheduler's own message, and where which resource is short."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .pods import CPU, MEMORY, PODS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .machines import Machine
    from .pods import Profile

__all__ = ["Refusal", "Shortage", "in_words", "message_counts", "refusal_of", "resource_words"]

_INSUFFICIENT = re.compile(
    r"(?P<count>\d+) (?:Insufficient (?P<resource>\S+?)|(?P<pods>Too many pods))(?=,|\.?(?:\s|$))"
)
_CLOSED = re.compile(
    r"(?P<count>\d+) (?P<why>node\(s\) (?:had untolerated taint|didn't match Pod's node affinity/selector)[^,.]*)"
)
NAMES_SHOWN = 4
"""Nodes named one by one."""


@dataclass(frozen=True, kw_only=True)
class Shortage:
    """One resource that nodes lack for one more."""

    resource: str
    nodes: tuple[str, ...]
    """Nodes that take such a pod and have some of it, but not enough left, sorted."""
    without: tuple[str, ...]
    """Nodes that take such a pod and have none of it at all, sorted."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One user who did not fit."""

    slug: str
    shortages: tuple[Shortage, ...]
    """Which resource is short where, most nodes first."""
    closed: tuple[str, ...]
    """Nodes that do not take such a pod at all: taints, or another GPU model."""
    message: str
    """What the scheduler said."""


def refusal_of(profile: Profile, machines: Sequence[Machine], message: str) -> Refusal:
    """Return why a pod of a profile fits none of the nodes as they are then."""
    lacking: dict[str, tuple[list[str], list[str]]] = {}
    closed: list[str] = []
    for machine in machines:
        if not machine.admits(profile.shape):
            closed.append(machine.name)
            continue
        for resource in machine.shortages(profile.shape):
            short, without = lacking.setdefault(resource, ([], []))
            (short if machine.allocatable.get(resource) else without).append(machine.name)
    shortages = [
        Shortage(resource=resource, nodes=tuple(sorted(short)), without=tuple(sorted(without)))
        for resource, (short, without) in lacking.items()
    ]
    return Refusal(
        slug=profile.slug,
        shortages=tuple(sorted(shortages, key=lambda short: (-len(short.nodes), short.resource))),
        closed=tuple(sorted(closed)),
        message=message.split(". ", maxsplit=1)[0].rstrip("."),
    )


def message_counts(message: str) -> Counter[str]:
    """Return on how many nodes the scheduler found which resource short; under the empty name those that are closed.

    Examples
    --------
    >>> message_counts("0/3 nodes are available: 2 Insufficient cpu, 1 Too many pods. preemption: 0/3 ...")
    Counter({'cpu': 2, 'pods': 1})
    """
    said = message.partition("preemption:")[0]
    counts: Counter[str] = Counter()
    for match in _INSUFFICIENT.finditer(said):
        counts[PODS if match["pods"] else match["resource"]] += int(match["count"])
    for match in _CLOSED.finditer(said):
        counts[""] += int(match["count"])
    return counts


def in_words(refusal: Refusal, slices: Mapping[str, str]) -> str:
    """Return a refusal as a sentence; `slices` has the slices' names by resource."""
    short = [found for found in refusal.shortages if found.nodes]
    if not short:
        lacking = ", ".join(resource_words(found.resource, slices) for found in refusal.shortages)
        return f"no node has {lacking}" if lacking else "no node takes it at all: of another kind, or tainted"
    # Nodes that have none of a slice at all are no news to anybody; they count where they have it and it is used up.
    parts = [f"{resource_words(found.resource, slices)} on {_named(found.nodes)}" for found in short]
    return f"short of {', '.join(parts)}"


def resource_words(resource: str, slices: Mapping[str, str]) -> str:
    """Return what people call a resource."""
    own = {CPU: "CPU", MEMORY: "memory", PODS: "places for pods"}
    if resource in slices:
        return f"GPU slice {slices[resource]}"
    return own.get(resource, resource)


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    return f"{shown} and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else shown
