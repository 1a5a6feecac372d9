"""What kube-scheduler is told, what pods name, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from pydantic import ValidationError

from components.gpu.config import GpuConfig
from components.gpu.models import MODELS, GpuModelName
from components.gpu.slices import PRODUCT_LABEL, offered_slices, possible_resources
from components.nodes.config import GpusConfig
from components.scheduling.checks import check
from components.scheduling.config import Placement, SchedulingConfig, UsedSchedulers
from components.scheduling.errors import ForeignSchedulersError
from components.scheduling.plan import (
    PACKING,
    PACKING_WEIGHT,
    SPREADING,
    SchedulerNames,
    scheduler_configuration,
    scheduler_names,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Document = dict[str, object]
USED = SchedulingConfig(use=UsedSchedulers(interactive="default-scheduler", batch="volcano"))
A100 = GpuModelName.A100_80_PCIE


def profile(name: str, *resources: str) -> Document:
    """Return one profile of the configuration."""
    told = scheduler_configuration(SchedulingConfig(), resources)
    (found,) = (one for one in cast("list[Document]", told["profiles"]) if one["schedulerName"] == name)
    return found


def arguments(plugin: str, *resources: str) -> Document:
    """Return the packing profile's arguments of one plugin."""
    listed = cast("list[dict[str, Document]]", profile(PACKING, *resources)["pluginConfig"])
    (found,) = (one["args"] for one in listed if cast("object", one["name"]) == plugin)
    return found


def weights(*resources: str) -> Mapping[str, int]:
    strategy = cast("dict[str, list[dict[str, object]]]", arguments("NodeResourcesFit", *resources)["scoringStrategy"])
    return {cast("str", one["name"]): cast("int", one["weight"]) for one in strategy["resources"]}


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (SchedulingConfig(), SchedulerNames(interactive=SPREADING, batch=PACKING)),
        (
            SchedulingConfig(interactive=Placement.PACK, batch=Placement.SPREAD),
            SchedulerNames(interactive=PACKING, batch=SPREADING),
        ),
        (USED, SchedulerNames(interactive="default-scheduler", batch="volcano")),
    ],
)
def test_each_kind_of_work_names_its_scheduler(config: SchedulingConfig, names: SchedulerNames) -> None:
    assert scheduler_names(config) == names


def test_spreading_is_what_kubernetes_does_by_itself() -> None:
    assert profile(SPREADING, "nvidia.com/gpu") == {"schedulerName": "default-scheduler"}


def test_a_changed_mind_restarts_no_scheduler() -> None:
    told = [
        scheduler_configuration(SchedulingConfig(interactive=interactive, batch=batch), ["nvidia.com/gpu"])
        for interactive in Placement
        for batch in Placement
    ]
    assert all(one == told[0] for one in told)


def test_another_layout_restarts_no_scheduler_and_is_weighed_as_the_former() -> None:
    hosts = {"gpu-1": GpusConfig(model=A100, count=2)}
    layouts: list[Mapping[str, object]] = [
        {"kind": "whole"},
        {"kind": "timeSlicing", "replicas": 4},
        *({"kind": "mig", "layout": {one.name: 1}} for one in MODELS[A100].profiles),
    ]
    possible = possible_resources([A100])
    for slicing in layouts:
        config = GpuConfig.model_validate({"groups": {"all": {"hosts": ["gpu-1"], "slicing": slicing}}})
        offered = {one.resource for one in offered_slices(config, hosts)}
        assert offered <= set(possible), slicing
    assert set(weights(*possible)) == {"cpu", "memory", *possible}


def test_every_possible_resource_of_a_model_is_there_shared_and_not() -> None:
    assert possible_resources([GpuModelName.T4]) == ("nvidia.com/gpu", "nvidia.com/gpu.shared")
    assert "nvidia.com/mig-1g.10gb.me.shared" in possible_resources([A100, A100])
    assert len(possible_resources(GpuModelName)) == len(set(possible_resources(GpuModelName)))


def test_one_gpu_of_eight_outweighs_all_cpus_and_memory() -> None:
    """Scores as kube-scheduler's mostResourceScorer has them, in whole numbers."""
    weighed = weights("nvidia.com/gpu")

    def score(used: Mapping[str, float]) -> int:
        return sum(int(100 * used[name]) * weighed[name] for name in used) // sum(weighed[name] for name in used)

    fuller_in_gpus = score({"cpu": 0.0, "memory": 0.0, "nvidia.com/gpu": 2 / 8})
    fuller_elsewhere = score({"cpu": 1.0, "memory": 1.0, "nvidia.com/gpu": 1 / 8})
    assert fuller_in_gpus > fuller_elsewhere
    half, full = ({"cpu": part, "memory": part, "nvidia.com/gpu": 0.5} for part in (0.5, 1.0))
    assert score(full) > score(half), "among equal GPUs, CPU and memory decide"


def test_wishes_keep_their_weight_against_packing_and_nothing_spreads_unasked() -> None:
    plugins = cast("dict[str, dict[str, list[Document]]]", profile(PACKING)["plugins"])["multiPoint"]
    assert {one["name"]: one["weight"] for one in plugins["enabled"]} == {
        "TaintToleration": 3 * PACKING_WEIGHT,
        "NodeAffinity": 2 * PACKING_WEIGHT,
        "PodTopologySpread": 2 * PACKING_WEIGHT,
        "InterPodAffinity": 2 * PACKING_WEIGHT,
        "NodeResourcesFit": PACKING_WEIGHT,
    }
    assert plugins["disabled"] == [{"name": "NodeResourcesBalancedAllocation"}]
    assert arguments("PodTopologySpread") == {"defaultingType": "List", "defaultConstraints": []}


def test_nodes_without_gpus_are_preferred() -> None:
    added = cast("dict[str, list[Document]]", arguments("NodeAffinity")["addedAffinity"])
    (preferred,) = added["preferredDuringSchedulingIgnoredDuringExecution"]
    assert preferred == {
        "weight": 100,
        "preference": {"matchExpressions": [{"key": PRODUCT_LABEL, "operator": "DoesNotExist"}]},
    }


def test_schedulers_of_others_are_not_configured() -> None:
    with pytest.raises(ForeignSchedulersError, match=r"scheduling\.use"):
        scheduler_configuration(USED, [])


@pytest.mark.parametrize(
    ("config", "is_ours", "what"),
    [
        (SchedulingConfig(), True, None),
        (USED, False, None),
        (SchedulingConfig(), False, "not this stack's to configure"),
        (USED, True, "its own scheduler, and no other"),
    ],
)
def test_whose_scheduler_it_is_decides_how_it_is_named(
    config: SchedulingConfig, *, is_ours: bool, what: str | None
) -> None:
    problems = list(check(config, is_scheduler_ours=is_ours))
    assert [problem.path for problem in problems] == ([("use",)] if what else [])
    assert all(what is not None and what in problem.what for problem in problems)


@pytest.mark.parametrize("placement", ["interactive", "batch"])
def test_both_at_once_are_refused(placement: str) -> None:
    section = {placement: "pack", "use": {"interactive": "a", "batch": "b"}}
    with pytest.raises(ValidationError, match=f"but {placement} would make some"):
        SchedulingConfig.model_validate(section)


@pytest.mark.parametrize("name", ["", "Default", "a b", "-a", "a" * 254])
def test_a_scheduler_s_name_is_a_name(name: str) -> None:
    with pytest.raises(ValidationError):
        SchedulingConfig.model_validate({"use": {"interactive": name, "batch": "b"}})
