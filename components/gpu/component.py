"""The lab's GPUs as resources.

Children: ``<name>-namespace`` LabNamespace, ``<name>-operator`` Release, ``<name>-<group>`` local Command per group of
hosts. None where another stack owns the GPUs.

The command of a group brings its nodes' labels to what the plan says, one node after the other and only while nobody
uses their GPUs; it also writes the two ConfigMaps the operator reads (`components.gpu.reslice`, decision 0008).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi
from pulumi_command.local import Command

from components.charts import release
from components.namespaces.component import LabNamespace, LabNamespaceArgs
from components.namespaces.plan import scoped

from .plan import namespace_plan, offered_slices, plan
from .reslice.document import CONTEXT, KUBECONFIG, plans, render
from .slices import Slice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.network.facts import NetworkFacts
    from components.pins import Pins

    from .config import GpuConfig
    from .models import HostGpus

__all__ = ["GpuOperator", "GpuOperatorArgs"]

TYPE_TOKEN = "lab:index:GpuOperator"  # noqa: S105 - Pulumi's word for a type's name
CHART = "gpu-operator"
"""Name of the chart among the pins."""
RESLICE = 'PATH="$PWD/.venv/bin:$PATH" python -m components.gpu.reslice'
"""Runs in the project's folder; its environment in ``.venv`` counts first, as for the program itself (Pulumi.yaml)."""


@dataclass(frozen=True, kw_only=True)
class GpuOperatorArgs:
    """Inputs of `GpuOperator`."""

    config: GpuConfig
    hosts: Mapping[str, HostGpus | None]
    """GPUs of every host by host name, which is its node's name; None for a host without."""
    pins: Pins
    stack: str
    kubeconfig: pulumi.Input[str]
    """Text of the cluster's kubeconfig, a secret: the groups' commands reach the API server with it."""
    context: str | None = None
    """Context of the kubeconfig; None means its current one."""
    joined: Mapping[str, pulumi.Resource] = field(default_factory=dict[str, pulumi.Resource])
    """What made a host a member of the cluster, by host name: a node that is not there yet cannot be cut."""
    network: NetworkFacts | None = None
    """The network as plain data, for flows; None where the stack plans no addresses."""


class GpuOperator(pulumi.ComponentResource):
    """GPUs that are cut as the stack says, and the operator that does so.

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
        operator = release(
            f"{name}-operator",
            args.pins.chart(CHART),
            release_name=scoped(CHART, args.stack),
            namespace=namespace.name,
            values=planned.values,
            opts=child,
            # Its DaemonSets wait for the ConfigMaps that the groups' commands write.
            awaits=False,
        )
        context = {CONTEXT: args.context} if args.context is not None else {}
        documents = plans(planned, args.config.change, stack=args.stack, namespace=planned_namespace.name)
        for group, document in documents.items():
            joined = [args.joined[host] for host in document.nodes if host in args.joined]
            Command(
                f"{name}-{group}",
                create=RESLICE,
                update=RESLICE,
                delete=f"{RESLICE} release",
                stdin=render(document),
                environment={KUBECONFIG: args.kubeconfig, **context},
                add_previous_output_in_env=False,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[operator, *joined]),
            )
