"""What a pod can ask for: slices of the lab's GPUs by name, resource, memory and node.

The only place that spells Kubernetes' extended resources for GPUs. The stack file and every other component speak of
slices by name: a MIG profile (``1g.10gb``) or ``whole``; with ``.shared`` behind it where several containers take turns
on one, with ``.mps`` where they use a GPU at the same time.

What a pod has to ask for follows from NVIDIA/k8s-device-plugin v0.20.0:

- MIG strategy ``mixed`` offers a profile as ``nvidia.com/mig-<profile>``, ``single`` as ``nvidia.com/gpu``
  (``internal/rm/device_map.go``); ``+`` becomes ``.`` (``internal/resource/nvml-mig-device.go``);
- shared resources get ``.shared`` behind the name by ``renameByDefault``, by time-slicing and by MPS alike; all devices
  of one resource name are shared or none (``api/config/v1/replicas.go``), so that one node cannot offer the same
  profile both dedicated and shared;
- a request for more than one share fails by ``failRequestsGreaterThanOne``, which MPS has on unless told otherwise
  (``api/config/v1/config.go``);
- the label ``nvidia.com/gpu.product`` gets ``-MIG-<profile>`` behind it by ``single``; ``-SHARED`` only where shared
  resources keep their name, which they do not here; ``nvidia.com/gpu.sharing-strategy`` tells time-slicing from MPS
  (``internal/lm/resource.go``, ``mig-strategy.go``);
- MPS bounds each client to the GPU's memory and threads divided by the replicas (``cmd/mps-control-daemon/mps``).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, assert_never

from .config import GpuConfig, GpuGroupConfig, MigSlicing, MigStrategy, MpsSlicing, TimeSlicing, UsedSlice, WholeGpus
from .errors import UnknownHostError
from .geometry import Layout, freeze_layout
from .models import MODELS, GpuModel, GpuModelName, HostGpus, known_gpus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "HOLDS_GPU",
    "HOLDS_GPU_SELECTOR",
    "PRODUCT_LABEL",
    "SHARING_LABEL",
    "TAINT_KEY",
    "WHOLE",
    "Slice",
    "SlicingMethod",
    "allowed_node_labels",
    "device_layouts",
    "group_model",
    "is_slice_name",
    "node_slices",
    "offered_slices",
    "possible_resources",
    "product_label",
    "resource_name",
    "sharing_replicas",
    "simulated_capacity",
]

WHOLE = "whole"
"""Name of a slice that is a GPU of its own."""
SHARED_SUFFIX = ".shared"
"""What the device plugin appends to a shared resource (``renameByDefault``), and we to a time-sliced slice's name."""
MPS_SUFFIX = ".mps"
"""What we append to the name of a GPU shared by MPS; its resource is told apart by `SHARING_LABEL` only."""
RESOURCE_PREFIX = "nvidia.com/"
"""Vendor part of every resource the device plugin offers (``api/config/v1/consts.go``)."""
PRODUCT_LABEL = "nvidia.com/gpu.product"
"""Node label of GPU Feature Discovery that names the GPU model, and under `single` the MIG profile."""
SHARING_LABEL = "nvidia.com/gpu.sharing-strategy"
"""Node label of GPU Feature Discovery: ``none``, ``time-slicing`` or ``mps`` (``api/config/v1/sharing.go``)."""
TAINT_KEY = "nvidia.com/gpu"
"""Key of the taint that the operator's own operands tolerate by default (gpu-operator, ``daemonsets.tolerations``)."""
HOLDS_GPU = "research-compute/holds-gpu"
"""Label of every pod we make that asks for a GPU, with the value ``true``: drivers are not exchanged under it. A label,
for the operator can be told only by labels what to wait for (``driver.upgradePolicy.waitForCompletion``)."""
HOLDS_GPU_SELECTOR = f"{HOLDS_GPU}=true"
"""Selects those pods."""

_NAME = re.compile(r"(?:whole(?:\.shared|\.mps)?|(?P<profile>[1-7]g\.(?P<memory>[0-9]+)gb(?:\+me)?)(?:\.shared)?)\Z")


class SlicingMethod(StrEnum):
    """What is behind a slice."""

    WHOLE = "whole"
    """A GPU of its own."""
    MIG = "mig"
    """A part of a GPU, isolated."""
    SHARED_MIG = "sharedMig"
    """An isolated part of a GPU that several containers take turns on."""
    TIME_SLICING = "timeSlicing"
    """A GPU that several containers take turns on."""
    MPS = "mps"
    """A bounded share of a GPU that several containers use at the same time."""


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One kind of slice on one GPU model, ready to be asked for."""

    name: str
    """As the stack file spells it."""
    resource: str
    """Kubernetes' extended resource."""
    model: GpuModelName | None
    """Model it is cut from; None where another stack owns the GPUs and does not say."""
    memory_gigabytes: int | None
    """Nominal GPU memory in GB a container may use; None for a whole GPU of an unknown model."""
    nodes: tuple[tuple[str, int], ...]
    """Nodes that offer it and how many each, by node name; one nameless node where another stack owns them."""
    replicas: int | None = 1
    """Containers that share one GPU or instance, 1 where it is dedicated; None where another stack shares it."""
    strategy: MigStrategy = MigStrategy.MIXED
    """How MIG instances are named on its nodes."""

    @property
    def method(self) -> SlicingMethod:
        """What is behind it."""
        if self.profile is not None:
            return SlicingMethod.SHARED_MIG if self.name.endswith(SHARED_SUFFIX) else SlicingMethod.MIG
        if self.name.endswith(MPS_SUFFIX):
            return SlicingMethod.MPS
        return SlicingMethod.TIME_SLICING if self.name.endswith(SHARED_SUFFIX) else SlicingMethod.WHOLE

    @property
    def profile(self) -> str | None:
        """MIG profile in NVIDIA's spelling, which is DCGM's label ``GPU_I_PROFILE``; None for a GPU in one piece."""
        match = _NAME.match(self.name)
        return None if match is None else match["profile"]

    @property
    def is_shared(self) -> bool:
        """Whether several containers share the GPU or instance behind it, errors unisolated."""
        return self.method in {SlicingMethod.SHARED_MIG, SlicingMethod.TIME_SLICING, SlicingMethod.MPS}

    @property
    def most_on_one_node(self) -> int:
        """The most one node offers; more than one share cannot be asked for at once."""
        return max((count for _, count in self.nodes), default=0)

    @property
    def most_in_one_pod(self) -> int:
        """The most one container can get."""
        return min(self.most_on_one_node, 1) if self.is_shared else self.most_on_one_node

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(count for _, count in self.nodes)

    @property
    def quota_resource(self) -> str:
        """Key of a ResourceQuota that bounds it; Kubernetes takes only requests of extended resources there."""
        return f"requests.{self.resource}"

    @property
    def gpu_fraction(self) -> Fraction | None:
        """Part of one GPU's compute a container may count on when all shares are taken; None where nobody can know."""
        if self.replicas is None:
            return None
        if self.profile is None:
            return Fraction(1, self.replicas)
        if self.model is None or (profile := MODELS[self.model].profile(self.profile)) is None:
            return None
        return Fraction(profile.compute_slices, MODELS[self.model].compute_slices * self.replicas)

    @property
    def dcgm_model(self) -> str | None:
        """Value of DCGM's label ``modelName``; None where another stack owns the GPUs and does not say."""
        return None if self.model is None else MODELS[self.model].nvml_name

    @property
    def node_selector(self) -> Mapping[str, str]:
        """Node labels that restrict a pod to this very slice: GPU model, profile under `single`, way of sharing.

        Without them a pod that asks for a whole GPU may get an instance of a node under `single`, and one that asks for
        an MPS share a time-sliced GPU: the resources have the same name.
        """
        labels: dict[str, str] = {}
        if self.model is not None:
            labels[PRODUCT_LABEL] = product_label(MODELS[self.model], self.profile, self.strategy)
        if self.method is SlicingMethod.MPS:
            labels[SHARING_LABEL] = "mps"
        if self.method is SlicingMethod.TIME_SLICING:
            labels[SHARING_LABEL] = "time-slicing"
        return labels

    @property
    def toleration(self) -> Mapping[str, str]:
        """Toleration of the taint that keeps pods without GPUs off GPU nodes; harmless where there is no taint."""
        return {"key": TAINT_KEY, "operator": "Exists", "effect": "NoSchedule"}

    @property
    def pod_labels(self) -> Mapping[str, str]:
        """Labels of every pod that asks for it."""
        return {HOLDS_GPU: "true"}

    def outputs(self) -> dict[str, str | int | None]:
        """Return what a stack says of it to whoever builds on the cluster: quotas, queues, dashboards."""
        return {
            "name": self.name,
            "method": str(self.method),
            "resource": self.resource,
            "quotaResource": self.quota_resource,
            "total": self.total,
            "sharers": self.replicas,
            "memoryGigabytes": self.memory_gigabytes,
            "gpuFraction": None if self.gpu_fraction is None else str(self.gpu_fraction),
            "profile": self.profile,
            "dcgmModel": self.dcgm_model,
        }

    @property
    def display_name(self) -> str:
        """What users read."""
        what = self.profile or f"{self.model or 'GPU'}"
        memory = "" if self.memory_gigabytes is None else f", {self.memory_gigabytes} GB"
        return f"{what}{memory}{', shared' if self.is_shared else ''}"


def is_slice_name(name: str) -> bool:
    """Tell whether a text can name a slice at all."""
    return _NAME.match(name) is not None


def resource_name(slice_name: str, strategy: MigStrategy = MigStrategy.MIXED) -> str:
    """Return the extended resource that a slice's name stands for.

    Examples
    --------
    >>> resource_name("1g.10gb+me"), resource_name("whole.shared"), resource_name("whole.mps")
    ('nvidia.com/mig-1g.10gb.me', 'nvidia.com/gpu.shared', 'nvidia.com/gpu.shared')
    >>> resource_name("1g.10gb.shared", MigStrategy.SINGLE)
    'nvidia.com/gpu.shared'
    """
    base = slice_name.removesuffix(SHARED_SUFFIX).removesuffix(MPS_SUFFIX)
    in_one_piece = base == WHOLE or strategy is MigStrategy.SINGLE
    kind = "gpu" if in_one_piece else f"mig-{base.replace('+', '.')}"
    return f"{RESOURCE_PREFIX}{kind}{'' if base == slice_name else SHARED_SUFFIX}"


def possible_resources(models: Iterable[GpuModelName]) -> tuple[str, ...]:
    """Return every extended resource that GPUs of these models could offer under any slicing, sorted.

    It does not change when GPUs are cut anew: what weighs or watches resources by name can name them all for good.
    """
    names = {WHOLE} | {profile.name for model in models for profile in MODELS[model].profiles}
    return tuple(sorted(resource_name(f"{name}{suffix}") for name in names for suffix in ("", SHARED_SUFFIX)))


def allowed_node_labels(slices: Iterable[Slice]) -> Mapping[str, tuple[str, ...]]:
    """Return, by node label, the values of which a pod's node must have one, for a pod that takes any of these slices.

    For a node affinity of a pod that names a slice and no model. Labels that not all of the slices have are left out.

    Parameters
    ----------
    slices
        Slices of one name.
    """
    selectors = [offered.node_selector for offered in slices]
    common = set[str].intersection(*(set(selector) for selector in selectors)) if selectors else set[str]()
    return {label: tuple(sorted({selector[label] for selector in selectors})) for label in sorted(common)}


def group_model(group_name: str, host_name: str, hosts: Mapping[str, HostGpus | None]) -> tuple[GpuModel, int]:
    """Return model and number of the GPUs of one host of a group.

    Raises
    ------
    UnknownHostError
        If it is no host with GPUs of a known model, which the checks report first.
    """
    known = known_gpus(hosts.get(host_name))
    if known is None:
        raise UnknownHostError(group_name, host_name)
    return known


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
        case MpsSlicing():
            return {f"{WHOLE}{MPS_SUFFIX}": count * slicing.replicas}
        case MigSlicing():
            offered: Counter[str] = Counter()
            for layout in device_layouts(slicing, count):
                for profile, instances in layout or ((WHOLE, 1),):
                    replicas = slicing.shared.get(profile, 1)
                    offered[profile if replicas == 1 else f"{profile}{SHARED_SUFFIX}"] += instances * replicas
            return dict(sorted(offered.items()))
        case _:
            assert_never(slicing)


def sharing_replicas(group: GpuGroupConfig, slice_name: str) -> int:
    """Return how many containers share the GPU or instance behind one slice of a group; 1 where it is dedicated."""
    slicing = group.slicing
    if isinstance(slicing, TimeSlicing | MpsSlicing):
        return slicing.replicas
    if isinstance(slicing, MigSlicing):
        return slicing.shared.get(slice_name.removesuffix(SHARED_SUFFIX), 1)
    return 1


def offered_slices(config: GpuConfig, hosts: Mapping[str, HostGpus | None]) -> tuple[Slice, ...]:
    """Return every kind of slice the lab offers, by name and model.

    Parameters
    ----------
    config
        GPU section. Where the checks found something wrong with it, a name and model may come more than once.
    hosts
        GPUs of every host by host name.

    Raises
    ------
    UnknownHostError
        If a group names a host without known GPUs.
    """
    if config.use is not None:
        return tuple(_used(used) for used in config.use.slices)
    found: dict[tuple[str, GpuModelName, MigStrategy, int], list[tuple[str, int]]] = {}
    for group_name, group in config.groups.items():
        strategy = group.slicing.strategy if isinstance(group.slicing, MigSlicing) else MigStrategy.MIXED
        by_count: dict[int, Mapping[str, int]] = {}
        for host_name in group.hosts:
            model, count = group_model(group_name, host_name, hosts)
            if count not in by_count:
                by_count[count] = node_slices(group, count)
            for name, offered in by_count[count].items():
                key = (name, model.name, strategy, sharing_replicas(group, name))
                found.setdefault(key, []).append((host_name, offered))
    return tuple(
        Slice(
            name=name,
            resource=resource_name(name, strategy),
            model=model,
            memory_gigabytes=_memory(name, MODELS[model], replicas),
            nodes=tuple(sorted(nodes)),
            replicas=replicas,
            strategy=strategy,
        )
        for (name, model, strategy, replicas), nodes in sorted(found.items())
    )


def simulated_capacity(config: GpuConfig, hosts: Mapping[str, HostGpus | None]) -> Mapping[str, Mapping[str, int]]:
    """Return the extended resources each GPU node would advertise once cut: count by resource by host name.

    Raises
    ------
    UnknownHostError
        If a group names a host without known GPUs.
    """
    capacity: dict[str, Counter[str]] = {}
    for offered in offered_slices(config, hosts) if config.use is None else ():
        for host_name, count in offered.nodes:
            capacity.setdefault(host_name, Counter())[offered.resource] += count
    return {host_name: dict(resources) for host_name, resources in capacity.items()}


def _used(used: UsedSlice) -> Slice:
    dedicated = not used.slice.endswith((SHARED_SUFFIX, MPS_SUFFIX))
    model = None if used.model is None else MODELS[used.model]
    return Slice(
        name=used.slice,
        resource=resource_name(used.slice, used.strategy),
        model=used.model,
        memory_gigabytes=_memory(used.slice, model, 1 if dedicated else None),
        nodes=(("", used.count),),
        replicas=1 if dedicated else None,
        strategy=used.strategy,
    )


def product_label(model: GpuModel, profile: str | None, strategy: MigStrategy) -> str:
    """Return the value of `PRODUCT_LABEL` on nodes that offer a slice."""
    if profile is None or strategy is MigStrategy.MIXED:
        return model.product
    return f"{model.product}-MIG-{profile.replace('+', '.')}"


def _memory(slice_name: str, model: GpuModel | None, replicas: int | None) -> int | None:
    match = _NAME.match(slice_name)
    if match is not None and match["memory"] is not None:
        return int(match["memory"])
    if model is None or not slice_name.endswith(MPS_SUFFIX):
        return None if model is None else model.memory_gigabytes
    return None if replicas is None else model.memory_gigabytes // replicas
