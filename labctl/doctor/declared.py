"""What a stack says its lab is: its file, its pins, and the words for remedies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.gpu.plan import plan as gpu_plan
from components.nodes.plan import members
from stacks.pins import load_pins

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.gpu.plan import NodeSlicingPlan
    from components.nodes.config import HostConfig
    from components.pins import Pins
    from labctl.lab import Lab
    from stacks.config import ClusterConfig

__all__ = ["Declared", "declared"]


@dataclass(frozen=True, kw_only=True)
class Declared:
    """One stack as it is meant."""

    stack: str
    cluster: ClusterConfig
    pins: Pins

    @property
    def simulated(self) -> bool:
        """Whether its nodes are simulated."""
        return self.cluster.nodes.simulated

    @property
    def is_adopted(self) -> bool:
        """Whether the cluster is somebody else's; a simulated one is this stack's own."""
        return self.cluster.nodes.adopt is not None and not self.simulated

    @property
    def up(self) -> str:
        """What brings the lab to its stack file."""
        return f"labctl up --stack {self.stack}"

    @property
    def refresh(self) -> str:
        """The same, with a look at what is really there first: what somebody else has deleted comes back."""
        return f"{self.up} --refresh"

    def kubectl(self, arguments: str) -> str:
        """Return a line that asks or tells the cluster something."""
        return f"labctl kubectl -s {self.stack} {arguments}" if self.simulated else f"kubectl {arguments}"

    def nodes(self) -> dict[str, HostConfig]:
        """Return the hosts that are nodes, by name."""
        return members(self.cluster.nodes)

    def slices(self) -> Mapping[str, NodeSlicingPlan]:
        """Return what each GPU node is told and must offer; none where another stack cuts them, or nobody."""
        config = self.cluster.gpu
        if config is None or config.use is not None:
            return {}
        there = self.nodes()
        hosts = {name: host.gpus for name, host in self.cluster.nodes.hosts.items()}
        return {name: plan for name, plan in gpu_plan(config, hosts).nodes.items() if name in there}


def declared(lab: Lab) -> Declared:
    """Return what a lab's stack file and pins say."""
    pins = load_pins(lab.environment.name).from_mirror(lab.cluster.charts.mirror)
    return Declared(stack=lab.stack, cluster=lab.cluster, pins=pins)
