"""The lab's machines as a cluster.

`NodeBootstrap` ends with a kubeconfig: that of a cluster it makes of the hosts over SSH, or of one it adopts.
`NodeLabels` needs that cluster's provider, so it is a component of its own.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

import pulumi
from pulumi_kubernetes.core.v1 import NodePatch
from pulumi_kubernetes.meta.v1 import ObjectMetaPatchArgs

from components.unknown import unknown_text

from .bootstrap_plan import KUBECONFIG, FurtherSteps, bootstrap_steps, kept_steps, no_further_steps
from .commands import StepCommands
from .errors import KubeconfigMissingError, SettingsMissingError
from .plan import KubeconfigSource, kubeconfig_source, members, patched_labels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from components.secrets import SecretRef

    from .config import NodesConfig
    from .settings import ClusterSettings

__all__ = ["NodeBootstrap", "NodeBootstrapArgs", "NodeLabels", "NodeLabelsArgs"]


@dataclass(frozen=True, kw_only=True)
class NodeBootstrapArgs:
    """Inputs of `NodeBootstrap`."""

    config: NodesConfig
    project: Path
    """Folder that a relative ``nodes.adopt.kubeconfig`` starts from."""
    secret: Callable[[SecretRef], pulumi.Output[str]]
    """Gives the secrets that the section names."""
    settings: ClusterSettings | None = None
    """The cluster that hosts are bootstrapped into; not needed where one is adopted."""
    further: FurtherSteps = no_further_steps
    """Gives the steps that other components have on the hosts."""


class NodeBootstrap(pulumi.ComponentResource):
    """A cluster one can talk to, once this resource exists.

    Children, where hosts are bootstrapped: ``<name>-<host>-<step>`` Command, one for each step of each host, and
    ``<name>-<step>`` for what is done once for the cluster. A machine that is lost keeps its resources, and nothing is
    asked of it.

    Raises
    ------
    KubeconfigMissingError
        If the adopted cluster's kubeconfig file is not there; in a preview its content is unknown instead.
    SettingsMissingError
        If hosts are to be bootstrapped and nothing is said of the cluster. Both before anything is registered.
    """

    kubeconfig: pulumi.Output[str]
    """Kubeconfig of an administrator, secret. Unknown in a preview whose cluster does not exist yet."""
    joined: Mapping[str, pulumi.Resource]
    """By host: what has made it a node; nothing where the cluster is adopted."""
    steps: Mapping[tuple[str, str | None], pulumi.Resource]
    """Every step by name and subject, for what waits for one: ``("exports", "store-1")``."""

    def __init__(self, name: str, args: NodeBootstrapArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        source = kubeconfig_source(args.config)
        if source is KubeconfigSource.BOOTSTRAP and args.settings is None:
            raise SettingsMissingError
        adopted = None if source is KubeconfigSource.BOOTSTRAP else _adopted_kubeconfig(source, args)
        super().__init__("lab:index:NodeBootstrap", name, None, opts)
        commands = self._take_steps(name, args)
        kubeconfig = commands.result(KUBECONFIG).apply(_decoded) if adopted is None else adopted
        self.kubeconfig = pulumi.Output.secret(kubeconfig)
        self.register_outputs({"kubeconfig": self.kubeconfig})

    def _take_steps(self, name: str, args: NodeBootstrapArgs) -> StepCommands:
        """Register every step of every host."""
        commands = StepCommands(name, args.config, args.secret, self)
        steps = bootstrap_steps(args.config, args.settings, args.further)
        self.steps = {step.key: commands.add(step) for step in steps}
        self.joined = {subject: made for (step, subject), made in self.steps.items() if step == "join" and subject}
        for step in kept_steps(args.config, args.settings, args.further):
            commands.keep(step)
        return commands


def _decoded(encoded: str) -> str:
    return base64.b64decode(encoded).decode()


@dataclass(frozen=True, kw_only=True)
class NodeLabelsArgs:
    """Inputs of `NodeLabels`."""

    config: NodesConfig
    joined: Mapping[str, pulumi.Resource] = field(default_factory=dict[str, pulumi.Resource])
    """By host: what its node waits for."""


class NodeLabels(pulumi.ComponentResource):
    """Every node wears the labels of its host, and loses them when this resource goes.

    Children: ``<name>-<host>`` NodePatch, on another stack's cluster only for hosts with labels of this stack's own.
    Nothing of a node but its labels is owned: taints are one list that many share, so they are set when a node
    registers.
    """

    def __init__(self, name: str, args: NodeLabelsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("lab:index:NodeLabels", name, None, opts)
        labels = {host: patched_labels(args.config, known) for host, known in members(args.config).items()}
        for host_name, wanted in labels.items():
            if not wanted:
                continue
            joined = [args.joined[host_name]] if host_name in args.joined else []
            NodePatch(
                f"{name}-{host_name}",
                metadata=ObjectMetaPatchArgs(name=host_name, labels=wanted),
                opts=pulumi.ResourceOptions(parent=self, depends_on=joined),
            )
        self.register_outputs({})


def _adopted_kubeconfig(source: KubeconfigSource, args: NodeBootstrapArgs) -> pulumi.Input[str]:
    """Return the kubeconfig of an adopted cluster from where the section says it is."""
    adopt = args.config.adopt
    match source:
        case KubeconfigSource.SECRET:
            reference = adopt.kubeconfig_secret if adopt else None
            return unknown_text() if reference is None else args.secret(reference)
        case KubeconfigSource.FILE:
            path = args.project / (adopt.kubeconfig or "" if adopt else "")
            if path.is_file():
                return path.read_text(encoding="utf-8")
            if pulumi.runtime.is_dry_run():
                return unknown_text()
            raise KubeconfigMissingError(path)
        case KubeconfigSource.BOOTSTRAP:
            raise SettingsMissingError
        case _:
            assert_never(source)
