"""Labels of simulated nodes against the rules of GPU Feature Discovery."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from gpu_labs import Gpus

from components.gpu.config import GpuConfig
from components.gpu.models import MODELS, GpuModelName
from components.gpu.plan import offered_slices, simulated_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

A100 = GpuModelName.A100_80_PCIE
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
T4_LABELS = {
    "nvidia.com/gpu.present": "true",
    "nvidia.com/gpu.product": "Tesla-T4",
    "nvidia.com/gpu.count": "2",
    "nvidia.com/gpu.memory": "16384",
    "nvidia.com/gpu.family": "turing",
    "nvidia.com/gpu.compute.major": "7",
    "nvidia.com/gpu.compute.minor": "5",
    "nvidia.com/mig.capable": "false",
    "nvidia.com/mig.strategy": "mixed",
}
"""Labels of two T4, whatever their sharing."""


def labels_of(slicing: object, model: str = A100, count: int = 2) -> Mapping[str, str]:
    config = GpuConfig.model_validate({"groups": {"g": {"hosts": ["gpu1"], "slicing": slicing}}})
    return simulated_labels(config, {"gpu1": Gpus(model, count)})["gpu1"]


@pytest.mark.parametrize(
    ("slicing", "replicas", "strategy", "mps"),
    [
        ({"kind": "whole"}, "1", "none", "false"),
        ({"kind": "timeSlicing", "replicas": 4}, "4", "time-slicing", "false"),
        ({"kind": "mps", "replicas": 8}, "8", "mps", "true"),
    ],
)
def test_whole_and_shared_gpus(slicing: object, replicas: str, strategy: str, mps: str) -> None:
    assert labels_of(slicing, "T4") == {
        **T4_LABELS,
        "nvidia.com/gpu.replicas": replicas,
        "nvidia.com/gpu.sharing-strategy": strategy,
        "nvidia.com/mps.capable": mps,
    }


def test_mixed_describes_every_profile_under_its_name_before_sharing() -> None:
    slicing = {"kind": "mig", "layout": {"1g.10gb": 3, "1g.10gb+me": 1, "3g.40gb": 1}, "shared": {"1g.10gb": 4}}
    labels = labels_of(slicing)
    assert (labels["nvidia.com/gpu.product"], labels["nvidia.com/gpu.count"]) == ("NVIDIA-A100-80GB-PCIe", "2")
    assert (labels["nvidia.com/gpu.replicas"], labels["nvidia.com/mig.strategy"]) == ("0", "mixed")
    assert {key: value for key, value in labels.items() if key.startswith("nvidia.com/mig-1g.10gb.")} == {
        "nvidia.com/mig-1g.10gb.product": "NVIDIA-A100-80GB-PCIe-MIG-1g.10gb",
        "nvidia.com/mig-1g.10gb.count": "6",
        "nvidia.com/mig-1g.10gb.replicas": "4",
        "nvidia.com/mig-1g.10gb.sharing-strategy": "time-slicing",
        "nvidia.com/mig-1g.10gb.memory": "10240",
        "nvidia.com/mig-1g.10gb.slices.gi": "1",
        "nvidia.com/mig-1g.10gb.slices.ci": "1",
        "nvidia.com/mig-1g.10gb.me.product": "NVIDIA-A100-80GB-PCIe-MIG-1g.10gb.me",
        "nvidia.com/mig-1g.10gb.me.count": "2",
        "nvidia.com/mig-1g.10gb.me.replicas": "1",
        "nvidia.com/mig-1g.10gb.me.sharing-strategy": "none",
        "nvidia.com/mig-1g.10gb.me.memory": "10240",
        "nvidia.com/mig-1g.10gb.me.slices.gi": "1",
        "nvidia.com/mig-1g.10gb.me.slices.ci": "1",
    }
    assert labels["nvidia.com/mig-3g.40gb.slices.gi"] == "3"


def test_a_gpu_left_whole_speaks_for_the_whole_ones() -> None:
    labels = labels_of({"kind": "mig", "layout": [{"3g.40gb": 2}, {}]})
    assert (labels["nvidia.com/gpu.count"], labels["nvidia.com/gpu.replicas"]) == ("2", "1")


def test_single_describes_instances_as_gpus() -> None:
    slicing = {"kind": "mig", "strategy": "single", "layout": {"1g.10gb": 7}, "shared": {"1g.10gb": 4}}
    assert labels_of(slicing) == {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": "NVIDIA-A100-80GB-PCIe-MIG-1g.10gb",
        "nvidia.com/gpu.count": "14",
        "nvidia.com/gpu.replicas": "4",
        "nvidia.com/gpu.sharing-strategy": "time-slicing",
        "nvidia.com/gpu.memory": "10240",
        "nvidia.com/gpu.slices.gi": "1",
        "nvidia.com/gpu.slices.ci": "1",
        "nvidia.com/gpu.family": "ampere",
        "nvidia.com/gpu.compute.major": "8",
        "nvidia.com/gpu.compute.minor": "0",
        "nvidia.com/mig.capable": "true",
        "nvidia.com/mig.strategy": "single",
        "nvidia.com/mps.capable": "false",
    }


@pytest.mark.parametrize("model", GpuModelName)
def test_every_slice_selects_its_own_nodes_and_values_are_label_values(model: GpuModelName) -> None:
    slicings: dict[str, object] = {
        "whole": {"kind": "whole"},
        "turns": {"kind": "timeSlicing", "replicas": 4},
        "mps": {"kind": "mps", "replicas": 4},
    }
    if profiles := [profile.name for profile in MODELS[model].profiles]:
        slicings["single"] = {"kind": "mig", "strategy": "single", "layout": {profiles[0]: 2}}
        slicings["mixed"] = {"kind": "mig", "layout": {profiles[1]: 1}, "shared": {profiles[1]: 2}}
    groups = {name: {"hosts": [name], "slicing": slicing} for name, slicing in slicings.items()}
    config, hosts = GpuConfig.model_validate({"groups": groups}), dict.fromkeys(slicings, Gpus(model, 1))
    labels = simulated_labels(config, hosts)
    assert all(LABEL_VALUE.fullmatch(value) for node in labels.values() for value in node.values())
    for offered in offered_slices(config, hosts):
        selected = {name for name, node in labels.items() if offered.node_selector.items() <= node.items()}
        offering = {
            name
            for other in offered_slices(config, hosts)
            for name, _ in other.nodes
            if other.resource == offered.resource
        }
        # Among the nodes that offer its resource, the selector finds those of this very slice.
        assert selected & offering == {name for name, _ in offered.nodes}, offered.name


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("V100-32GB", "volta"),
        ("T4", "turing"),
        ("A100-80GB-PCIe", "ampere"),
        ("A40", "ampere"),
        ("L4", "ada-lovelace"),
        ("H200-141GB-SXM", "hopper"),
        ("GH200-96GB", "hopper"),
        ("B200", "blackwell"),
    ],
)
def test_families_are_the_compute_capabilitys(model: str, family: str) -> None:
    assert labels_of({"kind": "whole"}, model)["nvidia.com/gpu.family"] == family
