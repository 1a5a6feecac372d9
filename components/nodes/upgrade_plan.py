"""Steps that bring hosts to another version of Kubernetes, a few at a time, and that renew the control plane's keys.

Every host is prepared in parallel with all others; what takes a node away for a while is a step of its own, chained:
control-plane hosts one by one, then workers in batches, then those with storage one by one. Where a host has the wanted
version already its step costs a look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.problems import Problem

from .config import API_SERVER_PORT, Role
from .kubeadm_plan import authority
from .plan import control_planes, members
from .steps import Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .config import NodesConfig
    from .settings import ClusterSettings

__all__ = [
    "batch_size",
    "certificate_steps",
    "check",
    "last_storage",
    "upgrade_batches",
    "upgrade_turns",
    "version_steps",
]

WORKERS_TO_BATCH = 20
"""Workers for each one that is away in an upgrade: a twentieth of the lab's capacity. It also bounds how long the chain
of batches gets, which Pulumi's SDK walks recursively for every resource."""
MOST_BATCHES = 100
"""Batches after each other; the SDK's walk ends with Python's recursion limit at a few hundred."""


def upgrade_batches(config: NodesConfig) -> tuple[tuple[str, ...], ...]:
    """Return the members of the cluster in the order they are upgraded in: each batch after the one before it.

    Every member is in exactly one batch. Which one follows from its name and roles, not from its place in the file.
    """
    planes = control_planes(config)
    workers = [name for name in members(config) if name not in planes]
    stores = [name for name in workers if Role.STORAGE in config.hosts[name].roles]
    others = [name for name in workers if name not in stores]
    size = batch_size(config)
    return (
        *((name,) for name in planes),
        *(tuple(others[start : start + size]) for start in range(0, len(others), size)),
        *((name,) for name in stores),
    )


def batch_size(config: NodesConfig) -> int:
    """Return how many workers are upgraded at the same time: as the lab says, else a twentieth of them."""
    if config.upgrade.batch is not None:
        return config.upgrade.batch
    return max(1, (len(members(config)) - len(control_planes(config))) // WORKERS_TO_BATCH)


def last_storage(config: NodesConfig) -> str | None:
    """Return the one node with storage there is; None where there is no node with storage, or more than one."""
    stores = [name for name, host in members(config).items() if Role.STORAGE in host.roles]
    return stores[0] if len(stores) == 1 else None


def version_steps(config: NodesConfig, settings: ClusterSettings) -> tuple[Step, ...]:
    """Return the step that brings every member to the pinned version, no more than a batch of them away at once.

    A worker waits for one of the batch before it, not for all: as many are away, and no host waits for the slowest.
    """
    planes = control_planes(config)
    store = None if config.upgrade.drain_last_storage else last_storage(config)
    turns = upgrade_turns(config)
    return tuple(
        Step(
            name="version",
            subject=name,
            host=name,
            libraries=("kube",),
            values={
                "ADDRESS": str(config.hosts[name].address),
                "CONTROL_PLANE": name in planes,
                "DRAIN_SECONDS": config.upgrade.drain_timeout.seconds,
                "EVICT_UNMANAGED": config.upgrade.evict_unmanaged,
                "IGNORE_PREFLIGHT": config.control_plane.ignore_preflight,
                "KUBERNETES_VERSION": settings.pins.kubernetes,
                "LAST_STORAGE": store,
            },
            after=(
                ("kubernetes", name),
                ("join", name),
                # The first one also waits until no control-plane host is joining any more.
                *((("version", earlier) for earlier in turns[name]) if turns[name] else (("join", p) for p in planes)),
            ),
        )
        for batch in upgrade_batches(config)
        for name in batch
    )


def upgrade_turns(config: NodesConfig) -> Mapping[str, tuple[str, ...]]:
    """Return, for every member, those it waits for with its upgrade.

    A worker waits for the one at its own place in the batch before; one that is alone in its turn waits for every host
    that nothing else waits for yet.
    """
    turns: dict[str, tuple[str, ...]] = {}
    lanes: tuple[str, ...] = ()
    for batch in upgrade_batches(config):
        alone = len(lanes) <= 1 or Role.STORAGE in config.hosts[batch[0]].roles
        turns |= {name: lanes if alone else (lanes[place],) for place, name in enumerate(batch)}
        # Lanes that a shorter last batch leaves behind are still to be waited for.
        lanes = batch if alone else (*batch, *lanes[len(batch) :])
    return turns


def certificate_steps(config: NodesConfig) -> tuple[Step, ...]:
    """Return the step that renews every control-plane host's certificates when told to, one host after the other."""
    planes = control_planes(config)
    return tuple(
        Step(
            name="certificates",
            subject=name,
            host=name,
            libraries=("kube",),
            values={
                "ADDRESS": str(config.hosts[name].address),
                "API_SERVER": authority(config.hosts[name].address, API_SERVER_PORT),
                "RENEWAL": config.certificates.renewal,
            },
            after=(
                # Not while any control plane is being upgraded: two members of etcd would be away at once.
                *(("version", plane) for plane in planes),
                *((("certificates", planes[index - 1]),) if index else ()),
            ),
        )
        for index, name in enumerate(planes)
    )


def check(config: NodesConfig) -> Iterator[Problem]:
    """Yield what would empty too much of the cluster at once, paths relative to the section."""
    planes = control_planes(config)
    workers = [name for name in members(config) if name not in planes]
    size = batch_size(config)
    if -(-len(workers) // size) > MOST_BATCHES:
        yield Problem(
            path=("upgrade", "batch"),
            what=f"{len(workers)} workers in batches of {size} are more than {MOST_BATCHES} batches after each other",
            remedy=f"write {-(-len(workers) // MOST_BATCHES)} or more, or leave it out for a twentieth of the workers",
        )
    if len(workers) > 1 and size >= len(workers):
        yield Problem(
            path=("upgrade", "batch"),
            what=f"an upgrade would drain all {len(workers)} workers at once, and leave their pods no place to go to",
            remedy=f"write {len(workers) - 1} or less",
        )
