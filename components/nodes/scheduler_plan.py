"""The file kube-scheduler reads on a control-plane host."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from .yaml_text import yaml_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.model import Value

__all__ = ["SCHEDULER_FILES", "scheduler_file", "scheduler_path"]

SCHEDULER_FILES = "/etc/research-compute/scheduler"
"""Folder the scheduler reads its own file from, mounted as a whole, as the API server's is."""
CHECKSUM_DIGITS = 12
"""Hexadecimal digits of a file's checksum in its name: enough to tell a lab's configurations apart."""
KUBECONFIG = "/etc/kubernetes/scheduler.conf"
"""What the scheduler signs in with: kubeadm makes it and mounts it (kubeadm, ``SchedulerKubeConfigFileName``). The flag
of that name is ignored beside a configuration file; those of the leader election are not."""


def scheduler_file(configuration: Mapping[str, Value] | None) -> str:
    """Return a KubeSchedulerConfiguration as a control-plane host has it, as YAML; empty where there is none."""
    if configuration is None:
        return ""
    return yaml_document({**configuration, "clientConnection": {"kubeconfig": KUBECONFIG}})


def scheduler_path(configuration: Mapping[str, Value] | None) -> str:
    """Return where that file is: under a name with its checksum; empty where there is none.

    Another configuration is another file, and so another static pod. The former pod still finds its own, should the new
    one not come up and the former be put back.
    """
    if configuration is None:
        return ""
    return f"{SCHEDULER_FILES}/{sha256(scheduler_file(configuration).encode()).hexdigest()[:CHECKSUM_DIGITS]}.yaml"
