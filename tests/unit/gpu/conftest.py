"""Labs that the GPU tests share."""

from __future__ import annotations

import pytest
from gpu_labs import JSI_SECTION, Gpus

from components.gpu.config import GpuConfig
from components.gpu.models import GpuModelName


@pytest.fixture
def jsi() -> GpuConfig:
    """Return the JSI lab's section: two A100 80GB in one host, each cut in its own way."""
    return GpuConfig.model_validate(JSI_SECTION)


@pytest.fixture
def jsi_hosts() -> dict[str, Gpus | None]:
    return {"head1": None, "gpu1": Gpus(GpuModelName.A100_80_PCIE, 2)}


@pytest.fixture
def mixed_lab() -> GpuConfig:
    """Return a lab with every way of slicing, and a host with one GPU left whole beside a cut one."""
    return GpuConfig.model_validate(
        {
            "groups": {
                "dedicated": {"hosts": ["whole1"], "slicing": {"kind": "whole"}},
                "teaching": {"hosts": ["t4"], "slicing": {"kind": "timeSlicing", "replicas": 4}},
                "cut": {"hosts": ["gpu1", "gpu2"], "slicing": {"kind": "mig", "layout": {"1g.10gb": 7}}},
                "half": {"hosts": ["gpu3"], "slicing": {"kind": "mig", "layout": [{"3g.40gb": 2}, {}]}},
            }
        }
    )


@pytest.fixture
def mixed_hosts() -> dict[str, Gpus | None]:
    return {
        "head1": None,
        "whole1": Gpus(GpuModelName.H100_NVL, 2),
        "t4": Gpus(GpuModelName.T4, 2),
        "gpu1": Gpus(GpuModelName.A100_80_PCIE, 2),
        "gpu2": Gpus(GpuModelName.H100_SXM, 8),
        "gpu3": Gpus(GpuModelName.A100_80_SXM, 2),
    }
