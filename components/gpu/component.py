"""The lab's GPUs as resources.

Children: ``<name>-namespace`` LabNamespace, ``<name>-mig-layouts`` and ``<name>-sharing`` ConfigMap,
``<name>-<host>`` NodePatch per GPU host, ``<name>-operator`` Release. None where another stack owns the GPUs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap, NodePatch
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs, ObjectMetaPatchArgs

from components.charts import release
from components.namespaces.component import LabNamespace, LabNamespaceArgs
from components.namespaces.plan import scoped

from .plan import namespace_plan, offered_slices, plan
from .slices import Slice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.network.facts import NetworkFacts
    from components.pins import Pins

    from .config import GpuConfig
    from .models import HostGpus
    from .plan import ConfigMapPlan

__all__ = ["GpuOperator", "GpuOperatorArgs"]

TYPE_TOKEN = "lab:index:GpuOperator"  # noqa: S105 - Pulumi's word for a type's name
CHART = "gpu-operator"
"""Name of the chart among the pins."""


@dataclass(frozen=True, kw_only=True)
class GpuOperatorArgs:
    """Inputs of `GpuOperator`."""

    config: GpuConfig
    hosts: Mapping[str, HostGpus | None]
    """GPUs of every host by host name, which is its node's name; None for a host without."""
    pins: Pins
    stack: str
    network: NetworkFacts | None = None
    """The network as plain data, for flows; None where the stack plans no addresses."""


class GpuOperator(pulumi.ComponentResource):
    """GPUs that are declared to be cut as the stack says, and an operator that does so.

    Raises
    ------
    UnknownHostError
        If a group names a host without known GPUs, which the checks report first.
    MissingPinError
        If the environment does not pin the operator's chart.
    """

    slices: tuple[Slice, ...]
    """What pods can ask for; known without any cluster, because it follows from the stack file."""

    def __init__(self, name: str, args: GpuOperatorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(TYPE_TOKEN, name, None, opts)
        self.slices = offered_slices(args.config, args.hosts)
        if args.config.use is None:
            self._create(name, args)
        resources = sorted({offered.resource for offered in self.slices})
        self.register_outputs({"resources": resources})

    def _create(self, name: str, args: GpuOperatorArgs) -> None:
        planned, child = plan(args.config, args.hosts), pulumi.ResourceOptions(parent=self)
        planned_namespace = namespace_plan(args.stack, args.network)
        namespace = LabNamespace(f"{name}-namespace", LabNamespaceArgs(plan=planned_namespace), opts=child)
        maps = [
            self._config_map(f"{name}-mig-layouts", planned.mig_layouts, namespace.name),
            self._config_map(f"{name}-sharing", planned.sharing, namespace.name),
        ]
        labels = [
            NodePatch(f"{name}-{host}", metadata=ObjectMetaPatchArgs(name=host, labels=declared), opts=child)
            for host, declared in planned.node_labels.items()
        ]
        release(
            f"{name}-operator",
            args.pins.chart(CHART),
            release_name=scoped(CHART, args.stack),
            namespace=namespace.name,
            values=planned.values,
            # Labels first: the operator gives a node without one the uncut layout, and would own that label then.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*maps, *labels]),
            awaits=False,
        )

    def _config_map(self, name: str, planned: ConfigMapPlan, namespace: pulumi.Output[str]) -> ConfigMap:
        return ConfigMap(
            name,
            metadata=ObjectMetaArgs(name=planned.name, namespace=namespace),
            data=planned.data,
            opts=pulumi.ResourceOptions(parent=self),
        )
