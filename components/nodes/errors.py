"""Failures of the nodes component."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BootstrapUnavailableError", "KubeconfigMissingError", "NodesError"]


class NodesError(Exception):
    """Something that keeps the machines from becoming, or being, a cluster."""


class KubeconfigMissingError(NodesError):
    """The kubeconfig of an adopted cluster is not where the stack file says."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"nodes.adopt.kubeconfig: no file at {path}. Nothing was touched. "
            "Start the cluster first (labctl up starts an embedded one), or name the kubeconfig of one that runs."
        )
        self.path = path


class BootstrapUnavailableError(NodesError):
    """The stack wants hosts bootstrapped over SSH, which this release previews but does not do."""

    def __init__(self, hosts: tuple[str, ...]) -> None:
        super().__init__(
            f"nodes.hosts: {', '.join(hosts)} would have to be bootstrapped over SSH, which this release can preview "
            "but not do. Nothing was touched. Build the cluster with kubeadm and adopt it: "
            "nodes.adopt.kubeconfigSecret: {secret: kubeconfig}, with the file's text set by "
            "`pulumi config set --secret kubeconfig`."
        )
        self.hosts = hosts
