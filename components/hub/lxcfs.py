"""LXCFS: a server sees its own CPUs, memory and load in ``/proc``, not its node's.

A FUSE file system on each worker shows files whose content depends on who reads them; each is mounted over its place in
``/proc``. A path of the host is refused by every level of Pod Security but ``privileged``, so the namespace is relaxed
for that reason alone, and what the label would have refused is refused by the policies (`components.hub.admission`).
Source: the README of lxcfs 5.0 and 6.0, and lxcfs(1).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from components.nodes.config import Role
from components.nodes.steps import Step

from .parts import HubPart

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.nodes.config import NodesConfig

    from .config import HubConfig

__all__ = ["HOST_FILES", "STEP", "lxcfs_packages", "lxcfs_part", "lxcfs_steps"]

LXCFS_PACKAGES = ("fuse3", "lxcfs")
"""What workers install of their distribution."""
STEP = "lxcfs"
"""Name of the step that brings it to a worker, and of its script."""
FOLDER = "/var/lib/lxcfs"
"""Where the distributions' unit mounts it (``lxcfs.service`` of Debian and Ubuntu)."""
FILES = ("cpuinfo", "diskstats", "loadavg", "meminfo", "stat", "swaps", "uptime")
"""What it has of ``/proc``, and runc lets be mounted over (libcontainer, ``checkProcMount``). ``slabinfo`` is left out:
lxcfs has it since 5.0.3, and nothing of a server's reads it."""
HOST_FILES: Mapping[str, str] = MappingProxyType({f"/proc/{name}": f"{FOLDER}/proc/{name}" for name in FILES})
"""Paths of the host by where a server has them."""


def lxcfs_part(config: HubConfig) -> HubPart:
    """Return the volumes of every server: the files, each for reading, in its own place."""
    if not config.lxcfs:
        return HubPart()
    names = {inside: f"lxcfs-{inside.rpartition('/')[2]}" for inside in HOST_FILES}
    return HubPart(
        server_volumes={
            # Of type File: a node without LXCFS refuses the server instead of making an empty folder.
            names[inside]: {"hostPath": {"path": path, "type": "File"}}
            for inside, path in HOST_FILES.items()
        },
        server_mounts={name: {"name": name, "mountPath": inside, "readOnly": True} for inside, name in names.items()},
    )


def lxcfs_steps(config: HubConfig | None, nodes: NodesConfig) -> tuple[Step, ...]:
    """Return the step of every worker that is not lost, by name in order; none without LXCFS.

    It comes after ``system``, which knows where packages come from; ``request`` waits for it, so that no worker is a
    node before it has what every server mounts.

    Parameters
    ----------
    config
        Hub section, checked.
    nodes
        The hosts.
    """
    return () if config is None or not config.lxcfs else tuple(_steps(nodes))


def lxcfs_packages(config: HubConfig | None) -> tuple[str, ...]:
    """Return the packages that `lxcfs_steps` installs."""
    return () if config is None or not config.lxcfs else LXCFS_PACKAGES


def _steps(nodes: NodesConfig) -> Iterator[Step]:
    for name, host in sorted(nodes.hosts.items()):
        if Role.WORKER in host.roles and not host.lost:
            yield Step(
                name=STEP,
                subject=name,
                host=name,
                values={"FILES": FILES, "PACKAGES": LXCFS_PACKAGES},
                after=(("system", name), ("runtime", name)),
            )
