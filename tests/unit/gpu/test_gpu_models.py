"""The table of GPU models against what NVIDIA's tools and guide print."""

from __future__ import annotations

import re

import pytest

from components.gpu.models import MODELS, Architecture, GpuModelName, MigProfile

PLACEMENTS_OF_EIGHT = """\
GPU  0 Profile ID 19 Placements: {0,1,2,3,4,5,6}:1
GPU  0 Profile ID 20 Placements: {0,1,2,3,4,5,6}:1
GPU  0 Profile ID 15 Placements: {0,2,4,6}:2
GPU  0 Profile ID 14 Placements: {0,2,4}:2
GPU  0 Profile ID  9 Placements: {0,4}:4
GPU  0 Profile ID  5 Placement : {0}:4
GPU  0 Profile ID  0 Placement : {0}:8
"""
"""``nvidia-smi mig -lgipp``, the same on A100 and H100: 1g, 1g+me, 1g of double memory, 2g, 3g, 4g, 7g."""

EIGHT_SLICES = {
    GpuModelName.A100_40_PCIE: "1g.5gb 1g.5gb+me 1g.10gb 2g.10gb 3g.20gb 4g.20gb 7g.40gb",
    GpuModelName.A100_40_SXM: "1g.5gb 1g.5gb+me 1g.10gb 2g.10gb 3g.20gb 4g.20gb 7g.40gb",
    GpuModelName.A100_80_PCIE: "1g.10gb 1g.10gb+me 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb",
    GpuModelName.A100_80_SXM: "1g.10gb 1g.10gb+me 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb",
    GpuModelName.H100_PCIE: "1g.10gb 1g.10gb+me 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb",
    GpuModelName.H100_SXM: "1g.10gb 1g.10gb+me 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb",
    GpuModelName.H100_NVL: "1g.12gb 1g.12gb+me 1g.24gb 2g.24gb 3g.47gb 4g.47gb 7g.94gb",
    GpuModelName.H200_SXM: "1g.18gb 1g.18gb+me 1g.35gb 2g.35gb 3g.71gb 4g.71gb 7g.141gb",
    GpuModelName.H200_NVL: "1g.18gb 1g.18gb+me 1g.35gb 2g.35gb 3g.71gb 4g.71gb 7g.141gb",
    GpuModelName.B200: "1g.23gb 1g.23gb+me 1g.45gb 2g.45gb 3g.90gb 4g.90gb 7g.180gb",
    GpuModelName.GH200_96: "1g.12gb 1g.12gb+me 1g.24gb 2g.24gb 3g.48gb 4g.48gb 7g.96gb",
    GpuModelName.GH200_144: "1g.18gb 1g.18gb+me 1g.36gb 2g.36gb 3g.72gb 4g.72gb 7g.144gb",
}
"""Profiles as *MIG User Guide*, "Supported MIG Profiles", lists them (GH200 144 GB: mig-parted's default layouts)."""

NUMBER_OF_INSTANCES = (7, 1, 4, 3, 2, 1, 1)
"""The guide's column "Number of Instances Available", in the same order on all of them."""


def parsed(listing: str) -> list[tuple[tuple[int, ...], int]]:
    found = re.findall(r"Placements? ?: \{([0-9,]+)\}:([0-9]+)", listing)
    return [(tuple(int(start) for start in starts.split(",")), int(size)) for starts, size in found]


@pytest.mark.parametrize("name", EIGHT_SLICES)
def test_eight_slice_gpus_have_the_guides_profiles_and_placements(name: GpuModelName) -> None:
    model = MODELS[name]
    assert [profile.name for profile in model.profiles] == EIGHT_SLICES[name].split()
    assert [(profile.starts, profile.size) for profile in model.profiles] == parsed(PLACEMENTS_OF_EIGHT)
    assert tuple(profile.most for profile in model.profiles) == NUMBER_OF_INSTANCES
    assert model.memory_slices == 8


def test_the_a30_has_four_slices() -> None:
    model = MODELS[GpuModelName.A30]
    found = [(profile.name, profile.size, profile.starts, profile.most) for profile in model.profiles]
    assert found == [
        ("1g.6gb", 1, (0, 1, 2, 3), 4),
        ("1g.6gb+me", 1, (0, 1, 2, 3), 1),
        ("2g.12gb", 2, (0, 2), 2),
        ("2g.12gb+me", 2, (0, 2), 1),
        ("4g.24gb", 4, (0,), 1),
    ]
    assert model.memory_slices == 4


def test_every_name_is_in_the_table_under_itself() -> None:
    assert list(MODELS) == list(GpuModelName)
    assert all(model.name == name for name, model in MODELS.items())


@pytest.mark.parametrize(
    "name",
    [
        GpuModelName.V100_16,
        GpuModelName.V100_32,
        GpuModelName.T4,
        GpuModelName.A10,
        GpuModelName.A40,
        GpuModelName.L4,
        GpuModelName.L40S,
        GpuModelName.RTX_6000_ADA,
    ],
)
def test_models_outside_the_guides_list_cannot_be_cut(name: GpuModelName) -> None:
    assert not MODELS[name].can_mig
    assert MODELS[name].memory_slices == 0


@pytest.mark.parametrize("name", GpuModelName)
def test_a_profiles_memory_is_its_share_of_the_gpu(name: GpuModelName) -> None:
    model = MODELS[name]
    for profile in model.profiles:
        share = model.memory_gigabytes * profile.size / model.memory_slices
        assert abs(profile.memory_gigabytes - share) <= 1, profile.name


@pytest.mark.parametrize("name", GpuModelName)
def test_no_placement_leaves_the_gpu_and_products_are_label_values(name: GpuModelName) -> None:
    model = MODELS[name]
    for profile in model.profiles:
        assert all(start + profile.size <= model.memory_slices for start in profile.starts)
        assert len(profile.starts) >= profile.most
    assert re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", model.product)


def test_products_are_distinct() -> None:
    products = [model.product for model in MODELS.values()]
    assert len(set(products)) == len(products)


def test_a_profile_is_found_by_its_name_only() -> None:
    model = MODELS[GpuModelName.A100_80_PCIE]
    found = model.profile("1g.10gb+me")
    assert found == MigProfile(
        name="1g.10gb+me",
        compute_slices=1,
        memory_gigabytes=10,
        size=1,
        starts=(0, 1, 2, 3, 4, 5, 6),
        most=1,
    )
    assert found is not None
    assert found.has_media_extensions
    assert model.profile("1g.5gb") is None


def test_kernel_modules_by_generation() -> None:
    assert not Architecture.VOLTA.runs_open_module
    assert Architecture.TURING.runs_open_module
    assert Architecture.HOPPER.runs_proprietary_module
    assert not Architecture.BLACKWELL.runs_proprietary_module
    assert not Architecture.GRACE_HOPPER.runs_proprietary_module
