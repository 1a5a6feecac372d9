"""The ``gpu-driver`` step of every GPU host: what of its driver follows from the stack file.

What depends on the GPU's model is decided here, on plain data; the step's script gathers the host's facts and compares
(docs/gpu-drivers.md says why the comparison is there and nowhere else).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.nodes.steps import Step

from .config import DriverSource, KernelModule
from .models import MODELS, Architecture, GpuModel, GpuModelName
from .pci_ids import PCI_IDS, RELATED_IDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.nodes.config import NodesConfig
    from components.nodes.steps import ScriptValue

    from .config import GpuConfig

__all__ = ["OPERATOR_SYSTEMS", "STEP", "DriverNeeds", "branch_of", "driver_needs", "driver_steps"]

STEP = "gpu-driver"
"""Name of the step, and of its script."""
LIBRARY = "gpu-facts"
"""Script with the functions that look at the host; `labctl drift` asks by the same."""
OPERATOR_SYSTEMS = ("ubuntu 22.04", "ubuntu 24.04")
"""Our hosts' systems that NVIDIA builds driver containers for: no Debian (NVIDIA/gpu-driver-container, its folders)."""
_FIRST_BRANCHES = {Architecture.BLACKWELL: 570}
"""First driver branch of a generation, where a supported branch is older (NVIDIA Data Center GPU Driver, 570: "added
support for B200"). All else here is driven by every branch since 535, the oldest that still gets updates."""
_LAST_BRANCHES = {Architecture.VOLTA: 580}
"""Last driver branch of a generation (NVIDIA, "Support plan for Maxwell, Pascal and Volta": 580 is their last)."""


@dataclass(frozen=True, kw_only=True)
class DriverNeeds:
    """What a model asks of its driver."""

    kinds: tuple[KernelModule, ...]
    """Kernel modules that drive it, `KernelModule.OPEN` and `KernelModule.PROPRIETARY`."""
    first_branch: int | None
    """First driver branch that knows it; None where every supported one does."""
    last_branch: int | None
    """Last one; None where no end is known."""

    def refuses(self, branch: int) -> str | None:
        """Return why a driver of this branch cannot drive it, None where it can.

        Examples
        --------
        >>> driver_needs(MODELS[GpuModelName.B200]).refuses(550)
        'it needs branch 570 or later'
        """
        if self.first_branch is not None and branch < self.first_branch:
            return f"it needs branch {self.first_branch} or later"
        if self.last_branch is not None and branch > self.last_branch:
            return f"its last branch is {self.last_branch}"
        return None


def driver_needs(model: GpuModel) -> DriverNeeds:
    """Return what a model asks of its driver."""
    architecture = model.architecture
    runs = {
        KernelModule.OPEN: architecture.runs_open_module,
        KernelModule.PROPRIETARY: architecture.runs_proprietary_module,
    }
    return DriverNeeds(
        kinds=tuple(kind for kind, is_driving in runs.items() if is_driving),
        first_branch=_FIRST_BRANCHES.get(architecture),
        last_branch=_LAST_BRANCHES.get(architecture),
    )


def branch_of(version: str) -> int:
    """Return the branch of a driver version.

    Examples
    --------
    >>> branch_of("580.95.05")
    580
    """
    return int(version.partition(".")[0])


def driver_steps(config: GpuConfig | None, nodes: NodesConfig) -> tuple[Step, ...]:
    """Return the step of every GPU host that is not lost, by name in order; none where this stack cuts no GPUs.

    It comes after ``system``, which installs the packages of a host's own driver, and after ``runtime``, which writes
    containerd's configuration; ``request`` waits for it, so a host that is refused never becomes a node.

    Parameters
    ----------
    config
        GPU section, checked.
    nodes
        The hosts, their models checked.
    """
    return () if config is None or config.use is not None else tuple(_steps(config, nodes))


def _steps(config: GpuConfig, nodes: NodesConfig) -> Iterator[Step]:
    for name, host in sorted(nodes.hosts.items()):
        if host.gpus is not None and not host.lost:
            yield Step(
                name=STEP,
                subject=name,
                host=name,
                libraries=(LIBRARY,),
                values=_values(config.driver.source, MODELS[GpuModelName(host.gpus.model)], host.gpus.count),
                after=(("system", name), ("runtime", name)),
            )


def _values(source: DriverSource, model: GpuModel, count: int) -> Mapping[str, ScriptValue]:
    needs = driver_needs(model)
    names = {**PCI_IDS, **RELATED_IDS}
    return {
        "SOURCE": source.value,
        "MODEL": model.name.value,
        "NVML_NAME": model.nvml_name,
        "GPU_COUNT": count,
        "DEVICE_NAMES": tuple(f"{device} {name}" for device, name in sorted(names.items())),
        "MODULE_KINDS": tuple(kind.value for kind in needs.kinds),
        "FIRST_BRANCH": needs.first_branch,
        "LAST_BRANCH": needs.last_branch,
        "OPERATOR_SYSTEMS": OPERATOR_SYSTEMS,
    }
