"""What a pod can ask for: slices of the lab's GPUs by name, resource, memory and node.

The only place that spells Kubernetes' extended resources for GPUs. The stack file and every other component speak of
slices by name: a MIG profile (``1g.10gb``) or ``whole``, with ``.shared`` behind it where several containers share one.
Names of the resources: NVIDIA/k8s-device-plugin, README, "Shared Access to GPUs" and MIG strategy ``mixed``.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from .config import GpuConfig, GpuGroupConfig, MigSlicing, TimeSlicing, WholeGpus
from .errors import UnknownHostError
from .geometry import Layout, freeze_layout
from .models import MODELS, GpuModel, GpuModelName, HostGpus

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "PRODUCT_LABEL",
    "TAINT_KEY",
    "WHOLE",
    "Slice",
    "device_layouts",
    "group_model",
    "is_slice_name",
    "node_slices",
    "offered_slices",
    "resource_name",
    "simulated_capacity",
]

WHOLE = "whole"
"""Name of a slice that is a GPU of its own."""
SHARED_SUFFIX = ".shared"
"""What the device plugin appends to a time-sliced resource (``renameByDefault``), and we to its slice."""
PRODUCT_LABEL = "nvidia.com/gpu.product"
"""Node label of GPU Feature Discovery that names the GPU model."""
TAINT_KEY = "nvidia.com/gpu"
"""Key of the taint that the operator's own operands tolerate by default (gpu-operator, ``daemonsets.tolerations``)."""

_NAME = re.compile(r"(?:whole|(?P<compute>[1-7])g\.(?P<memory>[0-9]+)gb(?:\+me)?)(?:\.shared)?\Z")


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One kind of slice on one GPU model, ready to be asked for."""

    name: str
    """As the stack file spells it."""
    resource: str
    """Kubernetes' extended resource."""
    model: GpuModelName | None
    """Model it is cut from; None where another stack owns the GPUs."""
    memory_gigabytes: int | None
    """Nominal GPU memory in GB; None for a whole GPU of an unknown model."""
    nodes: tuple[tuple[str, int], ...]
    """Nodes that offer it and how many each, by node name; one nameless node where another stack owns them."""

    @property
    def is_shared(self) -> bool:
        """Whether several containers share the GPU behind it, memory and errors unisolated."""
        return self.name.endswith(SHARED_SUFFIX)

    @property
    def most_on_one_node(self) -> int:
        """The most one pod can get."""
        return max((count for _, count in self.nodes), default=0)

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(count for _, count in self.nodes)

    @property
    def node_selector(self) -> Mapping[str, str]:
        """Node labels that restrict a pod to this slice's GPU model; empty where the model is another stack's."""
        return {} if self.model is None else {PRODUCT_LABEL: MODELS[self.model].product}

    @property
    def toleration(self) -> Mapping[str, str]:
        """Toleration of the taint that keeps pods without GPUs off GPU nodes; harmless where there is no taint."""
        return {"key": TAINT_KEY, "operator": "Exists", "effect": "NoSchedule"}

    @property
    def display_name(self) -> str:
        """What users read."""
        what = f"{self.model or 'GPU'}" if self.name.startswith(WHOLE) else f"{self.name.removesuffix(SHARED_SUFFIX)}"
        memory = "" if self.memory_gigabytes is None else f", {self.memory_gigabytes} GB"
        return f"{what}{memory}{', shared' if self.is_shared else ''}"


def is_slice_name(name: str) -> bool:
    """Tell whether a text can name a slice at all."""
    return _NAME.match(name) is not None


def resource_name(slice_name: str) -> str:
    """Return the extended resource that a slice's name stands for.

    Examples
    --------
    >>> resource_name("1g.10gb+me"), resource_name("whole.shared")
    ('nvidia.com/mig-1g.10gb.me', 'nvidia.com/gpu.shared')
    """
    base = slice_name.removesuffix(SHARED_SUFFIX)
    suffix = slice_name.removeprefix(base)
    kind = "gpu" if base == WHOLE else f"mig-{base.replace('+', '.')}"
    return f"nvidia.com/{kind}{suffix}"


def group_model(group_name: str, host_name: str, hosts: Mapping[str, HostGpus | None]) -> tuple[GpuModel, int]:
    """Return model and number of the GPUs of one host of a group.

    Raises
    ------
    UnknownHostError
        If it is no host with GPUs of a known model, which the checks report first.
    """
    gpus = hosts.get(host_name)
    if gpus is None or gpus.model not in set(GpuModelName):
        raise UnknownHostError(group_name, host_name)
    return MODELS[GpuModelName(gpus.model)], gpus.count


def device_layouts(slicing: MigSlicing, count: int) -> tuple[Layout, ...]:
    """Return the layout of each of `count` GPUs of a host, in the driver's order."""
    if isinstance(slicing.layout, tuple):
        return tuple(freeze_layout(layout) for layout in slicing.layout)
    return (freeze_layout(slicing.layout),) * count


def node_slices(group: GpuGroupConfig, count: int) -> Mapping[str, int]:
    """Return what one host with `count` GPUs of a group offers: slices by name."""
    slicing = group.slicing
    match slicing:
        case WholeGpus():
            return {WHOLE: count}
        case TimeSlicing():
            return {f"{WHOLE}{SHARED_SUFFIX}": count * slicing.replicas}
        case MigSlicing():
            offered: Counter[str] = Counter()
            for layout in device_layouts(slicing, count):
                offered.update(dict(layout) or {WHOLE: 1})
            return dict(sorted(offered.items()))
        case _:
            assert_never(slicing)


def offered_slices(config: GpuConfig, hosts: Mapping[str, HostGpus | None]) -> tuple[Slice, ...]:
    """Return every kind of slice the lab offers, by name and model.

    Parameters
    ----------
    config
        GPU section; checked.
    hosts
        GPUs of every host by host name.

    Raises
    ------
    UnknownHostError
        If a group names a host without known GPUs.
    """
    if config.use is not None:
        return tuple(
            Slice(
                name=used.slice,
                resource=resource_name(used.slice),
                model=None,
                memory_gigabytes=_memory(used.slice, None),
                nodes=(("", used.count),),
            )
            for used in config.use.slices
        )
    found: dict[tuple[str, GpuModelName], list[tuple[str, int]]] = {}
    for group_name, group in config.groups.items():
        for host_name in group.hosts:
            model, count = group_model(group_name, host_name, hosts)
            for name, offered in node_slices(group, count).items():
                found.setdefault((name, model.name), []).append((host_name, offered))
    return tuple(
        Slice(
            name=name,
            resource=resource_name(name),
            model=model,
            memory_gigabytes=_memory(name, MODELS[model]),
            nodes=tuple(sorted(nodes)),
        )
        for (name, model), nodes in sorted(found.items())
    )


def simulated_capacity(config: GpuConfig, hosts: Mapping[str, HostGpus | None]) -> Mapping[str, Mapping[str, int]]:
    """Return the extended resources each GPU node would advertise once cut: count by resource by host name.

    Raises
    ------
    UnknownHostError
        If a group names a host without known GPUs.
    """
    capacity: dict[str, dict[str, int]] = {}
    for offered in offered_slices(config, hosts) if config.use is None else ():
        for host_name, count in offered.nodes:
            capacity.setdefault(host_name, {})[offered.resource] = count
    return capacity


def _memory(slice_name: str, model: GpuModel | None) -> int | None:
    match = _NAME.match(slice_name)
    if match is not None and match["memory"] is not None:
        return int(match["memory"])
    return None if model is None else model.memory_gigabytes
