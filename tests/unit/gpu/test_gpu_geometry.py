"""Placing MIG instances: documented cases, and every layout by brute force."""

from __future__ import annotations

import functools
import itertools
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.gpu.geometry import (
    Layout,
    LayoutRefusal,
    Placement,
    freeze_layout,
    layouts_of,
    plan_layout,
    render_layout,
)
from components.gpu.models import MODELS, GpuModel, GpuModelName

A100 = GpuModelName.A100_80_PCIE
CUTTABLE = [name for name, model in MODELS.items() if model.can_mig]


def placed(name: GpuModelName, counts: dict[str, int]) -> list[tuple[str, int]]:
    planned = plan_layout(name, freeze_layout(counts))
    assert isinstance(planned, Placement)
    return [(instance.profile.name, instance.start) for instance in planned.instances]


def refused(name: GpuModelName, counts: dict[str, int]) -> LayoutRefusal:
    planned = plan_layout(name, freeze_layout(counts))
    assert isinstance(planned, LayoutRefusal)
    return planned


@functools.cache
def brute_force(model: GpuModel) -> frozenset[Layout]:
    """Return all layouts by trying every subset of non-overlapping (profile, start) pairs, in the dullest way."""
    pairs = [(profile, start) for profile in model.profiles for start in profile.starts]
    found: set[Layout] = set()

    def extend(chosen: Counter[str], used: int, media: int, rest: int) -> None:
        found.add(freeze_layout(chosen))
        for index in range(rest, len(pairs)):
            profile, start = pairs[index]
            mask = sum(1 << (start + offset) for offset in range(profile.size))
            more_media = media + profile.has_media_extensions
            if not used & mask and more_media <= 1:
                extend(chosen + Counter({profile.name: 1}), used | mask, more_media, index + 1)

    extend(Counter(), 0, 0, 0)
    return frozenset(found)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"1g.10gb": 7}, [("1g.10gb", start) for start in range(7)]),
        # Only with the 3g on the right: on the left it takes four memory slices, and three 1g remain.
        ({"1g.10gb": 4, "3g.40gb": 1}, [*(("1g.10gb", start) for start in range(4)), ("3g.40gb", 4)]),
        ({"3g.40gb": 2}, [("3g.40gb", 0), ("3g.40gb", 4)]),
        ({"4g.40gb": 1, "3g.40gb": 1}, [("4g.40gb", 0), ("3g.40gb", 4)]),
        ({"2g.20gb": 2, "3g.40gb": 1}, [("2g.20gb", 0), ("2g.20gb", 2), ("3g.40gb", 4)]),
        ({"2g.20gb": 3, "1g.10gb": 1}, [("2g.20gb", 0), ("2g.20gb", 2), ("2g.20gb", 4), ("1g.10gb", 6)]),
        ({"1g.20gb": 4}, [("1g.20gb", 0), ("1g.20gb", 2), ("1g.20gb", 4), ("1g.20gb", 6)]),
        ({"7g.80gb": 1}, [("7g.80gb", 0)]),
        ({"1g.10gb+me": 1, "1g.10gb": 6}, None),
        ({}, []),
    ],
)
def test_layouts_of_an_a100_80gb(counts: dict[str, int], expected: list[tuple[str, int]] | None) -> None:
    found = placed(A100, counts)
    assert Counter(name for name, _ in found) == Counter(counts)
    if expected is not None:
        assert found == expected


@pytest.mark.parametrize(
    ("counts", "nearest"),
    [
        ({"1g.10gb": 5, "3g.40gb": 1}, {"1g.10gb": 4, "3g.40gb": 1}),
        ({"1g.10gb": 8}, {"1g.10gb": 7}),
        ({"4g.40gb": 2}, {"3g.40gb": 1, "4g.40gb": 1}),
        ({"7g.80gb": 1, "1g.10gb": 1}, {"7g.80gb": 1}),
        ({"1g.20gb": 4, "1g.10gb": 1}, {"1g.20gb": 4}),
        ({"3g.40gb": 1, "2g.20gb": 2, "1g.10gb": 1}, {"2g.20gb": 2, "3g.40gb": 1}),
        # Another model's names mean the same number of compute slices here.
        ({"1g.5gb": 7}, {"1g.10gb": 7}),
        ({"3g.20gb": 2}, {"3g.40gb": 2}),
    ],
)
def test_a_refusal_names_the_nearest_that_fits(counts: dict[str, int], nearest: dict[str, int]) -> None:
    refusal = refused(A100, counts)
    assert refusal.nearest == freeze_layout(nearest)
    assert isinstance(plan_layout(A100, refusal.nearest), Placement)


def test_a_refusal_says_why() -> None:
    assert refused(A100, {"1g.5gb": 7}).reason.startswith("A100-80GB-PCIe has no MIG profile 1g.5gb (it has 1g.10gb")
    assert refused(A100, {"1g.10gb": 8}).reason == "A100-80GB-PCIe takes 1g.10gb at most 7 times, not 8"
    assert "no placement of {1g.10gb: 5, 3g.40gb: 1}" in refused(A100, {"1g.10gb": 5, "3g.40gb": 1}).reason
    assert "one set of media extensions" in refused(GpuModelName.A30, {"1g.6gb+me": 1, "2g.12gb+me": 1}).reason
    assert refused(GpuModelName.T4, {"1g.10gb": 1}).reason == "T4 cannot be cut by MIG"
    assert refused(GpuModelName.T4, {"1g.10gb": 1}).nearest == ()


@pytest.mark.parametrize("name", CUTTABLE)
def test_the_layouts_are_exactly_those_brute_force_finds(name: GpuModelName) -> None:
    assert set(layouts_of(name)) == brute_force(MODELS[name])


@pytest.mark.parametrize("name", [A100, GpuModelName.A30])
def test_what_is_refused_has_no_placement_and_what_is_placed_has_one(name: GpuModelName) -> None:
    possible = brute_force(MODELS[name])
    # +me beside its plain profile only multiplies cases: it is another name for the same place.
    profiles = [profile for profile in MODELS[name].profiles if not profile.has_media_extensions]
    for counts in itertools.product(*(range(profile.most + 1) for profile in profiles)):
        layout = freeze_layout({profile.name: count for profile, count in zip(profiles, counts, strict=True)})
        assert isinstance(plan_layout(name, layout), Placement) == (layout in possible), layout


@given(data=st.data(), name=st.sampled_from(CUTTABLE))
@settings(deadline=None)  # the first example of a model finds all its layouts
def test_refused_is_what_no_placement_exists_for(data: st.DataObject, name: GpuModelName) -> None:
    model = MODELS[name]
    layout = freeze_layout(
        {profile.name: data.draw(st.integers(0, profile.most + 1)) for profile in model.profiles}
        | data.draw(st.dictionaries(st.sampled_from(["9g.90gb", "1g.1gb"]), st.integers(0, 1)))
    )
    planned = plan_layout(name, layout)
    assert isinstance(planned, Placement) == (layout in brute_force(model))
    if isinstance(planned, LayoutRefusal):
        assert planned.nearest in brute_force(model)


@given(data=st.data(), name=st.sampled_from(CUTTABLE))
@settings(deadline=None)  # the first example of a model finds all its layouts
def test_placed_instances_never_overlap_and_stay_within_the_gpu(data: st.DataObject, name: GpuModelName) -> None:
    model = MODELS[name]
    counts = {profile.name: data.draw(st.integers(0, profile.most + 1)) for profile in model.profiles}
    planned = plan_layout(name, freeze_layout(counts))
    if isinstance(planned, LayoutRefusal):
        assert isinstance(plan_layout(name, planned.nearest), Placement)
        return
    assert Counter(instance.profile.name for instance in planned.instances) == +Counter(counts)
    occupied = [position for instance in planned.instances for position in instance.slices]
    assert len(set(occupied)) == len(occupied)
    assert set(occupied) <= set(range(model.memory_slices))
    assert all(instance.start in instance.profile.starts for instance in planned.instances)
    # Compute slices are never asked about by the search: the placements imply them.
    compute = 4 if name is GpuModelName.A30 else 7
    assert sum(instance.profile.compute_slices for instance in planned.instances) <= compute


@given(data=st.data())
def test_the_order_of_a_layout_does_not_matter(data: st.DataObject) -> None:
    counts = {profile.name: data.draw(st.integers(0, profile.most)) for profile in MODELS[A100].profiles}
    turned = dict(reversed(counts.items()))
    assert freeze_layout(counts) == freeze_layout(turned)


def test_a_thousand_gpus_are_planned_within_a_second() -> None:
    layouts = layouts_of(A100)
    started = time.perf_counter()
    for index in range(1000):
        plan_layout(A100, layouts[index % len(layouts)])
    assert time.perf_counter() - started < 1.0


def test_a_layout_renders_as_the_file_spells_it() -> None:
    assert render_layout(freeze_layout({"3g.40gb": 1, "1g.10gb": 4, "2g.20gb": 0})) == "{1g.10gb: 4, 3g.40gb: 1}"
    assert render_layout(()) == "{}"
