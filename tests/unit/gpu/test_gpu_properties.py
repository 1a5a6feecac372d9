"""Whole labs, drawn at random: what the operator is told, what nodes must offer and what people see agree.

The other side is a device plugin of the tests' own: it reads nothing but the two configuration entries that a node's
labels name and the number of its GPUs, and counts what NVIDIA's would advertise.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest
from gpu_labs import Gpus
from hypothesis import given, settings
from hypothesis import strategies as st

from components.gpu.config import GpuConfig
from components.gpu.geometry import layouts_of
from components.gpu.models import MODELS, GpuModelName
from components.gpu.plan import check, offered_slices, plan, simulated_capacity, simulated_labels
from components.gpu.slices import allowed_node_labels, is_slice_name, possible_resources

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.gpu.plan import GpuPlan

patient = settings(deadline=None)
"""A drawn lab says nothing about speed, and the machine may be busy with other tests."""
MOST_GPUS = 4
"""GPUs of one host: enough for a layout per GPU, few enough for many examples."""


@dataclass(frozen=True)
class Lab:
    """A GPU section and the hosts it is about."""

    config: GpuConfig
    hosts: dict[str, Gpus | None]


@st.composite
def mig(draw: st.DrawFn, model: GpuModelName, count: int) -> dict[str, object]:
    """Return MIG slicing of one model that the checks accept; shared where it pleases."""
    if draw(st.booleans()):
        profile = draw(st.sampled_from(MODELS[model].profiles))
        most = st.integers(1, profile.most)
        layout = {profile.name: draw(most)}
        layouts = draw(
            st.just(layout) | st.lists(most.map(lambda n: {profile.name: n}), min_size=count, max_size=count)
        )
        cut, strategy = [profile.name], "single"
    else:
        layouts = draw(st.lists(st.sampled_from(layouts_of(model)).map(dict), min_size=count, max_size=count))
        cut, strategy = sorted({name for layout in layouts for name in layout}), "mixed"
        if not cut:
            return {"kind": "whole"}
    shared = {name: draw(st.integers(2, 48)) for name in draw(st.sets(st.sampled_from(cut)))}
    return {"kind": "mig", "layout": layouts, "strategy": strategy, "shared": shared}


@st.composite
def in_one_piece(draw: st.DrawFn, model: GpuModelName) -> dict[str, object]:
    """Return a way to hand out GPUs of one model uncut."""
    kind = draw(st.sampled_from(["whole", "timeSlicing", "mps"]))
    if kind == "whole":
        return {"kind": kind}
    return {"kind": kind, "replicas": draw(st.integers(2, MODELS[model].most_mps_clients))}


@st.composite
def labs(draw: st.DrawFn) -> Lab:
    """Return a lab with one group per GPU model: any hosts, any slicing the model allows."""
    groups: dict[str, object] = {}
    hosts: dict[str, Gpus | None] = {"head": None}
    for model in draw(st.lists(st.sampled_from(GpuModelName), min_size=1, max_size=4, unique=True)):
        count = draw(st.integers(1, MOST_GPUS))
        members = {f"gpu{len(hosts) + index}": Gpus(model, count) for index in range(draw(st.integers(1, 3)))}
        slicing = draw(mig(model, count) if MODELS[model].can_mig and draw(st.booleans()) else in_one_piece(model))
        groups[f"g{len(groups)}"] = {"hosts": list(members), "slicing": slicing}
        hosts |= members
    return Lab(GpuConfig.model_validate({"driver": {"source": "host"}, "groups": groups}), hosts)


def advertised(planned: GpuPlan, host: str, count: int) -> dict[str, int]:
    """Return what a device plugin would advertise on a node that wears its labels: its own reading of the entries."""
    labels = planned.nodes[host].labels
    layout = cast(
        "Sequence[Mapping[str, object]]", planned.mig_layouts[labels.get("nvidia.com/mig.config", "all-disabled")]
    )
    file = cast("dict[str, dict[str, object]]", json.loads(planned.sharing[labels["nvidia.com/device-plugin.config"]]))
    devices: Counter[str] = Counter()
    for gpu in range(count):
        (entry,) = [
            entry for entry in layout if entry["devices"] == "all" or gpu in cast("list[int]", entry["devices"])
        ]
        if not entry["mig-enabled"]:
            devices["nvidia.com/gpu"] += 1
            continue
        for profile, instances in cast("dict[str, int]", entry["mig-devices"]).items():
            single = file["flags"]["migStrategy"] == "single"
            devices["nvidia.com/gpu" if single else f"nvidia.com/mig-{profile.replace('+', '.')}"] += instances
    (sharing,) = cast(
        "dict[str, dict[str, list[dict[str, object]]]]", file.get("sharing", {"none": {"resources": []}})
    ).values()
    replicas = {str(shared["name"]): cast("int", shared["replicas"]) for shared in sharing["resources"]}
    return {f"{name}.shared" if name in replicas else name: devices[name] * replicas.get(name, 1) for name in devices}


def conflicting(lab: Lab) -> bool:
    """Tell whether models drawn together name one profile by two strategies, which the checks refuse rightly."""
    names: dict[str, str] = {}
    return any(
        names.setdefault(offered.name, offered.resource) != offered.resource
        for offered in offered_slices(lab.config, lab.hosts)
    )


@given(lab=labs())
@patient
def test_sound_labs_are_accepted(lab: Lab) -> None:
    assert bool(list(check(lab.config, lab.hosts))) == conflicting(lab)


@given(lab=labs())
@patient
def test_nodes_must_offer_what_the_device_plugin_would(lab: Lab) -> None:
    planned = plan(lab.config, lab.hosts)
    for host, gpus in lab.hosts.items():
        if gpus is not None:
            assert planned.nodes[host].allocatable == advertised(planned, host, gpus.count)
    assert {host: node.allocatable for host, node in planned.nodes.items()} == simulated_capacity(lab.config, lab.hosts)


@given(lab=labs())
@patient
def test_what_people_see_adds_up_to_what_nodes_offer(lab: Lab) -> None:
    slices, planned = offered_slices(lab.config, lab.hosts), plan(lab.config, lab.hosts)
    seen: Counter[str] = Counter()
    for offered in slices:
        seen[offered.resource] += offered.total
        assert is_slice_name(offered.name)
        assert 0 < offered.most_in_one_pod <= offered.most_on_one_node <= offered.total
    nodes = [node.allocatable for node in planned.nodes.values()]
    assert seen == sum((Counter(node) for node in nodes), Counter[str]())
    models = {GpuModelName(gpus.model) for gpus in lab.hosts.values() if gpus is not None}
    assert set(seen) <= set(possible_resources(models))


@given(lab=labs())
@patient
def test_shares_and_instances_never_exceed_the_gpus(lab: Lab) -> None:
    for host, gpus in lab.hosts.items():
        offered = [
            (found, dict(found.nodes)[host])
            for found in offered_slices(lab.config, lab.hosts)
            if host in dict(found.nodes)
        ]
        if gpus is not None:
            assert sum(count * (found.gpu_fraction or 0) for found, count in offered) <= gpus.count
            bounded = [(found, count) for found, count in offered if found.name.endswith(".mps")]
            memory = MODELS[GpuModelName(gpus.model)].memory_gigabytes * gpus.count
            assert sum(count * (found.memory_gigabytes or 0) for found, count in bounded) <= memory


@given(lab=labs())
@patient
def test_a_pod_reaches_every_node_of_its_slice_and_no_other_that_offers_the_resource(lab: Lab) -> None:
    labels, capacity = simulated_labels(lab.config, lab.hosts), simulated_capacity(lab.config, lab.hosts)
    slices = offered_slices(lab.config, lab.hosts)
    for offered in slices:
        alike = [other for other in slices if other.name == offered.name]
        if len({other.resource for other in alike}) > 1:
            continue
        allowed = allowed_node_labels(alike)
        reached = {
            host
            for host, resources in capacity.items()
            if offered.resource in resources and all(labels[host].get(key) in values for key, values in allowed.items())
        }
        assert reached == {host for other in alike for host, _ in other.nodes}


@given(lab=labs())
@settings(max_examples=30, deadline=None)
def test_the_order_of_a_file_changes_nothing(lab: Lab) -> None:
    groups = dict(reversed(lab.config.model_dump(by_alias=True)["groups"].items()))
    turned = GpuConfig.model_validate({"driver": {"source": "host"}, "groups": groups})
    hosts = dict(reversed(lab.hosts.items()))
    assert plan(turned, hosts) == plan(lab.config, lab.hosts)
    assert offered_slices(turned, hosts) == offered_slices(lab.config, lab.hosts)


@pytest.mark.parametrize("gpus_per_host", [1, 8])
def test_a_lab_of_a_thousand_gpus_is_checked_and_planned_within_a_second(gpus_per_host: int) -> None:
    layouts = [layout for layout in layouts_of(GpuModelName.H100_SXM) if layout]
    names = [f"gpu{index}" for index in range(1000 // gpus_per_host)]
    hosts: dict[str, Gpus | None] = dict.fromkeys(names, Gpus(GpuModelName.H100_SXM, gpus_per_host))
    groups = {
        f"g{index}": {"hosts": names[index::10], "slicing": {"kind": "mig", "layout": dict(layouts[index])}}
        for index in range(10)
    }
    config = GpuConfig.model_validate({"groups": groups})
    started = time.perf_counter()
    assert list(check(config, hosts)) == []
    planned = plan(config, hosts)
    assert len(planned.nodes) == len(names)
    assert len(offered_slices(config, hosts)) > 1
    assert time.perf_counter() - started < 1.0
