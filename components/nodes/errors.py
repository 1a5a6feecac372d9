"""Failures of the nodes component."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KubeconfigMissingError", "NodesError", "SettingsMissingError"]


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


class SettingsMissingError(NodesError):
    """Hosts are to be bootstrapped into a cluster of which nothing is said."""

    def __init__(self) -> None:
        super().__init__(
            "nodes.hosts are to be bootstrapped, which needs the cluster's networks and pinned versions: pass "
            "`settings`, or adopt a cluster under nodes.adopt"
        )
