"""The packages hosts install, as a bundle has them: all that any step asks for, and all that those depend on."""

import hashlib
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bed_bundle import link_or_copy

from components.nodes.system_plan import (
    BACKUP_PACKAGES,
    ENDPOINT_PACKAGES,
    RAID_PACKAGES,
    SYSTEM_PACKAGES,
    UPDATE_PACKAGES,
)
from labctl.bundle.distributions import Distribution
from labctl.bundle.downloads import Client, Download
from labctl.bundle.packages import PackageRequest, resolve
from labctl.bundle.repository import Signer, write_repository
from labctl.control_plane.cache import cache_directory, exclusive_lock
from labctl.control_plane.progress import Progress, silent

__all__ = ["add_packages"]

DOWNLOADS_AT_ONCE = 8
STORAGE_PACKAGES = (
    "acl",
    "libnfs-utils",
    "lzop",
    "mbuffer",
    "nfs-ganesha",
    "nfs-ganesha-vfs",
    "nfs-kernel-server",
    "pv",
    "rpcbind",
    "sanoid",
    "zfs-fuse",
)
"""What storage hosts install here, where the kernel has neither ZFS nor NFS, and what reads their exports."""


def add_packages(bundle: Path, progress: Progress = silent) -> str:
    """Leave `bundle` with a folder ``apt`` that hosts of the bed can install from; return the key it is signed with.

    Raises
    ------
    BundleError
        Debian's archive could not be read, or this machine lacks a program for it.
    """
    every = (SYSTEM_PACKAGES, UPDATE_PACKAGES, RAID_PACKAGES, ENDPOINT_PACKAGES, BACKUP_PACKAGES, STORAGE_PACKAGES)
    names = tuple(sorted({name for names in every for name in names}))
    digest = hashlib.sha256(" ".join(names).encode()).hexdigest()[:16]
    place = cache_directory() / "hosts" / f"packages-{digest}"
    with exclusive_lock(place.with_name(f"{place.name}.lock"), progress=progress, waiting_for="fetching packages"):
        if not place.exists():
            progress(f"fetching {len(names)} packages and what they depend on")
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=place.parent, prefix=".packages-") as scratch:
                _make(Path(scratch), names)
                (Path(scratch) / "apt").rename(place)
    shutil.copytree(place, bundle / "apt", copy_function=link_or_copy)
    return (bundle / "apt" / "key.asc").read_text(encoding="utf-8")


def _make(scratch: Path, names: tuple[str, ...]) -> None:
    request = PackageRequest(distribution=Distribution.BOOKWORM, architecture="amd64", names=names)
    closure = resolve(request, scratch / "resolving")
    folder = scratch / "apt" / Distribution.BOOKWORM
    folder.mkdir(parents=True)
    client = Client(parallel=DOWNLOADS_AT_ONCE)
    wanted = [
        Download(url=package.url, path=folder / package.file_name, sha256=package.sha256, size=package.size)
        for package in closure.packages
    ]
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        list(pool.map(client.fetch, wanted))
    client.close()
    write_repository(
        folder,
        closure.packages,
        codename=Distribution.BOOKWORM,
        dates=closure.dates,
        signer=Signer(scratch / "signing"),
    )
