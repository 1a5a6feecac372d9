"""The nodes a question is asked about: the stack file's, as their kubelets would register them, or a cluster's own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, cast

from components.nodes.kubernetes_plan import kubelet_settings
from labctl.control_plane.quantities import amount
from labctl.embedded import nodes_of
from labctl.tenants import owner_of

from .pods import CPU, PODS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from components.nodes.config import HostConfig, NodesConfig
    from labctl.control_plane import NodeTaint, SimulatedNode
    from labctl.lab import Lab

    from .pods import Shape

__all__ = ["HOSTNAME_LABEL", "Kind", "Machine", "kinds_of", "lab_machines", "recut_machines", "units"]

HOSTNAME_LABEL = "kubernetes.io/hostname"
"""The label in which nodes that are otherwise alike differ."""
HARD_EVICTION_MEMORY = "100Mi"
"""Memory below which a kubelet evicts, which it keeps back: its own default (kubelet, ``evictionHard``)."""
UNSCHEDULED = frozenset({"NoSchedule", "NoExecute"})
"""Effects of taints that keep pods off; ``PreferNoSchedule`` only makes a node less welcome."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One node and what is taken of it."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[NodeTaint, ...]
    allocatable: Mapping[str, int]
    """Amount by resource: millicores, bytes, places for pods, slices."""
    used: Mapping[str, int] = field(default_factory=dict[str, int])
    """What pods that run there have asked for, places included."""

    def free(self, resource: str) -> int:
        """Return what is left of a resource; below zero where pods run that no scheduler would put there now."""
        return self.allocatable.get(resource, 0) - self.used.get(resource, 0)

    def admits(self, shape: Shape) -> bool:
        """Tell whether its labels and taints let a pod in, room or not."""
        if not shape.selects(self.labels):
            return False
        return all(
            any(held.tolerates(taint.key, taint.value, taint.effect) for held in shape.tolerations)
            for taint in self.taints
            if taint.effect in UNSCHEDULED
        )

    def shortages(self, shape: Shape) -> tuple[str, ...]:
        """Return the resources it has not enough of for one more pod, sorted."""
        asked = (PODS, *(resource for resource, wanted in shape.requests if wanted))
        return tuple(sorted(resource for resource in asked if shape.of(resource) > self.free(resource)))

    def room(self, shape: Shape) -> int:
        """Return how many pods of a shape still fit: fitting is a sum per node and resource, and nothing else."""
        if not self.admits(shape):
            return 0
        asked = (PODS, *(resource for resource, wanted in shape.requests if wanted))
        return max(0, min(self.free(resource) // shape.of(resource) for resource in asked))

    def holding(self, shape: Shape, count: int) -> Machine:
        """Return the same node with `count` more pods of a shape on it."""
        if not count:
            return self
        taken = Counter(self.used)
        for resource in (PODS, *dict(shape.requests)):
            taken[resource] += count * shape.of(resource)
        return replace(self, used=dict(taken))


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Nodes that no scheduler can tell apart but by name."""

    machines: tuple[Machine, ...]

    @property
    def sample(self) -> Machine:
        """The first of them."""
        return self.machines[0]


def kinds_of(machines: Iterable[Machine]) -> tuple[Kind, ...]:
    """Return the nodes by kind: same allocatable, labels but the host name, taints and load."""
    found: dict[object, list[Machine]] = {}
    for machine in machines:
        labels = frozenset((key, value) for key, value in machine.labels.items() if key != HOSTNAME_LABEL)
        amounts = (frozenset(machine.allocatable.items()), frozenset(machine.used.items()))
        found.setdefault((labels, machine.taints, amounts), []).append(machine)
    return tuple(Kind(machines=tuple(alike)) for alike in found.values())


def units(resource: str, quantity: str) -> int:
    """Return an amount of a resource as it is counted here; raises ValueError where it is no quantity.

    Examples
    --------
    >>> units("cpu", "1500m"), units("memory", "1Gi"), units("nvidia.com/gpu", "2")
    (1500, 1073741824, 2)
    """
    scaled = amount(quantity) * (1000 if resource == CPU else 1)
    return int(scaled.to_integral_value(rounding="ROUND_CEILING"))


def lab_machines(lab: Lab) -> tuple[Machine, ...]:
    """Return the stack's nodes without any load.

    A simulated lab's have all their hardware to give, as its embedded control plane registers them. Of hosts that are
    made nodes, what their kubelets keep back is taken off: ``kubeReserved``, ``systemReserved``, ``evictionHard``.
    """
    config = owner_of(lab).cluster.nodes
    reserved = {} if config.simulated else {name: _reserved(config, host) for name, host in config.hosts.items()}
    return tuple(_machine(node, reserved.get(node.name, {})) for node in nodes_of(lab))


def recut_machines(
    machines: Sequence[Machine], before: Sequence[Machine], after: Sequence[Machine]
) -> tuple[Machine, ...]:
    """Return nodes with their GPUs cut anew, where the stack's own nodes differ before and after.

    What runs on such a node keeps its CPU and memory, but no slices: its GPU pods have ended before it can be cut.

    Parameters
    ----------
    machines
        The nodes, as the stack file or their cluster has them.
    before, after
        The stack's nodes with the GPUs cut as now, and otherwise.
    """
    was, becomes = ({machine.name: machine for machine in side} for side in (before, after))
    return tuple(
        _recut(machine, was[machine.name], becomes[machine.name])
        if machine.name in becomes and was[machine.name] != becomes[machine.name]
        else machine
        for machine in machines
    )


def _recut(machine: Machine, before: Machine, after: Machine) -> Machine:
    slices = {resource for side in (before, after) for resource in side.allocatable if "/" in resource}
    others = {resource: held for resource, held in machine.allocatable.items() if resource not in slices}
    labels = {key: value for key, value in machine.labels.items() if key not in before.labels}
    return replace(
        machine,
        labels={**labels, **after.labels},
        allocatable={**others, **{name: held for name, held in after.allocatable.items() if name in slices}},
        used={resource: taken for resource, taken in machine.used.items() if resource not in slices},
    )


def _machine(node: SimulatedNode, reserved: Mapping[str, int]) -> Machine:
    capacity = {resource: units(resource, quantity) for resource, quantity in node.capacity.items()}
    return Machine(
        name=node.name,
        labels={
            HOSTNAME_LABEL: node.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            **node.labels,
        },
        taints=node.taints,
        allocatable={resource: max(0, held - reserved.get(resource, 0)) for resource, held in capacity.items()},
    )


def _reserved(config: NodesConfig, host: HostConfig) -> dict[str, int]:
    """Return what a host's kubelet keeps back, by resource (kubelet, "Reserve Compute Resources")."""
    settings = kubelet_settings(config, host)
    kept: Counter[str] = Counter()
    for section in ("kubeReserved", "systemReserved"):
        for resource, quantity in cast("Mapping[str, object]", settings.get(section) or {}).items():
            kept[resource] += units(resource, str(quantity))
    eviction = cast("Mapping[str, str]", settings.get("evictionHard") or {})
    threshold = str(eviction.get("memory.available", HARD_EVICTION_MEMORY))
    if threshold.endswith("%"):
        kept["memory"] += int(host.hardware.memory.bytes * Decimal(threshold[:-1]) / 100)
    else:
        kept["memory"] += units("memory", threshold)
    return dict(kept)
