"""What pods can ask for."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import pytest
from gpu_labs import Gpus

from components.gpu.config import GpuConfig
from components.gpu.errors import UnknownHostError
from components.gpu.models import GpuModelName
from components.gpu.slices import (
    Slice,
    SlicingMethod,
    allowed_node_labels,
    is_slice_name,
    offered_slices,
    possible_resources,
    resource_name,
    simulated_capacity,
)


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        ("whole", "nvidia.com/gpu"),
        ("whole.shared", "nvidia.com/gpu.shared"),
        ("1g.10gb", "nvidia.com/mig-1g.10gb"),
        ("1g.10gb+me", "nvidia.com/mig-1g.10gb.me"),
        ("1g.10gb.shared", "nvidia.com/mig-1g.10gb.shared"),
        ("1g.10gb+me.shared", "nvidia.com/mig-1g.10gb.me.shared"),
        ("whole.mps", "nvidia.com/gpu.shared"),
    ],
)
def test_resources_are_the_device_plugins(name: str, resource: str) -> None:
    assert is_slice_name(name)
    assert resource_name(name) == resource


@pytest.mark.parametrize(
    "name", ["", "gpu", "nvidia.com/gpu", "1g.10GB", "8g.80gb", "1g.10gb.share", "1g.10gb\n", "1g.10gb.mps"]
)
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


def slices_of(slicing: object, model: str = GpuModelName.A100_80_PCIE, count: int = 2) -> list[Slice]:
    config = GpuConfig.model_validate({"groups": {"g": {"hosts": ["gpu1"], "slicing": slicing}}})
    return list(offered_slices(config, {"gpu1": Gpus(model, count)}))


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a slice is to everybody who does not know how it came about."""

    name: str
    resource: str
    method: SlicingMethod
    total: int
    memory: int
    fraction: Fraction
    selector: dict[str, str]
    most_in_one_pod: int
    profile: str | None = None


PRODUCT, SHARING = "nvidia.com/gpu.product", "nvidia.com/gpu.sharing-strategy"
A100_PRODUCT = "NVIDIA-A100-80GB-PCIe"


@pytest.mark.parametrize(
    ("slicing", "expected"),
    [
        (
            {"kind": "whole"},
            Expected(
                name="whole",
                resource="nvidia.com/gpu",
                method=SlicingMethod.WHOLE,
                total=2,
                memory=80,
                fraction=Fraction(1),
                selector={PRODUCT: A100_PRODUCT},
                most_in_one_pod=2,
            ),
        ),
        (
            {"kind": "timeSlicing", "replicas": 4},
            Expected(
                name="whole.shared",
                resource="nvidia.com/gpu.shared",
                method=SlicingMethod.TIME_SLICING,
                total=8,
                memory=80,
                fraction=Fraction(1, 4),
                selector={PRODUCT: A100_PRODUCT, SHARING: "time-slicing"},
                most_in_one_pod=1,
            ),
        ),
        (
            {"kind": "mps", "replicas": 3},
            Expected(
                name="whole.mps",
                resource="nvidia.com/gpu.shared",
                method=SlicingMethod.MPS,
                total=6,
                memory=26,
                fraction=Fraction(1, 3),
                selector={PRODUCT: A100_PRODUCT, SHARING: "mps"},
                most_in_one_pod=1,
            ),
        ),
        (
            {"kind": "mig", "layout": {"2g.20gb": 3}},
            Expected(
                name="2g.20gb",
                resource="nvidia.com/mig-2g.20gb",
                method=SlicingMethod.MIG,
                total=6,
                memory=20,
                fraction=Fraction(2, 7),
                selector={PRODUCT: A100_PRODUCT},
                most_in_one_pod=6,
                profile="2g.20gb",
            ),
        ),
        (
            {"kind": "mig", "layout": {"1g.10gb+me": 1}, "shared": {"1g.10gb+me": 5}},
            Expected(
                name="1g.10gb+me.shared",
                resource="nvidia.com/mig-1g.10gb.me.shared",
                method=SlicingMethod.SHARED_MIG,
                total=10,
                memory=10,
                fraction=Fraction(1, 35),
                selector={PRODUCT: A100_PRODUCT},
                most_in_one_pod=1,
                profile="1g.10gb+me",
            ),
        ),
        (
            {"kind": "mig", "layout": {"3g.40gb": 2}, "strategy": "single"},
            Expected(
                name="3g.40gb",
                resource="nvidia.com/gpu",
                method=SlicingMethod.MIG,
                total=4,
                memory=40,
                fraction=Fraction(3, 7),
                selector={PRODUCT: f"{A100_PRODUCT}-MIG-3g.40gb"},
                most_in_one_pod=4,
                profile="3g.40gb",
            ),
        ),
        (
            {"kind": "mig", "layout": {"1g.10gb+me": 1}, "strategy": "single", "shared": {"1g.10gb+me": 2}},
            Expected(
                name="1g.10gb+me.shared",
                resource="nvidia.com/gpu.shared",
                method=SlicingMethod.SHARED_MIG,
                total=4,
                memory=10,
                fraction=Fraction(1, 14),
                selector={PRODUCT: f"{A100_PRODUCT}-MIG-1g.10gb.me"},
                most_in_one_pod=1,
                profile="1g.10gb+me",
            ),
        ),
    ],
)
def test_a_slice_says_all_that_others_need(slicing: object, expected: Expected) -> None:
    (found,) = slices_of(slicing)
    assert expected == Expected(
        name=found.name,
        resource=found.resource,
        method=found.method,
        total=found.total,
        memory=found.memory_gigabytes or 0,
        fraction=found.gpu_fraction or Fraction(0),
        selector=dict(found.node_selector),
        most_in_one_pod=found.most_in_one_pod,
        profile=found.profile,
    )
    assert found.quota_resource == f"requests.{expected.resource}"
    assert found.is_shared == (expected.most_in_one_pod == 1)
    assert found.dcgm_model == "NVIDIA A100 80GB PCIe"
    assert is_slice_name(found.name)


def test_one_group_may_share_some_profiles_only() -> None:
    slicing = {"kind": "mig", "layout": [{"1g.10gb": 4, "3g.40gb": 1}, {}], "shared": {"1g.10gb": 4}}
    assert [(found.name, found.total, found.replicas) for found in slices_of(slicing)] == [
        ("1g.10gb.shared", 16, 4),
        ("3g.40gb", 1, 1),
        ("whole", 1, 1),
    ]


def test_used_slices_of_strategy_single_are_told_from_whole_gpus() -> None:
    used = [
        {"slice": "1g.10gb", "count": 7, "strategy": "single", "model": "A100-80GB-PCIe"},
        {"slice": "whole.mps", "count": 8},
    ]
    single, mps = offered_slices(GpuConfig.model_validate({"use": {"slices": used}}), {})
    assert (single.resource, single.node_selector) == ("nvidia.com/gpu", {PRODUCT: f"{A100_PRODUCT}-MIG-1g.10gb"})
    assert (mps.replicas, mps.gpu_fraction, mps.memory_gigabytes) == (None, None, None)
    assert mps.node_selector == {SHARING: "mps"}


def test_a_pod_that_names_no_model_may_go_to_any_of_the_slices_nodes() -> None:
    groups = {
        name: {"hosts": [name], "slicing": {"kind": "timeSlicing", "replicas": 4}} for name in ("first", "second")
    }
    hosts = {"first": Gpus("T4", 1), "second": Gpus("L4", 1)}
    found = offered_slices(GpuConfig.model_validate({"groups": groups}), hosts)
    assert allowed_node_labels(found) == {PRODUCT: ("NVIDIA-L4", "Tesla-T4"), SHARING: ("time-slicing",)}
    assert allowed_node_labels([]) == {}


def test_possible_resources_do_not_change_with_the_cut() -> None:
    assert possible_resources([GpuModelName.T4]) == ("nvidia.com/gpu", "nvidia.com/gpu.shared")
    possible = possible_resources([GpuModelName.A30, GpuModelName.T4])
    assert possible == (
        "nvidia.com/gpu",
        "nvidia.com/gpu.shared",
        "nvidia.com/mig-1g.6gb",
        "nvidia.com/mig-1g.6gb.me",
        "nvidia.com/mig-1g.6gb.me.shared",
        "nvidia.com/mig-1g.6gb.shared",
        "nvidia.com/mig-2g.12gb",
        "nvidia.com/mig-2g.12gb.me",
        "nvidia.com/mig-2g.12gb.me.shared",
        "nvidia.com/mig-2g.12gb.shared",
        "nvidia.com/mig-4g.24gb",
        "nvidia.com/mig-4g.24gb.shared",
    )
    assert possible_resources([GpuModelName.T4, GpuModelName.A30]) == possible
