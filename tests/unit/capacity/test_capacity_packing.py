"""The pure model of the scheduler: what fits is exact, and kinds of nodes stand for their nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl.capacity.demand import arrivals
from labctl.capacity.machines import Machine, kinds_of, recut_machines, units
from labctl.capacity.packing import PackingModel
from labctl.capacity.pods import Expression, Shape, Toleration
from labctl.capacity.reasons import in_words, message_counts, refusal_of
from labctl.control_plane import NodeTaint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity_makers import MakesMachines, MakesProfiles

SLICE = "nvidia.com/mig-1g.10gb"
GPU_TAINT = NodeTaint(key="nvidia.com/gpu", value="present", effect="NoSchedule")


def spreads(_scheduler: str) -> bool:
    return False


def packs(_scheduler: str) -> bool:
    return True


def test_alike_but_for_the_name_is_one_kind(machine: MakesMachines) -> None:
    same = [machine(f"worker-{n}") for n in range(3)]
    other = machine("gpu-1", slices={SLICE: 7})
    busy = machine("worker-9").holding(Shape(requests=(("cpu", 500),)), 1)
    assert [len(kind.machines) for kind in kinds_of([*same, other, busy])] == [3, 1, 1]


def test_room_is_the_scarcest_resource(machine: MakesMachines, profile: MakesProfiles) -> None:
    node = machine("n", cpus=8, memory=32, pods=5, slices={SLICE: 3})
    assert node.room(profile("cpu", cpu=2000).shape) == 4
    assert node.room(profile("memory", cpu=100, memory=16).shape) == 2
    assert node.room(profile("places", cpu=100).shape) == 5
    assert node.room(profile("slices", cpu=100, slices={SLICE: 2}).shape) == 1
    assert node.room(profile("none", slices={"nvidia.com/gpu": 1}).shape) == 0


def test_taints_selectors_and_affinity_close_nodes(machine: MakesMachines) -> None:
    node = machine("n", labels={"nvidia.com/gpu.product": "T4"}, taints=(GPU_TAINT,))
    held = Toleration(key="nvidia.com/gpu", operator="Exists", value="", effect="NoSchedule")
    ask = (("cpu", 100),)
    assert not node.admits(Shape(requests=ask))
    assert node.admits(Shape(requests=ask, tolerations=(held,)))
    for product, admitted in (("T4", True), ("A30", False)):
        selected = Shape(requests=ask, tolerations=(held,), node_selector=(("nvidia.com/gpu.product", product),))
        one = Expression(key="nvidia.com/gpu.product", operator="In", values=(product, "L4"))
        assert node.admits(selected) is admitted
        assert node.admits(Shape(requests=ask, tolerations=(held,), terms=((one,),))) is admitted


def test_spreading_takes_turns_and_packing_fills(machine: MakesMachines, profile: MakesProfiles) -> None:
    shape = profile("a", cpu=1000).shape
    for prefers, expected in ((spreads, [2, 2]), (packs, [0, 4])):
        model = PackingModel([machine("one"), machine("two")], prefers)
        assert all(model.place(shape) for _ in range(4))
        assert sorted(node.used.get("pods", 0) for node in model.machines()) == expected


def test_filling_stops_at_the_first_who_does_not_fit(machine: MakesMachines, profile: MakesProfiles) -> None:
    profiles = [profile("cpu", cpu=1000), profile("gpu", cpu=1000, slices={SLICE: 1})]
    shapes = {one.slug: one.shape for one in profiles}
    model = PackingModel([machine("n", cpus=8, slices={SLICE: 2})], spreads)
    filled = model.fill(shapes, arrivals({"cpu": 1.0, "gpu": 1.0}))
    assert filled.placed == {"cpu": 3, "gpu": 2}
    assert filled.refused == "gpu"
    refusal = refusal_of(
        profiles[1], model.machines(), "0/1 nodes are available: 1 Insufficient nvidia.com/mig-1g.10gb."
    )
    assert in_words(refusal, {SLICE: "1g.10gb"}) == "short of GPU slice 1g.10gb on n"


def test_the_most_demanding_are_served_first(machine: MakesMachines, profile: MakesProfiles) -> None:
    shapes = {one.slug: one.shape for one in (profile("small", cpu=1000), profile("large", cpu=6000))}
    model = PackingModel([machine("n", cpus=8)], spreads)
    assert model.serve(shapes, {"small": 8, "large": 1}) == {"small": 2, "large": 1}


NODES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=6)


def built(nodes: Sequence[tuple[int, int, int]]) -> list[Machine]:
    return [
        Machine(
            name=f"n{index}",
            labels={},
            taints=(),
            allocatable={"cpu": cpus * 1000, "memory": 2**33, "pods": pods, SLICE: slices},
        )
        for index, (cpus, pods, slices) in enumerate(nodes)
    ]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(nodes=NODES, cpu=st.integers(1, 3000), slices=st.integers(0, 2))
def test_room_is_what_placing_one_by_one_finds(nodes: list[tuple[int, int, int]], cpu: int, slices: int) -> None:
    shape = Shape(requests=(("cpu", cpu), (SLICE, slices)))
    expected = PackingModel(built(nodes), spreads).room(shape)
    for prefers in (spreads, packs):
        model = PackingModel(built(nodes), prefers)
        assert sum(model.place(shape) for _ in range(expected + 3)) == expected


@given(nodes=NODES, order=st.lists(st.sampled_from("abc"), max_size=40))
def test_no_node_ever_holds_more_than_it_has(nodes: list[tuple[int, int, int]], order: list[str]) -> None:
    asks: dict[str, tuple[tuple[str, int], ...]] = {
        "a": (("cpu", 400),),
        "b": (("cpu", 100), (SLICE, 1)),
        "c": (("memory", 2**31),),
    }
    model = PackingModel(built(nodes), spreads)
    placed = sum(model.place(Shape(requests=asks[slug])) for slug in order)
    after = model.machines()
    assert sum(node.used.get("pods", 0) for node in after) == placed
    assert all(taken <= node.allocatable[name] for node in after for name, taken in node.used.items())


def test_recut_nodes_keep_their_load_but_no_slices(machine: MakesMachines) -> None:
    shape = Shape(requests=(("cpu", 500), (SLICE, 1)))
    before, after = machine("g", slices={SLICE: 7}), machine("g", slices={"nvidia.com/gpu": 1}, labels={"new": "1"})
    live = machine("g", cpus=7, slices={SLICE: 7}, labels={"own": "x"}).holding(shape, 2)
    (recut,) = recut_machines([live], [before], [after])
    assert recut.allocatable == {"cpu": 7000, "memory": 32 * 2**30, "pods": 110, "nvidia.com/gpu": 1}
    assert recut.used == {"cpu": 1000, "pods": 2}
    assert (recut.labels["own"], recut.labels["new"]) == ("x", "1")
    assert recut_machines([live], [before], [before]) == (live,)


def test_the_schedulers_message_is_understood() -> None:
    said = (
        "0/9 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu, "
        "3 Insufficient nvidia.com/mig-1g.10gb, 1 Too many pods, 2 node(s) didn't match Pod's node affinity/selector. "
        "no new claims to deallocate, preemption: 0/9 nodes are available: 9 Insufficient cpu."
    )
    assert message_counts(said) == {"": 3, "cpu": 2, SLICE: 3, "pods": 1}
    assert message_counts("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.") == {"nvidia.com/gpu": 1}


def test_amounts_are_counted_in_whole_units() -> None:
    assert units("cpu", "2") == 2000
    assert units("cpu", "1500u") == 2, "rounded up, as the scheduler does"
    assert units("memory", "768G") == 768 * 10**9
