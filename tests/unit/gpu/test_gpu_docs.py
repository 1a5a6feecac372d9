"""What the page about GPUs says is what the program does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import pytest
from gpu_labs import Gpus
from ruamel.yaml import YAML

from components.gpu.config import GpuConfig
from components.gpu.models import MODELS, GpuModelName
from components.gpu.plan import check, offered_slices
from components.gpu.slices import HOLDS_GPU_SELECTOR, is_slice_name, resource_name

PAGE = (Path(__file__).parents[3] / "docs/gpus.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(gpu:\n.*?)```", PAGE, flags=re.DOTALL)


def table(first_heading: str) -> list[list[str]]:
    """Return the cells of the rows of the table whose first column has a heading."""
    lines = PAGE.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(f"| {first_heading} |")) + 2
    end = next(index for index in range(start, len(lines)) if not lines[index].startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:end]]


def test_the_table_of_models_is_the_programs() -> None:
    expected = [
        [
            f"`{name}`",
            f"`{model.product}`",
            str(model.memory_gigabytes),
            ", ".join(f"`{profile.name}`" for profile in model.profiles) or "none",
            str(model.most_mps_clients),
        ]
        for name, model in MODELS.items()
    ]
    assert table("model") == expected


@pytest.mark.parametrize("block", BLOCKS)
def test_examples_are_sound(block: str) -> None:
    loaded = cast("dict[str, object]", YAML(typ="safe").load(block))  # pyright: ignore[reportUnknownMemberType] - untyped library
    config = GpuConfig.model_validate(loaded["gpu"])
    hosts: dict[str, Gpus | None] = {
        host: Gpus(GpuModelName.A100_80_PCIE, 4) for group in config.groups.values() for host in group.hosts
    }
    assert list(check(config, hosts)) == []
    assert all(is_slice_name(offered.name) for offered in offered_slices(config, hosts))


def test_the_table_of_slices_is_what_pods_ask_for() -> None:
    groups: dict[str, dict[str, object]] = {
        "whole": {"kind": "whole"},
        "turns": {"kind": "timeSlicing", "replicas": 2},
        "mps": {"kind": "mps", "replicas": 2},
        "mixed": {"kind": "mig", "layout": {"1g.10gb": 1, "1g.10gb+me": 1}},
        "shared": {"kind": "mig", "layout": {"1g.10gb": 1}, "shared": {"1g.10gb": 2}},
        "single": {"kind": "mig", "layout": {"1g.10gb": 1}, "strategy": "single"},
        "both": {"kind": "mig", "layout": {"1g.10gb": 1}, "strategy": "single", "shared": {"1g.10gb": 2}},
    }
    config = GpuConfig.model_validate(
        {"groups": {name: {"hosts": [name], "slicing": slicing} for name, slicing in groups.items()}}
    )
    found = offered_slices(config, dict.fromkeys(groups, Gpus(GpuModelName.A100_80_PCIE, 1)))
    rows = {
        (f"`{offered.name}`" if offered.strategy == "mixed" else f"`{offered.name}`, `single`"): [
            f"`{offered.resource}`",
            f"`{offered.node_selector['nvidia.com/gpu.product']}`",
            ", ".join(f"`{key}: {value}`" for key, value in offered.node_selector.items() if "product" not in key),
        ]
        for offered in found
    }
    assert {name: cells for name, *cells in table("slice")} == rows


def test_the_ways_of_slicing_name_their_slices() -> None:
    named = [cells[1].strip("`") for cells in table("slicing")]
    assert named == ["whole", "1g.10gb", "1g.10gb.shared", "whole.shared", "whole.mps"]
    assert all(is_slice_name(name) and resource_name(name) for name in named)


def test_the_label_that_keeps_drivers_in_place_is_named() -> None:
    assert f"`{HOLDS_GPU_SELECTOR}`" in PAGE
    assert len(BLOCKS) == 2
