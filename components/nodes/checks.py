"""What can be wrong with the ``nodes`` section, found all at once and before anything is touched."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from components.problems import Problem

from . import backup_plan, encryption_plan, upgrade_plan
from .config import Role, TaintEffect
from .plan import ROLE_LABEL_PREFIX, control_planes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from components.addresses import AnyAddress, AnyNetwork
    from components.networks import Networks
    from components.problems import Path

    from .config import AdoptConfig, NodesConfig

__all__ = ["check"]

RESERVED_LABELS = ("kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch")
"""Labels the kubelet owns (well-known labels, Kubernetes reference)."""
LEAST_ELECTION_HEARTBEATS = 5
"""etcd refuses to start with an election timeout below five heartbeats (etcd, server/embed: config)."""


def check(config: NodesConfig, network: Networks | None, images: Collection[str] | None = None) -> Iterator[Problem]:
    """Yield everything that is wrong with the section, paths relative to it.

    Parameters
    ----------
    config
        The section.
    network
        The hosts' networks, ``network.hosts`` of the same stack, or None where the stack does not say.
    images
        Names of the pinned images; None where they are not known, then any name will do.
    """
    yield from _check_addresses(config, network)
    yield from _check_hosts(config)
    if config.adopt is None:
        yield from _check_control_plane(config)
        yield from _check_host_keys(config)
        yield from _check_etcd(config)
        yield from encryption_plan.check(config)
        yield from backup_plan.check(config)
        yield from upgrade_plan.check(config)
    else:
        yield from _check_adopted(config.adopt)
    yield from _check_bootstrap_host(config)
    for index, name in enumerate(config.pre_pull):
        if images is not None and name not in images:
            yield Problem(
                path=("prePull", index),
                what=f"no image {name} is pinned",
                remedy=f"name one of {', '.join(sorted(images))}, or pin it in stacks/pins/",
            )


def _check_addresses(config: NodesConfig, network: Networks | None) -> Iterator[Problem]:
    owners: dict[AnyAddress, list[Path]] = defaultdict(list)
    for name, host in config.hosts.items():
        owners[host.address].append(("hosts", name, "address"))
        if host.second_address is not None:
            owners[host.second_address].append(("hosts", name, "secondAddress"))
    if config.endpoint is not None:
        owners[config.endpoint.address].append(("endpoint", "address"))
    for address, paths in owners.items():
        wanted = _network_of(paths[0], network)
        if wanted is not None and address not in wanted:
            yield Problem(
                path=paths[0],
                what=f"{address} lies outside the hosts' network {wanted}",
                remedy="correct the address, or network.hosts",
            )
        for path in paths[1:]:
            yield Problem(
                path=path,
                what=f"{address} is already the address of {paths[0][-2]}",
                remedy="give each host, and the endpoint, an address of its own",
            )
    if network is not None and not network.is_dual:
        yield from _second_addresses(config)


def _network_of(path: Path, network: Networks | None) -> AnyNetwork | None:
    """Return the network an address belongs in: the API server advertises hosts' first ones, of the primary family."""
    if network is None:
        return None
    return network.secondary if path[-1] == "secondAddress" else network.primary


def _second_addresses(config: NodesConfig) -> Iterator[Problem]:
    for name, host in config.hosts.items():
        if host.second_address is not None:
            yield Problem(
                path=("hosts", name, "secondAddress"),
                what=f"{name} has a second address, and the hosts have one network",
                remedy="write network.hosts with one network per family, or leave the address out",
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
    planes = control_planes(config)
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
                remedy="add hostKey: `labctl hosts keys --write` does, or take the key from "
                f"`ssh-keyscan -t ed25519 {host.address}`; compare its fingerprint on the console",
            )
        elif host.host_key in owner:
            yield Problem(
                path=path,
                what=f"{name} has the host key of {owner[host.host_key]}",
                remedy="copy each host's own key (a cloned disk needs `ssh-keygen -A` after removing the old keys)",
            )
        else:
            owner[host.host_key] = name


def _check_etcd(config: NodesConfig) -> Iterator[Problem]:
    etcd = config.control_plane.etcd
    least = LEAST_ELECTION_HEARTBEATS * etcd.heartbeat_milliseconds
    if etcd.election_milliseconds < least:
        yield Problem(
            path=("controlPlane", "etcd", "electionMilliseconds"),
            what=f"{etcd.election_milliseconds} ms are fewer than five heartbeats of {etcd.heartbeat_milliseconds} ms",
            remedy=f"write {least} or more; ten heartbeats are usual",
        )


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
    planes = control_planes(config)
    if name not in planes:
        yield Problem(
            path=("bootstrapHost",),
            what=f"{name} is " + ("not a control-plane host" if name in config.hosts else "none of nodes.hosts"),
            remedy=f"name one of {', '.join(planes) or 'the control-plane hosts (there are none)'}",
        )
