"""Storage hosts of a bed: disks that are files, a real ZFS, and the steps of storage run on them by SSH.

ZFS is Debian's zfs-fuse: this machine's kernel has FUSE and no ZFS module. It knows pools of version 23: RAID-Z1..3,
snapshots, quotas, send and receive; it lacks lz4, zstd, dRAID, special devices, ``xattr=sa`` and the folder ``.zfs``.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bed import Bed, Host
from bed_packages import add_packages
from preparation import Report, feed

from components.nodes.config import NodesConfig
from components.nodes.steps import PlainValue, Step, StepOutput, compose_whole, read_script, script_file
from components.secrets import SecretRef
from components.storage.config import StorageConfig
from components.storage.hosts_plan import storage_steps
from labctl.bundle.mirror import Mirror

__all__ = [
    "DISK_BYTES",
    "ZFS_FUSE",
    "StorageHosts",
    "destroy_pools",
    "disk",
    "lay_disks",
    "pool",
    "prepare_storage",
    "zfs_values",
]

SECONDS = 300
"""For one step on a busy machine: packages are unpacked in it."""
DISKS = "/disks"
DISK_BYTES = 256 * 2**20
"""Of a disk, unless a test wants another: sparse, so it costs what is written to it."""
FOLDER = "/usr/local/lib/research-compute/steps"
ZFS_FUSE: Mapping[str, str | None] = {
    "acltype": None,
    "compression": "on",
    "dnodesize": None,
    "recordsize": None,
    "xattr": None,
}
"""Properties of file systems that zfs-fuse does not know, or not with our values; laid over ours."""
ZFS_FUSE_POOL: Mapping[str, str | None] = {"autotrim": None}
_DAEMON = """[Unit]
# Debian's own script ends with an error where a process may not be kept from the OOM killer, as on this machine.
[Service]
Type=exec
ExecStart=
ExecStart=/sbin/zfs-fuse --no-daemon
ExecStartPost=/bin/sh -c 'for i in $(seq 100); do zpool list >/dev/null 2>&1 && break; sleep 0.1; done; zfs mount -a'
ExecStop=
ExecStop=-/sbin/zfs umount -a
TimeoutSec=30
KillMode=mixed
"""
_SETTINGS = """enable-xattr
max-arc-size = 64
fuse-attr-timeout = 0
fuse-entry-timeout = 0
fuse-mount-options = default_permissions
"""
"""Without the kernel's caches, so that what one process does is seen by the next; access control lists are xattrs."""


@dataclass(frozen=True)
class StorageHosts:
    """A bed whose hosts have the role storage, and the mirror their packages come from."""

    bed: Bed
    mirror: Mirror
    apt_key: str
    secrets: Mapping[str, str] = field(default_factory=dict[str, str])
    """What stands for each `SecretRef` of the section."""

    def host(self, index: int = 0) -> Host:
        """Return one of the bed's hosts."""
        return self.bed.hosts[index]

    def named(self, name: str) -> Host:
        """Return the host of that name."""
        return next(host for host in self.bed.hosts if host.name == name)

    def nodes(self, **changes: object) -> NodesConfig:
        """Return a nodes section of the bed's hosts, all with the role storage, with these keys replaced."""
        section: dict[str, object] = {
            "mirror": {"url": self.mirror.url, "aptKey": self.apt_key},
            "hosts": {
                host.name: {
                    "address": host.address,
                    "roles": ["storage"],
                    "hostKey": host.host_key,
                    "hardware": {"cpus": 2, "memory": "8Gi", "ephemeralStorage": "10G"},
                }
                for host in self.bed.hosts
            },
        }
        return NodesConfig.model_validate({**section, **changes}, by_alias=True)

    def storage(self, pools: Mapping[str, Mapping[str, object]], **nfs: object) -> StorageConfig:
        """Return a storage section: these pools, homes in the first, with these keys of ``nfs`` replaced.

        A pool without ``host`` is the first host's; each is given what zfs-fuse needs (`ZFS_FUSE`).
        """
        made = {name: {"host": self.host().name, **zfs_values(section)} for name, section in pools.items()}
        first = next(iter(pools))
        server = {
            "host": made[first]["host"],
            "server": "ganesha",
            "homes": {"path": f"/{first}/homes"},
            **nfs,
        }
        zfs = {"packages": ["zfs-fuse"], "pools": made}
        return StorageConfig.model_validate({"zfs": zfs, "nfs": server}, by_alias=True)

    def steps(
        self, storage: StorageConfig, nodes: NodesConfig | None = None, names: Iterable[str] = ()
    ) -> tuple[Step, ...]:
        """Return the steps of storage in an order they can be run in, of these names only (all if none is given)."""
        wanted = set(names)
        return tuple(
            step
            for step in storage_steps(storage, nodes or self.nodes())
            if not wanted or step.name in wanted or step.name.split("-")[0] in wanted
        )

    def text(self, step: Step, **values: PlainValue) -> str:
        """Return the text a host is fed for a step, secrets put in, with these values laid over the planned ones."""
        plain: dict[str, PlainValue] = {}
        for name, value in step.values.items():
            if isinstance(value, SecretRef):
                plain[name] = self.secrets[value.secret]
            elif not isinstance(value, StepOutput):
                plain[name] = value
        return compose_whole(step, {**plain, "RECONVERGE": 0, "STEP_HOST": step.host, **values})

    def feed(self, host: Host, text: str, mode: str = "apply", seconds: float = SECONDS) -> Report:
        """Feed a root shell of a host a text."""
        return feed(self.bed, host, text, mode, seconds)

    def run(self, step: Step, mode: str = "apply", **values: PlainValue) -> Report:
        """Run one step on its host; the files it needs beside its scripts are put there first."""
        host = self.named(step.host)
        for name in step.files:
            path = f"{FOLDER}/{script_file(name)}"
            if host.console(f"test -f {path} && echo so || true") == "":
                host.console(f"mkdir -p {FOLDER}")
                host.run(f"cat > {path}", sudo=True, text=read_script(name))
        return self.feed(host, self.text(step, **values), mode)

    def up(
        self, storage: StorageConfig, names: Iterable[str] = (), nodes: NodesConfig | None = None
    ) -> dict[str, tuple[str, ...]]:
        """Run these steps (all if none is named), which must succeed; return what each changed, by resource."""
        return {step.resource: self.run(step).changed for step in self.steps(storage, nodes, names)}

    def check(
        self, storage: StorageConfig, names: Iterable[str] = (), nodes: NodesConfig | None = None
    ) -> dict[str, tuple[str, ...]]:
        """Return what differs, by resource; steps without differences are left out."""
        found = {step.resource: self.run(step, "check").changed for step in self.steps(storage, nodes, names)}
        return {name: changes for name, changes in found.items() if changes}

    def undo(
        self, storage: StorageConfig, names: Iterable[str] = (), nodes: NodesConfig | None = None
    ) -> dict[str, tuple[str, ...]]:
        """Undo these steps, the last first."""
        return {step.resource: self.run(step, "undo").changed for step in reversed(self.steps(storage, nodes, names))}

    def run_pool(self, storage: StorageConfig, mode: str = "apply", name: str = "tank") -> Report:
        """Run the step of one pool."""
        return self.run(next(iter(self.steps(storage, names=[f"pool-{name}"]))), mode)


def ready_for_zfs(host: Host) -> None:
    """Leave a host ready to run zfs-fuse, once that is installed."""
    host.console(
        f"install -d /etc/zfs /etc/systemd/system/zfs-fuse.service.d {DISKS}; "
        f"printf %s {shlex.quote(_DAEMON)} >/etc/systemd/system/zfs-fuse.service.d/bed.conf; "
        f"printf %s {shlex.quote(_SETTINGS)} >/etc/zfs/zfsrc; "
        "systemctl daemon-reload"
    )


@contextmanager
def prepare_storage(bed: Bed, folder: Path, secrets: Mapping[str, str] | None = None) -> Generator[StorageHosts]:
    """Yield a bed's hosts with a mirror in `folder` that has their packages, ready to run zfs-fuse once installed."""
    folder.mkdir(parents=True, exist_ok=True)
    key = add_packages(folder, print)
    for host in bed.hosts:
        ready_for_zfs(host)
    with Mirror(folder, listen=(bed.address, 0)) as mirror:
        yield StorageHosts(bed, mirror, key, secrets or {})


def destroy_pools(host: Host) -> None:
    """Leave a host without pools, disks and what steps remember of them: what no step would ever do."""
    host.console(
        "for pool in $(zpool list -H -o name); do "
        "for _ in 1 2 3 4 5 6 7 8; do zpool destroy $pool && break; sleep 0.5; done; rmdir /$pool 2>/dev/null; done; "
        "rm -rf /disks/* /var/lib/research-compute/markers/pool-* /etc/research-compute/zfs; "
        "for unit in /etc/systemd/system/research-compute-zfs-scrub-*.timer; do [ -e $unit ] || continue; "
        "systemctl disable -q --now ${unit##*/}; rm $unit; done; systemctl daemon-reload"
    )


def disk(name: str) -> str:
    """Return the path of a file that is a disk."""
    return f"{DISKS}/{name}"


def lay_disks(host: Host, *names: str, size: int = DISK_BYTES) -> list[str]:
    """Leave empty disks of these names on a host, each of `size` bytes, whatever was there; return their paths."""
    paths = [disk(name) for name in names]
    host.console(f"install -d {DISKS}; rm -f {' '.join(paths)}; truncate -s {size} {' '.join(paths)}")
    return paths


def pool(kind: str, *groups: Sequence[str], **keys: object) -> dict[str, object]:
    """Return a pool's section: groups of disks of one kind."""
    return {"data": [{"kind": kind, "disks": list(disks)} for disks in groups], **keys}


def zfs_values(section: Mapping[str, object]) -> dict[str, object]:
    """Return a pool's section with what zfs-fuse needs laid beneath its own properties."""
    given = json.loads(json.dumps(dict(section)))
    given["properties"] = {**ZFS_FUSE, **given.get("properties", {})}
    given["poolProperties"] = {**ZFS_FUSE_POOL, **given.get("poolProperties", {})}
    return given
