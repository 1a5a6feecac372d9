"""PCI device ids of the models this project knows, for telling on the bus what a stack file says is there.

Vendor 10de. Ids and names: the PCI ID Repository (``pci.ids``, vendor 10de), held against NVIDIA's own table in the
driver README, "Supported NVIDIA GPU Products". Only ids of GPUs that the driver calls by the model's own name
(`GpuModel.nvml_name`) are a model's: any other gets another node label, which no pod would ask for. Some that are *not*
a known model are here under a name of their own, because they are easily taken for one.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from .models import GpuModelName

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PCI_IDS", "RELATED_IDS", "device_name"]

PCI_IDS: Mapping[str, GpuModelName] = MappingProxyType(
    {
        "1db1": GpuModelName.V100_16_SXM2,
        "1db4": GpuModelName.V100_16,
        "1db5": GpuModelName.V100_32_SXM2,
        "1db6": GpuModelName.V100_32,
        "1eb8": GpuModelName.T4,
        "20b0": GpuModelName.A100_40_SXM,
        "20b2": GpuModelName.A100_80_SXM,
        "20b5": GpuModelName.A100_80_PCIE,
        "20b7": GpuModelName.A30,
        "20f1": GpuModelName.A100_40_PCIE,
        "2235": GpuModelName.A40,
        "2236": GpuModelName.A10,
        "2321": GpuModelName.H100_NVL,
        "2330": GpuModelName.H100_SXM,
        "2331": GpuModelName.H100_PCIE,
        "2335": GpuModelName.H200_SXM,
        "233b": GpuModelName.H200_NVL,
        "2342": GpuModelName.GH200_96,
        "2348": GpuModelName.GH200_144,
        "26b1": GpuModelName.RTX_6000_ADA,
        "26b9": GpuModelName.L40S,
        "27b8": GpuModelName.L4,
        "2901": GpuModelName.B200,
    }
)
"""Model by device id, four hexadecimal digits in small letters, as sysfs has them behind ``0x``."""

RELATED_IDS: Mapping[str, str] = MappingProxyType(
    {
        "1df6": "V100S-32GB",
        "2237": "A10G",
        "20b3": "A100-64GB-SXM",
        "20bd": "A800-40GB-SXM",
        "20f3": "A800-80GB-SXM",
        "20f5": "A800-80GB-PCIe",
        "2324": "H800",
        "2329": "H20",
        "26b5": "L40",
        "2941": "GB200",
    }
)
"""Names of GPUs that are no known model, by device id: relatives with another product name or another geometry."""


def device_name(device_id: str) -> str | None:
    """Return what a device id stands for, None where no table here has it.

    Examples
    --------
    >>> device_name("20b5"), device_name("1df6"), device_name("ffff")
    ('A100-80GB-PCIe', 'V100S-32GB', None)
    """
    known = PCI_IDS.get(device_id.lower())
    return str(known) if known is not None else RELATED_IDS.get(device_id.lower())
