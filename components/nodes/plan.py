"""Planner of the lab's nodes: pure functions from `NodesConfig` to labels, taints, capacities and SSH targets.

`simulated_nodes` is what a simulated cluster registers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from .config import Role, TaintConfig, TaintEffect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.addresses import AnyAddress
    from components.secrets import SecretRef

    from .config import HostConfig, NodesConfig
    from .steps import PlainValue, Step

__all__ = [
    "KubeconfigSource",
    "NodePlan",
    "SshTarget",
    "always_given",
    "bootstrap_host",
    "control_planes",
    "kubeconfig_source",
    "members",
    "node_labels",
    "node_taints",
    "patched_labels",
    "secrets",
    "simulated_nodes",
    "ssh_targets",
]

PODS_PER_NODE = 110
"""Pods a node takes: the kubelet's default, and what Kubernetes' large-cluster guide supports."""

ROLE_LABEL_PREFIX = "node-role.kubernetes.io/"
"""Prefix of the role labels kubectl shows (kubeadm sets the control plane's; the kubelet may not set its own)."""
CONTROL_PLANE_TAINT = TaintConfig(key=f"{ROLE_LABEL_PREFIX}control-plane", effect=TaintEffect.NO_SCHEDULE)
"""Taint kubeadm gives control-plane nodes; left off where such a host is a worker, too."""


class KubeconfigSource(StrEnum):
    """Where the way to the cluster comes from."""

    FILE = "file"
    SECRET = "secret"  # noqa: S105 - the word, not a secret
    BOOTSTRAP = "bootstrap"


@dataclass(frozen=True, kw_only=True)
class NodePlan:
    """One node as it registers with the cluster."""

    name: str
    addresses: tuple[AnyAddress, ...]
    """The primary one first."""
    labels: Mapping[str, str]
    taints: tuple[TaintConfig, ...]
    capacity: Mapping[str, str]
    """Amount per resource name, as Kubernetes quantities: cpu, memory, ephemeral-storage, pods, extended resources."""


@dataclass(frozen=True, kw_only=True)
class SshTarget:
    """How one host is reached, its own settings laid over the common ones."""

    host: str
    address: AnyAddress
    port: int
    user: str
    host_key: str | None


def kubeconfig_source(config: NodesConfig) -> KubeconfigSource:
    """Return where the kubeconfig comes from: a file, a secret of the stack, or the bootstrapping itself."""
    if config.adopt is None:
        return KubeconfigSource.BOOTSTRAP
    return KubeconfigSource.SECRET if config.adopt.kubeconfig_secret else KubeconfigSource.FILE


def members(config: NodesConfig) -> dict[str, HostConfig]:
    """Return the hosts that are Kubernetes nodes, by name in order: not lost, and not storage alone."""
    return {
        name: host for name, host in sorted(config.hosts.items()) if not host.lost and set(host.roles) != {Role.STORAGE}
    }


def bootstrap_host(config: NodesConfig) -> str | None:
    """Return the control-plane host where the cluster begins, or None where no host is one."""
    if config.bootstrap_host is not None:
        return config.bootstrap_host
    return next(iter(control_planes(config)), None)


def control_planes(config: NodesConfig) -> tuple[str, ...]:
    """Return the control-plane hosts that are not lost, by name in order."""
    # Asked for every step of every host, so the thousand others are passed over quickly.
    return tuple(
        sorted(name for name, host in config.hosts.items() if Role.CONTROL_PLANE in host.roles and not host.lost)
    )


def secrets(config: NodesConfig) -> tuple[SecretRef, ...]:
    """Return the secrets the section names and the program reads; of an adopted cluster, its kubeconfig alone."""
    if config.adopt is not None:
        return () if config.adopt.kubeconfig_secret is None else (config.adopt.kubeconfig_secret,)
    encryption, backup = config.control_plane.encryption, config.control_plane.backup
    named = [config.ssh.private_key, config.ssh.sudo_password]
    if encryption is not None:
        named += [key.key for key in encryption.keys]
    if backup is not None:
        named += backup.secrets
    return tuple(reference for reference in named if reference is not None)


def always_given(config: NodesConfig, step: Step) -> dict[str, PlainValue]:
    """Return the values every step has beside its own: where it runs, and the ``reconverge`` of its subject."""
    return {"RECONVERGE": config.hosts[step.subject or step.host].reconverge, "STEP_HOST": step.host}


def node_labels(host: HostConfig) -> dict[str, str]:
    """Return the labels of a host's node: one per role, then its own."""
    return {**{f"{ROLE_LABEL_PREFIX}{role}": "" for role in host.roles}, **host.labels}


def patched_labels(config: NodesConfig, host: HostConfig) -> dict[str, str]:
    """Return the labels that this stack puts on a host's node.

    On another stack's cluster only those that the stack file names: roles are the owner's to say, and an object that
    both said the same of would still be owned by one of them alone after the other has gone.
    """
    return node_labels(host) if config.owner is None else dict(host.labels)


def node_taints(host: HostConfig) -> tuple[TaintConfig, ...]:
    """Return the taints a host's node registers with: the control plane's, unless it is a worker too, then its own."""
    reserved = Role.CONTROL_PLANE in host.roles and Role.WORKER not in host.roles
    return (*((CONTROL_PLANE_TAINT,) if reserved else ()), *host.taints)


def simulated_nodes(
    config: NodesConfig,
    extended: Mapping[str, Mapping[str, int]],
    discovered: Mapping[str, Mapping[str, str]],
) -> list[NodePlan]:
    """Return the nodes of a simulated cluster, by name in order.

    Parameters
    ----------
    config
        The section; hosts that are lost or storage alone are left out.
    extended
        Extended resources by host, as device plugins advertise them: ``{"gpu-1": {"nvidia.com/mig-1g.10gb": 7}}``.
    discovered
        Labels by host, as feature discovery would set them: ``{"gpu-1": {"nvidia.com/gpu.present": "true"}}``.
    """
    return [
        NodePlan(
            name=name,
            addresses=host.addresses,
            labels={**discovered.get(name, {}), **node_labels(host)},
            taints=node_taints(host),
            capacity={
                "cpu": str(host.hardware.cpus),
                "memory": str(host.hardware.memory),
                "ephemeral-storage": str(host.hardware.ephemeral_storage),
                "pods": str(PODS_PER_NODE),
                **{resource: str(count) for resource, count in sorted(extended.get(name, {}).items())},
            },
        )
        for name, host in members(config).items()
    ]


def ssh_targets(config: NodesConfig) -> list[SshTarget]:
    """Return how each host that is not lost is reached, by name in order; none where the nodes are simulated."""
    if config.simulated:
        return []
    return [
        SshTarget(
            host=name,
            address=host.address,
            port=host.ssh.port or config.ssh.port,
            user=host.ssh.user or config.ssh.user,
            host_key=host.host_key,
        )
        for name, host in sorted(config.hosts.items())
        if not host.lost
    ]
