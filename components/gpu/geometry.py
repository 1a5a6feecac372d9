"""Where MIG instances go on a GPU: exact search over the placements its model allows.

A layout counts instances per profile; a placement gives each a first memory slice. The search is exhaustive, so a
layout is refused only when no placement exists, and geometries are few (a few hundred per model), so the nearest
layout that does fit is found by looking at all of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from .models import MODELS, GpuModel, GpuModelName, MigProfile

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Layout",
    "LayoutRefusal",
    "PlacedInstance",
    "Placement",
    "freeze_layout",
    "layouts_of",
    "plan_layout",
    "render_layout",
]

Layout = tuple[tuple[str, int], ...]
"""Instances per profile name, sorted by name, none zero: a layout as a value that can be compared and hashed."""


@dataclass(frozen=True, kw_only=True)
class PlacedInstance:
    """One instance on one GPU."""

    profile: MigProfile
    start: int
    """First memory slice it occupies."""

    @property
    def slices(self) -> range:
        """Memory slices it occupies."""
        return range(self.start, self.start + self.profile.size)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A layout, placed on one GPU; instances by first memory slice."""

    model: GpuModelName
    instances: tuple[PlacedInstance, ...]


@dataclass(frozen=True, kw_only=True)
class LayoutRefusal:
    """A layout no placement exists for, with the layout closest to it that has one."""

    model: GpuModelName
    reason: str
    """What does not fit, as a clause."""
    nearest: Layout


def freeze_layout(counts: Mapping[str, int]) -> Layout:
    """Return the layout a mapping of the stack file means."""
    return tuple(sorted((name, count) for name, count in counts.items() if count))


def render_layout(layout: Layout) -> str:
    """Return a layout as the stack file spells it.

    Examples
    --------
    >>> render_layout((("1g.10gb", 4), ("3g.40gb", 1)))
    '{1g.10gb: 4, 3g.40gb: 1}'
    """
    return "{" + ", ".join(f"{name}: {count}" for name, count in layout) + "}"


@lru_cache(maxsize=4096)
def plan_layout(name: GpuModelName, layout: Layout) -> Placement | LayoutRefusal:
    """Return where a layout's instances go on one GPU, or why they cannot.

    Parameters
    ----------
    name
        The GPU's model.
    layout
        Instances per profile; empty is a GPU in MIG mode without instances, and always fits.
    """
    model = MODELS[name]
    if reason := _obvious_reason(model, layout):
        return LayoutRefusal(model=name, reason=reason, nearest=_nearest(model, layout))
    wanted = [
        profile
        for profile in sorted(model.profiles, key=lambda profile: -profile.size)
        for _ in range(dict(layout).get(profile.name, 0))
    ]
    placed = _place(wanted, free=(1 << model.memory_slices) - 1)
    if placed is None:
        what = f"no placement of {render_layout(layout)} exists on a GPU of {model.memory_slices} memory slices"
        return LayoutRefusal(model=name, reason=what, nearest=_nearest(model, layout))
    return Placement(model=name, instances=tuple(sorted(placed, key=lambda instance: instance.start)))


def layouts_of(name: GpuModelName) -> tuple[Layout, ...]:
    """Return every layout one GPU of a model can take, the empty one included; none where it has no MIG."""
    return tuple(sorted(_all_layouts(name)))


def _obvious_reason(model: GpuModel, layout: Layout) -> str | None:
    """Return what is wrong with a layout before any search, or None."""
    if not model.can_mig:
        return f"{model.name} cannot be cut by MIG"
    media = 0
    for name, count in layout:
        profile = model.profile(name)
        if profile is None:
            known = ", ".join(profile.name for profile in model.profiles)
            return f"{model.name} has no MIG profile {name} (it has {known})"
        if count > profile.most:
            return f"{model.name} takes {name} at most {profile.most} times, not {count}"
        media += count if profile.has_media_extensions else 0
    if media > 1:
        return f"{model.name} has one set of media extensions, and {media} instances ask for them"
    return None


def _place(wanted: list[MigProfile], free: int) -> list[PlacedInstance] | None:
    """Return a placement of `wanted` on the free memory slices (a bit mask), or None; depth-first, exhaustive."""
    if not wanted:
        return []
    profile, *rest = wanted
    for start in profile.starts:
        mask = ((1 << profile.size) - 1) << start
        if mask & free == mask and (others := _place(rest, free & ~mask)) is not None:
            return [PlacedInstance(profile=profile, start=start), *others]
    return None


def _all_layouts(name: GpuModelName) -> frozenset[Layout]:
    return _layouts_of_geometry(MODELS[name].profiles, MODELS[name].memory_slices)


@lru_cache(maxsize=64)
def _layouts_of_geometry(profiles: tuple[MigProfile, ...], memory_slices: int) -> frozenset[Layout]:
    """Return every layout of a geometry; models of the same profiles share the answer.

    From the last memory slice to the first: what fits from a slice on is what fits from the next one on, and each
    profile that may start there with what fits behind it. Layouts are counts in the order of `profiles` meanwhile.
    """
    if not profiles:
        return frozenset()
    nothing = (0,) * len(profiles)
    behind: dict[tuple[int, bool], frozenset[tuple[int, ...]]] = {
        (memory_slices, media): frozenset({nothing}) for media in (False, True)
    }
    for position in reversed(range(memory_slices)):
        for media in (False, True):
            found = set(behind[position + 1, media])
            for index, profile in enumerate(profiles):
                if position in profile.starts and not (media and profile.has_media_extensions):
                    rests = behind[position + profile.size, media or profile.has_media_extensions]
                    found.update((*rest[:index], rest[index] + 1, *rest[index + 1 :]) for rest in rests)
            behind[position, media] = frozenset(found)
    names = [profile.name for profile in profiles]
    return frozenset(freeze_layout(dict(zip(names, counts, strict=True))) for counts in behind[0, False])


def _nearest(model: GpuModel, layout: Layout) -> Layout:
    """Return the layout that fits with the fewest instances exchanged, taken away or added, the fullest of those."""
    if not model.can_mig:
        return ()
    names = [profile.name for profile in model.profiles]
    wanted = Counter[str]()
    for name, count in layout:
        wanted[_counterpart(model, name)] += count
    asked = [wanted[name] for name in names]
    foreign = wanted.total() - sum(asked)

    def distance(candidate: Layout) -> tuple[int, int, int, Layout]:
        offered = dict(candidate)
        counts = [offered.get(name, 0) for name in names]
        gone = foreign + sum(max(a - b, 0) for a, b in zip(asked, counts, strict=True))
        new = sum(max(b - a, 0) for a, b in zip(asked, counts, strict=True))
        used = sum(count * profile.size for count, profile in zip(counts, model.profiles, strict=True))
        return max(gone, new), -used, gone + new, candidate

    return min(_all_layouts(model.name), key=distance)


def _counterpart(model: GpuModel, name: str) -> str:
    """Return this model's profile of the same compute slices, for a name that is another model's; else the name."""
    if model.profile(name) is not None:
        return name
    compute = name.partition("g.")[0]
    return next((profile.name for profile in model.profiles if profile.name.startswith(f"{compute}g.")), name)
