"""The lab and the work of the packing benchmark: made up, seeded, the same for every scheduler.

The lab has nodes without GPUs, nodes with eight whole GPUs, nodes with four, and nodes whose GPUs are cut by MIG. Jobs
come as a Poisson process, last for a time of a log-normal distribution (many short ones, few long ones, as the public
traces of GPU clusters have it), and ask for one, two, four or eight GPUs of a node, for a MIG slice, or for none.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.gpu.models import MODELS, GpuModelName
from components.gpu.slices import PRODUCT_LABEL, TAINT_KEY, WHOLE, resource_name
from labctl.control_plane import NodeTaint, SimulatedNode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Job", "Kind", "Lab", "Work", "arrivals", "lab"]

HOUR = 60.0
"""Minutes."""
MIG_SLICE, SLICES_OF_ONE_GPU = "1g.10gb", 7
"""What the MIG nodes are cut into (*MIG User Guide*: seven on an A100 with 80 GB)."""
SHAPE = 1.0
"""Standard deviation of the logarithm of a job's duration: half of all GPU time is in the longest sixth of the jobs."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Jobs of one kind."""

    name: str
    share: float
    """Of all jobs."""
    cpus: int
    memory_gibibytes: int
    resource: str | None = None
    count: int = 0
    hours: float
    """Mean duration."""

    @property
    def gpus(self) -> float:
        """GPUs one job takes; a slice is its part of one."""
        if self.resource is None:
            return 0.0
        return self.count / (1 if self.resource == resource_name(WHOLE) else SLICES_OF_ONE_GPU)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job of the list."""

    name: str
    kind: Kind
    arrives: float
    """Minute of its arrival."""
    lasts: float
    """Minutes it runs, once it was placed."""


@dataclass(frozen=True, kw_only=True)
class Lab:
    """The nodes, and what they offer altogether."""

    nodes: Sequence[SimulatedNode]
    gpus: float
    """Whole GPUs, cut or not."""
    cpus: int
    """Cores of the nodes without GPUs."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """How much is asked for."""

    gpu_load: float
    """GPU time asked for, as a part of what there is."""
    cpu_load: float
    """Core time that jobs without GPUs ask for, as a part of what the nodes without GPUs have."""
    patience_hours: float
    """How long somebody waits for a job to start before giving up."""
    days: float = 4.0
    seed: int = 1


_GPU = resource_name(WHOLE)
GPU_KINDS = (
    Kind(name="one", share=0.30, cpus=14, memory_gibibytes=96, resource=_GPU, count=1, hours=4),
    Kind(name="two", share=0.12, cpus=28, memory_gibibytes=192, resource=_GPU, count=2, hours=6),
    Kind(name="four", share=0.09, cpus=56, memory_gibibytes=384, resource=_GPU, count=4, hours=8),
    Kind(name="eight", share=0.07, cpus=112, memory_gibibytes=768, resource=_GPU, count=8, hours=12),
    Kind(name="slice", share=0.42, cpus=4, memory_gibibytes=24, resource=resource_name(MIG_SLICE), count=1, hours=3),
)
CPU_KINDS = (
    Kind(name="cpu-4", share=0.5, cpus=4, memory_gibibytes=16, hours=2),
    Kind(name="cpu-16", share=0.35, cpus=16, memory_gibibytes=64, hours=4),
    Kind(name="cpu-32", share=0.15, cpus=32, memory_gibibytes=128, hours=6),
)


def lab(*, is_tainted: bool = False) -> Lab:
    """Return the lab: 16 nodes without GPUs, 6 with eight whole A100, 4 with four, 4 with four that are cut by MIG.

    Parameters
    ----------
    is_tainted
        Whether GPU nodes have the taint that keeps pods without GPUs off them altogether.
    """
    slices = {resource_name(MIG_SLICE): 4 * SLICES_OF_ONE_GPU}
    large, small = (128, 1024), (64, 512)
    nodes = [
        *(_node(f"cpu-{index}", small, {}) for index in range(16)),
        *(_node(f"eight-{index}", large, {_GPU: 8}, is_tainted=is_tainted) for index in range(6)),
        *(_node(f"four-{index}", small, {_GPU: 4}, is_tainted=is_tainted) for index in range(4)),
        *(_node(f"mig-{index}", large, slices, is_tainted=is_tainted) for index in range(4)),
    ]
    return Lab(nodes=nodes, gpus=6 * 8 + 4 * 4 + 4 * 4, cpus=16 * 64)


def arrivals(laboratory: Lab, work: Work) -> Sequence[Job]:
    """Return the jobs of so many days in the order in which they come; the same for the same seed."""
    chance = random.Random(work.seed)  # noqa: S311 - nothing secret is made of it
    end = work.days * 24 * HOUR
    jobs: list[Job] = []
    for kinds, per_hour in (
        (GPU_KINDS, work.gpu_load * laboratory.gpus / sum(kind.share * kind.gpus * kind.hours for kind in GPU_KINDS)),
        (CPU_KINDS, work.cpu_load * laboratory.cpus / sum(kind.share * kind.cpus * kind.hours for kind in CPU_KINDS)),
    ):
        minute = 0.0
        while per_hour and (minute := minute + chance.expovariate(per_hour / HOUR)) < end:
            (kind,) = chance.choices(kinds, [kind.share for kind in kinds])
            # A log-normal's mean is exp(mu + sigma^2 / 2).
            lasts = chance.lognormvariate(math.log(kind.hours * HOUR) - SHAPE**2 / 2, SHAPE)
            jobs.append(Job(name=f"{kind.name}-{len(jobs)}", kind=kind, arrives=minute, lasts=lasts))
    return sorted(jobs, key=lambda job: job.arrives)


def _node(name: str, size: tuple[int, int], extended: Mapping[str, int], *, is_tainted: bool = False) -> SimulatedNode:
    cpus, gibibytes = size
    return SimulatedNode(
        name=name,
        address=None,
        labels={PRODUCT_LABEL: MODELS[GpuModelName.A100_80_SXM].product} if extended else {},
        taints=(NodeTaint(key=TAINT_KEY, value="", effect="NoSchedule"),) if is_tainted else (),
        capacity={
            "cpu": str(cpus),
            "memory": f"{gibibytes}Gi",
            "pods": "250",
            **{resource: str(count) for resource, count in extended.items()},
        },
    )
