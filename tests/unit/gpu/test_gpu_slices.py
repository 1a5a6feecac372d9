"""What pods can ask for."""

from __future__ import annotations

import pytest
from gpu_labs import Gpus

from components.gpu.config import GpuConfig
from components.gpu.errors import UnknownHostError
from components.gpu.models import GpuModelName
from components.gpu.slices import is_slice_name, offered_slices, resource_name, simulated_capacity


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        ("whole", "nvidia.com/gpu"),
        ("whole.shared", "nvidia.com/gpu.shared"),
        ("1g.10gb", "nvidia.com/mig-1g.10gb"),
        ("1g.10gb+me", "nvidia.com/mig-1g.10gb.me"),
        ("1g.10gb.shared", "nvidia.com/mig-1g.10gb.shared"),
    ],
)
def test_resources_are_the_device_plugins(name: str, resource: str) -> None:
    assert is_slice_name(name)
    assert resource_name(name) == resource


@pytest.mark.parametrize("name", ["", "gpu", "nvidia.com/gpu", "1g.10GB", "8g.80gb", "1g.10gb.share", "1g.10gb\n"])
def test_other_texts_name_no_slice(name: str) -> None:
    assert not is_slice_name(name)


def test_the_jsi_lab_advertises_its_cuts(jsi: GpuConfig, jsi_hosts: dict[str, Gpus | None]) -> None:
    assert simulated_capacity(jsi, jsi_hosts) == {
        "gpu1": {"nvidia.com/mig-1g.10gb": 4, "nvidia.com/mig-2g.20gb": 2, "nvidia.com/mig-3g.40gb": 2}
    }


def test_the_jsi_labs_slices_are_described(jsi: GpuConfig, jsi_hosts: dict[str, Gpus | None]) -> None:
    small, medium, large = offered_slices(jsi, jsi_hosts)
    assert [small.name, medium.name, large.name] == ["1g.10gb", "2g.20gb", "3g.40gb"]
    assert small.model is GpuModelName.A100_80_PCIE
    assert (small.memory_gigabytes, small.total, small.most_on_one_node) == (10, 4, 4)
    assert small.nodes == (("gpu1", 4),)
    assert small.node_selector == {"nvidia.com/gpu.product": "NVIDIA-A100-80GB-PCIe"}
    assert small.display_name == "1g.10gb, 10 GB"
    assert not small.is_shared


def test_every_way_of_slicing(mixed_lab: GpuConfig, mixed_hosts: dict[str, Gpus | None]) -> None:
    assert simulated_capacity(mixed_lab, mixed_hosts) == {
        "whole1": {"nvidia.com/gpu": 2},
        "t4": {"nvidia.com/gpu.shared": 8},
        "gpu1": {"nvidia.com/mig-1g.10gb": 14},
        "gpu2": {"nvidia.com/mig-1g.10gb": 56},
        "gpu3": {"nvidia.com/mig-3g.40gb": 2, "nvidia.com/gpu": 1},
    }


def test_one_name_on_two_models_is_two_slices(mixed_lab: GpuConfig, mixed_hosts: dict[str, Gpus | None]) -> None:
    same = [offered for offered in offered_slices(mixed_lab, mixed_hosts) if offered.name == "1g.10gb"]
    assert [(offered.model, offered.total) for offered in same] == [
        (GpuModelName.A100_80_PCIE, 14),
        (GpuModelName.H100_SXM, 56),
    ]
    shared = next(offered for offered in offered_slices(mixed_lab, mixed_hosts) if offered.is_shared)
    assert (shared.name, shared.memory_gigabytes, shared.display_name) == ("whole.shared", 16, "T4, 16 GB, shared")


def test_used_slices_need_no_hosts() -> None:
    config = GpuConfig.model_validate(
        {"use": {"slices": [{"slice": "1g.10gb", "count": 4}, {"slice": "whole", "count": 1}]}}
    )
    part, whole = offered_slices(config, {})
    assert (part.resource, part.memory_gigabytes, part.most_on_one_node) == ("nvidia.com/mig-1g.10gb", 10, 4)
    assert (whole.memory_gigabytes, whole.node_selector, whole.display_name) == (None, {}, "GPU")
    assert simulated_capacity(config, {}) == {}


@pytest.mark.parametrize("hosts", [{}, {"gpu1": None}, {"gpu1": Gpus("A1000", 2)}])
def test_an_unchecked_section_fails_by_name(jsi: GpuConfig, hosts: dict[str, Gpus | None]) -> None:
    with pytest.raises(UnknownHostError, match=r"gpu\.groups\.a100\.hosts: gpu1"):
        offered_slices(jsi, hosts)
