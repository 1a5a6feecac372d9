"""Node labels that GPU Feature Discovery would set once a node is cut: for simulated nodes.

Rules: NVIDIA/k8s-device-plugin v0.20.0, ``internal/lm`` (``nvml.go``, ``resource.go``, ``mig-strategy.go``). Labels of
the driver, of CUDA, of engines and of multiprocessors are left out: nothing here reads them, and a simulated node has
no driver that they could follow from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .config import MigSlicing, MigStrategy, MpsSlicing, TimeSlicing
from .slices import RESOURCE_PREFIX, WHOLE, device_layouts, group_model, product_label, resource_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .config import GpuConfig, GpuGroupConfig
    from .models import GpuModel, HostGpus

__all__ = ["simulated_labels"]

_MIG_STRATEGY = f"{RESOURCE_PREFIX}mig.strategy"
MEBIBYTES_PER_GIGABYTE = 1024
"""What stands for a data sheet's gigabyte: GPUs have powers of two, and a real driver reports a little less."""


def simulated_labels(config: GpuConfig, hosts: Mapping[str, HostGpus | None]) -> Mapping[str, Mapping[str, str]]:
    """Return the labels GPU Feature Discovery would set on each GPU node once cut, by host name.

    Raises
    ------
    UnknownHostError
        If a group names a host without known GPUs.
    """
    return {
        host_name: _labels(*group_model(name, host_name, hosts), group)
        for name, group in config.groups.items()
        for host_name in group.hosts
    }


def _labels(model: GpuModel, count: int, group: GpuGroupConfig) -> Mapping[str, str]:
    slicing = group.slicing
    labels = {
        f"{RESOURCE_PREFIX}gpu.present": "true",
        f"{RESOURCE_PREFIX}gpu.family": model.compute_capability.family,
        f"{RESOURCE_PREFIX}gpu.compute.major": str(model.compute_capability.major),
        f"{RESOURCE_PREFIX}gpu.compute.minor": str(model.compute_capability.minor),
        f"{RESOURCE_PREFIX}mig.capable": str(model.can_mig).lower(),
        f"{RESOURCE_PREFIX}mps.capable": str(isinstance(slicing, MpsSlicing)).lower(),
    }
    if isinstance(slicing, MigSlicing):
        return labels | _mig(model, count, slicing)
    shares = slicing.replicas if isinstance(slicing, TimeSlicing | MpsSlicing) else 1
    strategy = "mps" if isinstance(slicing, MpsSlicing) else "time-slicing"
    return (
        labels
        | {_MIG_STRATEGY: str(MigStrategy.MIXED)}
        | _resource(WHOLE, _Devices(model.product, count, model.memory_gigabytes, shares, strategy))
    )


def _mig(model: GpuModel, count: int, slicing: MigSlicing) -> dict[str, str]:
    """Return the labels of a host whose GPUs are cut by MIG, at least one of them."""
    layouts = device_layouts(slicing, count)
    # A GPU in MIG mode has no replicas of its own; one left whole on the same host has, and its labels win.
    whole = _Devices(model.product, count, model.memory_gigabytes, 0 if all(layouts) else 1)
    labels = {_MIG_STRATEGY: str(slicing.strategy)} | _resource(WHOLE, whole)
    for name in sorted({name for layout in layouts for name, _ in layout}):
        profile = model.profile(name)
        if profile is None:
            continue
        instances = _Devices(
            product_label(model, name, MigStrategy.SINGLE),
            sum(dict(layout).get(name, 0) for layout in layouts),
            profile.memory_gigabytes,
            slicing.shared.get(name, 1),
        )
        key = WHOLE if slicing.strategy is MigStrategy.SINGLE else name
        prefix = resource_name(key)
        slices = str(profile.compute_slices)
        labels |= _resource(key, instances) | {f"{prefix}.slices.gi": slices, f"{prefix}.slices.ci": slices}
    return labels


@dataclass(frozen=True)
class _Devices:
    """Devices of one resource."""

    product: str
    count: int
    memory_gigabytes: int
    replicas: int
    strategy: str = "time-slicing"
    """How they are shared, where there is more than one replica."""


def _resource(name: str, devices: _Devices) -> dict[str, str]:
    """Return the labels of one resource, under its name before sharing."""
    prefix = resource_name(name)
    return {
        f"{prefix}.product": devices.product,
        f"{prefix}.count": str(devices.count),
        f"{prefix}.replicas": str(devices.replicas),
        f"{prefix}.sharing-strategy": devices.strategy if devices.replicas > 1 else "none",
        f"{prefix}.memory": str(devices.memory_gigabytes * MEBIBYTES_PER_GIGABYTE),
    }
