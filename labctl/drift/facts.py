"""What a host says of itself beside its steps: a pure parser, and what in it somebody should look at."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from components.gpu.driver_facts import GpuFacts, gpu_warnings, parse_gpu_facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "CLOCK",
    "EXPIRY_WARNING",
    "BackupRun",
    "Certificate",
    "Clock",
    "Disk",
    "HostFacts",
    "Pool",
    "parse_facts",
    "upkeep_warnings",
    "warnings",
]

EXPIRY_WARNING: Final = timedelta(days=30)
"""Before a certificate ends it is warned of: kubeadm's hold a year, and renewing takes planning."""
FREE_WARNING: Final = 0.10
"""Share of a file system: the kubelet evicts pods below 10 % (``evictionHard``: ``nodefs.available``)."""
DISK_FIELDS: Final = 5
"""Path, bytes, free bytes, inodes, free inodes."""
POOL_FIELDS: Final = 3
"""Name, health, used percent."""
BACKUP_FIELDS: Final = 3
"""Unit, time of the last success, seconds between two."""
CLOCK: Final = "clock\t"
"""How the line with a host's clock begins: when it arrives is what that is compared with."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """One certificate on a host."""

    path: str
    """File that holds it, a kubeconfig for one inside such a file."""
    expires: datetime | None
    """None where the file is no certificate."""


@dataclass(frozen=True, kw_only=True)
class Disk:
    """Room in the file system behind a folder."""

    path: str
    total_bytes: int
    free_bytes: int
    total_inodes: int
    """0 on file systems that make inodes as they need them."""
    free_inodes: int


@dataclass(frozen=True, kw_only=True)
class Clock:
    """A host's clock."""

    time: datetime
    """What it said."""
    is_synchronised: bool | None
    """Whether the host says that it follows a time server; None where it does not say."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """One ZFS pool."""

    name: str
    health: str
    """``ONLINE``, ``DEGRADED`` and so on (zpoolconcepts(7))."""
    used_percent: int


@dataclass(frozen=True, kw_only=True)
class BackupRun:
    """One backup that a host makes on a timer."""

    unit: str
    """Name of its systemd unit."""
    succeeded: datetime | None
    """Its last success; None: not on this host, yet."""
    interval_seconds: int | None
    """Between two by its schedule; None where systemd cannot tell."""


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """A host as it was when it was asked; what it does not have is None or empty."""

    kernel: str | None = None
    booted: datetime | None = None
    distribution: str | None = None
    containerd: str | None = None
    kubelet: str | None = None
    is_reboot_required: bool = False
    reboot_packages: tuple[str, ...] = ()
    """What an installed update of waits for the reboot."""
    certificates: tuple[Certificate, ...] = ()
    disks: tuple[Disk, ...] = ()
    gpus: GpuFacts | None = None
    clock: Clock | None = None
    pools: tuple[Pool, ...] = ()
    backups: tuple[BackupRun, ...] = ()


def parse_facts(text: str) -> HostFacts:
    """Return the facts in what the hosts' scripts print (``facts.sh``); lines nobody here knows are passed over."""
    plain: dict[str, str] = {}
    gpu_lines: list[Sequence[str]] = []
    certificates: list[Certificate] = []
    disks: list[Disk] = []
    pools: list[Pool] = []
    backups: list[BackupRun] = []
    clock: Clock | None = None
    reboot: tuple[str, ...] | None = None
    for line in text.splitlines():
        name, *fields = line.split("\t")
        match name:
            case "certificate" if fields:
                certificates.append(Certificate(path=fields[0], expires=_expiry(fields[1:])))
            case "disk":
                disks += _disk(fields)
            case "pool":
                pools += _pool(fields)
            case "backup":
                backups += _backup(fields)
            case "clock":
                clock = _clock(fields)
            case "reboot-required":
                reboot = tuple(sorted({field for field in fields if field}))
            case "kernel" | "booted" | "distribution" | "containerd" | "kubelet" if fields and fields[0]:
                plain[name] = fields[0]
            case _ if name.startswith("gpu-"):
                gpu_lines.append((name, *fields))
            case _:
                pass
    return HostFacts(
        kernel=plain.get("kernel"),
        booted=_moment(plain.get("booted", "")),
        distribution=plain.get("distribution"),
        containerd=plain.get("containerd"),
        kubelet=plain.get("kubelet"),
        is_reboot_required=reboot is not None,
        reboot_packages=reboot or (),
        certificates=tuple(certificates),
        disks=tuple(disks),
        gpus=parse_gpu_facts(gpu_lines),
        clock=clock,
        pools=tuple(pools),
        backups=tuple(backups),
    )


def warnings(facts: HostFacts, now: datetime) -> tuple[str, ...]:
    """Return what in `facts` somebody should see to, each in words: a reboot, certificates, disks, GPUs."""
    return (*_reboot_warnings(facts), *_certificate_warnings(facts, now), *_room_and_gpu_warnings(facts))


def upkeep_warnings(facts: HostFacts) -> tuple[str, ...]:
    """Return the same without the certificates."""
    return (*_reboot_warnings(facts), *_room_and_gpu_warnings(facts))


def _room_and_gpu_warnings(facts: HostFacts) -> Iterator[str]:
    yield from _disk_warnings(facts)
    yield from () if facts.gpus is None else gpu_warnings(facts.gpus)


def _reboot_warnings(facts: HostFacts) -> Iterator[str]:
    if facts.is_reboot_required:
        yield "needs a reboot" + (f" for {', '.join(facts.reboot_packages)}" if facts.reboot_packages else "")


def _certificate_warnings(facts: HostFacts, now: datetime) -> Iterator[str]:
    for certificate in facts.certificates:
        if certificate.expires is None:
            yield f"{certificate.path} holds no certificate that can be read"
        elif certificate.expires <= now:
            yield f"{certificate.path} expired on {certificate.expires:%Y-%m-%d}"
        elif certificate.expires - now < EXPIRY_WARNING:
            yield f"{certificate.path} expires in {(certificate.expires - now).days} days"


def _disk_warnings(facts: HostFacts) -> Iterator[str]:
    for disk in facts.disks:
        for what, free, total in (
            ("space", disk.free_bytes, disk.total_bytes),
            ("inodes", disk.free_inodes, disk.total_inodes),
        ):
            if total and free / total < FREE_WARNING:
                yield f"{disk.path}: {free / total:.1%} of its {what} free"


def _expiry(fields: Sequence[str]) -> datetime | None:
    """Return the moment in ``Sep 30 10:00:00 2026 GMT``, as OpenSSL writes it."""
    try:
        return datetime.fromtimestamp(ssl.cert_time_to_seconds(fields[0]), UTC)
    except (IndexError, ValueError):
        return None


def _moment(seconds: str) -> datetime | None:
    return datetime.fromtimestamp(int(seconds), UTC) if _is_number(seconds) else None


def _disk(fields: Sequence[str]) -> Iterator[Disk]:
    """Yield the file system in the fields of a ``disk`` line; inodes that are not counted are ``-``."""
    if len(fields) != DISK_FIELDS or not all(_is_number(field) for field in fields[1:3]):
        return
    total, free, inodes, free_inodes = (int(field) if _is_number(field) else 0 for field in fields[1:])
    yield Disk(path=fields[0], total_bytes=total, free_bytes=free, total_inodes=inodes, free_inodes=free_inodes)


def _pool(fields: Sequence[str]) -> Iterator[Pool]:
    if len(fields) == POOL_FIELDS and _is_number(fields[2]):
        yield Pool(name=fields[0], health=fields[1], used_percent=int(fields[2]))


def _backup(fields: Sequence[str]) -> Iterator[BackupRun]:
    if len(fields) == BACKUP_FIELDS:
        interval = int(fields[2]) if _is_number(fields[2]) else None
        yield BackupRun(unit=fields[0], succeeded=_moment(fields[1]), interval_seconds=interval)


def _clock(fields: Sequence[str]) -> Clock | None:
    """Return the clock in ``1763880000.123456789`` and ``yes`` or ``no``; None where it is none."""
    seconds, _, rest = (fields[0] if fields else "").partition(".")
    moment = _moment(seconds)
    if moment is None:
        return None
    part = int(rest[:6].ljust(6, "0")) if _is_number(rest[:6]) else 0
    said = fields[1] if len(fields) > 1 else ""
    return Clock(time=moment.replace(microsecond=part), is_synchronised={"yes": True, "no": False}.get(said))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < len(str(2**63))
