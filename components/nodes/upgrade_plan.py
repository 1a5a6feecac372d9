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
    from collections.abc import Iterator

    from .config import NodesConfig
    from .settings import ClusterSettings

__all__ = ["certificate_steps", "check", "last_storage", "upgrade_batches", "version_steps"]


def upgrade_batches(config: NodesConfig) -> tuple[tuple[str, ...], ...]:
    """Return the members of the cluster in the order they are upgraded in: each batch after the one before it.

    Every member is in exactly one batch. Which one follows from its name and roles, not from its place in the file.
    """
    planes = control_planes(config)
    workers = [name for name in members(config) if name not in planes]
    stores = [name for name in workers if Role.STORAGE in config.hosts[name].roles]
    others = [name for name in workers if name not in stores]
    size = config.upgrade.batch
    return (
        *((name,) for name in planes),
        *(tuple(others[start : start + size]) for start in range(0, len(others), size)),
        *((name,) for name in stores),
    )


def last_storage(config: NodesConfig) -> str | None:
    """Return the one node with storage there is; None where there is no node with storage, or more than one."""
    stores = [name for name, host in members(config).items() if Role.STORAGE in host.roles]
    return stores[0] if len(stores) == 1 else None


def version_steps(config: NodesConfig, settings: ClusterSettings) -> tuple[Step, ...]:
    """Return the step that brings every member to the pinned version, each batch after the one before it."""
    planes = control_planes(config)
    store = None if config.upgrade.drain_last_storage else last_storage(config)
    steps: list[Step] = []
    # The first one also waits until no control-plane host is joining any more.
    before: tuple[tuple[str, str | None], ...] = tuple(("join", name) for name in planes)
    for batch in upgrade_batches(config):
        steps += [
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
                after=(("kubernetes", name), ("join", name), *before),
            )
            for name in batch
        ]
        before = tuple(("version", name) for name in batch)
    return tuple(steps)


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
    if len(workers) > 1 and config.upgrade.batch >= len(workers):
        yield Problem(
            path=("upgrade", "batch"),
            what=f"an upgrade would drain all {len(workers)} workers at once, and leave their pods no place to go to",
            remedy=f"write {len(workers) - 1} or less",
        )
