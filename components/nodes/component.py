"""The lab's machines as a cluster.

`NodeBootstrap` ends with a kubeconfig: today that of a cluster it adopts; bootstrapping hosts over SSH is previewed
only. `NodeLabels` needs that cluster's provider, so it is a component of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

import pulumi
from pulumi_kubernetes.core.v1 import NodePatch
from pulumi_kubernetes.meta.v1 import ObjectMetaPatchArgs

from components.unknown import unknown_text

from .errors import BootstrapUnavailableError, KubeconfigMissingError
from .plan import KubeconfigSource, kubeconfig_source, members, node_labels

if TYPE_CHECKING:
    from pathlib import Path

    from .config import NodesConfig

__all__ = ["NodeBootstrap", "NodeBootstrapArgs", "NodeLabels", "NodeLabelsArgs"]


@dataclass(frozen=True, kw_only=True)
class NodeBootstrapArgs:
    """Inputs of `NodeBootstrap`."""

    config: NodesConfig
    project: Path
    """Folder that a relative ``nodes.adopt.kubeconfig`` starts from."""
    kubeconfig: pulumi.Input[str] | None = None
    """The kubeconfig itself, where ``nodes.adopt.kubeconfigSecret`` names its configuration key."""


class NodeBootstrap(pulumi.ComponentResource):
    """A cluster one can talk to, once this resource exists.

    Raises
    ------
    KubeconfigMissingError
        If the adopted cluster's kubeconfig file is not there; in a preview its content is unknown instead.
    BootstrapUnavailableError
        If hosts are to be bootstrapped, outside a preview. Both before anything is registered.
    """

    kubeconfig: pulumi.Output[str]
    """Kubeconfig of an administrator, secret. Unknown in a preview whose cluster does not exist yet."""

    def __init__(self, name: str, args: NodeBootstrapArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        kubeconfig = _kubeconfig(args)
        super().__init__("lab:index:NodeBootstrap", name, None, opts)
        self.kubeconfig = pulumi.Output.secret(kubeconfig)
        self.register_outputs({"kubeconfig": self.kubeconfig})


@dataclass(frozen=True, kw_only=True)
class NodeLabelsArgs:
    """Inputs of `NodeLabels`."""

    config: NodesConfig


class NodeLabels(pulumi.ComponentResource):
    """Every node wears the labels of its host, and loses them when this resource goes.

    Children: ``<name>-<host>`` NodePatch. Nothing of a node but its labels is owned: taints are one list that many
    share, so they are set when a node registers.
    """

    def __init__(self, name: str, args: NodeLabelsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("lab:index:NodeLabels", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        for host_name, host in members(args.config).items():
            NodePatch(
                f"{name}-{host_name}",
                metadata=ObjectMetaPatchArgs(name=host_name, labels=node_labels(host)),
                opts=child,
            )
        self.register_outputs({})


def _kubeconfig(args: NodeBootstrapArgs) -> pulumi.Input[str]:
    """Return the kubeconfig from where the section says it comes from."""
    source = kubeconfig_source(args.config)
    match source:
        case KubeconfigSource.SECRET:
            return args.kubeconfig if args.kubeconfig is not None else unknown_text()
        case KubeconfigSource.FILE:
            adopt = args.config.adopt
            path = args.project / (adopt.kubeconfig or "" if adopt else "")
            if path.is_file():
                return path.read_text(encoding="utf-8")
            if pulumi.runtime.is_dry_run():
                return unknown_text()
            raise KubeconfigMissingError(path)
        case KubeconfigSource.BOOTSTRAP:
            if pulumi.runtime.is_dry_run():
                return unknown_text()
            raise BootstrapUnavailableError(tuple(members(args.config)))
        case _:
            assert_never(source)
