"""Planner of the lab's nodes: pure functions from `NodesConfig` to labels, taints, capacities and SSH targets.

`check` finds what is wrong with a section, all at once; `simulated_nodes` is what a simulated cluster registers.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from components.problems import Problem

from .config import Role, TaintConfig, TaintEffect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.addresses import AnyAddress, AnyNetwork

    from .config import AdoptConfig, HostConfig, NodesConfig

__all__ = [
    "KubeconfigSource",
    "NodePlan",
    "SshTarget",
    "bootstrap_host",
    "check",
    "kubeconfig_source",
    "members",
    "node_labels",
    "node_taints",
    "simulated_nodes",
    "ssh_targets",
]

PODS_PER_NODE = 110
"""Pods a node takes: the kubelet's default, and what Kubernetes' large-cluster guide supports."""

ROLE_LABEL_PREFIX = "node-role.kubernetes.io/"
"""Prefix of the role labels kubectl shows (kubeadm sets the control plane's; the kubelet may not set its own)."""
CONTROL_PLANE_TAINT = TaintConfig(key=f"{ROLE_LABEL_PREFIX}control-plane", effect=TaintEffect.NO_SCHEDULE)
"""Taint kubeadm gives control-plane nodes; left off where such a host is a worker, too."""
RESERVED_LABELS = ("kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch")
"""Labels the kubelet owns (well-known labels, Kubernetes reference)."""


class KubeconfigSource(StrEnum):
    """Where the way to the cluster comes from."""

    FILE = "file"
    SECRET = "secret"  # noqa: S105 - the word, not a secret
    BOOTSTRAP = "bootstrap"


@dataclass(frozen=True, kw_only=True)
class NodePlan:
    """One node as it registers with the cluster."""

    name: str
    address: AnyAddress
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
    return next((name for name, host in members(config).items() if Role.CONTROL_PLANE in host.roles), None)


def node_labels(host: HostConfig) -> dict[str, str]:
    """Return the labels of a host's node: one per role, then its own."""
    return {**{f"{ROLE_LABEL_PREFIX}{role}": "" for role in host.roles}, **host.labels}


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
            address=host.address,
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


def check(config: NodesConfig, network: AnyNetwork | None) -> Iterator[Problem]:
    """Yield everything that is wrong with the section, paths relative to it.

    Parameters
    ----------
    config
        The section.
    network
        The hosts' network, ``network.hosts`` of the same stack, or None where the stack does not say.
    """
    yield from _check_addresses(config, network)
    yield from _check_hosts(config)
    if config.adopt is None:
        yield from _check_control_plane(config)
        yield from _check_host_keys(config)
    else:
        yield from _check_adopted(config.adopt)
    yield from _check_bootstrap_host(config)


def _check_addresses(config: NodesConfig, network: AnyNetwork | None) -> Iterator[Problem]:
    owners: dict[AnyAddress, list[tuple[str, ...]]] = defaultdict(list)
    for name, host in config.hosts.items():
        owners[host.address].append(("hosts", name))
    if config.endpoint is not None:
        owners[config.endpoint.address].append(("endpoint",))
    for address, paths in owners.items():
        if network is not None and address not in network:
            yield Problem(
                path=(*paths[0], "address"),
                what=f"{address} lies outside the hosts' network {network}",
                remedy="correct the address, or network.hosts",
            )
        for path in paths[1:]:
            yield Problem(
                path=(*path, "address"),
                what=f"{address} is already the address of {paths[0][-1]}",
                remedy="give each host, and the endpoint, an address of its own",
            )


def _check_hosts(config: NodesConfig) -> Iterator[Problem]:
    for name, host in config.hosts.items():
        path = ("hosts", name)
        if host.gpus is not None and Role.WORKER not in host.roles:
            yield Problem(
                path=(*path, "gpus"),
                what=f"{name} has GPUs but is no worker, so nothing could use them",
                remedy="add worker to its roles, or take gpus away",
            )
        for key in host.labels:
            if key in RESERVED_LABELS or key.startswith(ROLE_LABEL_PREFIX):
                yield Problem(
                    path=(*path, "labels", key),
                    what=f"the label {key} follows from the host's name or roles",
                    remedy="leave it out, or change roles",
                )
        seen: set[tuple[str, TaintEffect]] = set()
        for index, taint in enumerate(host.taints):
            if (taint.key, taint.effect) in seen:
                yield Problem(
                    path=(*path, "taints", index),
                    what=f"the taint {taint.key}:{taint.effect} is there twice",
                    remedy="keep one of the two (a node has one value per key and effect)",
                )
            seen.add((taint.key, taint.effect))


def _check_control_plane(config: NodesConfig) -> Iterator[Problem]:
    planes = [name for name, host in members(config).items() if Role.CONTROL_PLANE in host.roles]
    if not planes:
        yield Problem(
            path=("hosts",),
            what="no host has the role control-plane, and no cluster is adopted",
            remedy="give one or three hosts the role control-plane, or name a cluster under nodes.adopt",
        )
    elif len(planes) % 2 == 0:
        yield Problem(
            path=("hosts",),
            what=f"{len(planes)} control-plane hosts ({', '.join(planes)}): etcd with an even number of members "
            f"survives no more failures than with {len(planes) - 1}",
            remedy=f"have {len(planes) - 1} or {len(planes) + 1}",
        )
    if len(planes) > 1 and config.endpoint is None:
        yield Problem(
            path=("endpoint",),
            what=f"{len(planes)} control-plane hosts, but no address they share",
            remedy="add endpoint: {address: ...}, an address of the hosts' network that no host has",
        )


def _check_host_keys(config: NodesConfig) -> Iterator[Problem]:
    owner: dict[str, str] = {}
    for name, host in config.hosts.items():
        path = ("hosts", name, "hostKey")
        if host.lost:
            continue
        if host.host_key is None:
            yield Problem(
                path=path,
                what=f"{name} has no host key, so its SSH server would not be authenticated",
                remedy=f"add hostKey: what `ssh-keyscan -t ed25519 {host.address}` prints, checked on its console",
            )
        elif host.host_key in owner:
            yield Problem(
                path=path,
                what=f"{name} has the host key of {owner[host.host_key]}",
                remedy="copy each host's own key (a cloned disk needs `ssh-keygen -A` after removing the old keys)",
            )
        else:
            owner[host.host_key] = name


def _check_adopted(adopt: AdoptConfig) -> Iterator[Problem]:
    if (adopt.kubeconfig is None) == (adopt.kubeconfig_secret is None):
        both = adopt.kubeconfig is not None
        yield Problem(
            path=("adopt",),
            what="kubeconfig and kubeconfigSecret are both given" if both else "no kubeconfig is named",
            remedy="give one of kubeconfig (a file's path) and kubeconfigSecret ({secret: kubeconfig})",
        )


def _check_bootstrap_host(config: NodesConfig) -> Iterator[Problem]:
    name = config.bootstrap_host
    if name is None:
        return
    planes = [host_name for host_name, host in members(config).items() if Role.CONTROL_PLANE in host.roles]
    if name not in planes:
        yield Problem(
            path=("bootstrapHost",),
            what=f"{name} is " + ("not a control-plane host" if name in config.hosts else "none of nodes.hosts"),
            remedy=f"name one of {', '.join(planes) or 'the control-plane hosts (there are none)'}",
        )
