"""What this machine needs to carry hosts and to build what they run; Debian packages that it lacks are installed."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from bed_commands import call
from bed_errors import MachineUnfitError

from labctl.control_plane.progress import Progress, silent

__all__ = ["BUILDING_RUNC", "MAKING_HOSTS", "TESTING", "require_on_machine"]

MAKING_HOSTS = {
    "bridge": "iproute2",
    "debootstrap": "debootstrap",
    "mkfs.ext4": "e2fsprogs",
    "nsenter": "util-linux",
    "ping": "iputils-ping",
    "ssh": "openssh-client",
    "systemd-nspawn": "systemd-container",
}
"""Programs (or files) by the Debian package that has each."""

TESTING = {
    "/usr/sbin/nft": "nftables",
    "/usr/sbin/sshd": "openssh-server",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
    "gpg": "gnupg",
}
"""What tests call beside: the rules of a firewall are parsed, an sshd is started on the loopback, packages signed."""

BUILDING_RUNC = {
    "/usr/include/seccomp.h": "libseccomp-dev",
    "/usr/include/stdlib.h": "libc6-dev",
    "gcc": "gcc",
    "pkg-config": "pkg-config",
}
"""For the one program with parts in C."""


def require_on_machine(needed: Mapping[str, str], progress: Progress = silent) -> None:
    """Return once every program or file in `needed` is on this machine, its package installed if it was not.

    Raises
    ------
    MachineUnfitError
        Not root, or something is missing and this is no Debian.
    """
    if os.geteuid() != 0:
        raise MachineUnfitError(reason="root is needed")
    missing = sorted({package for what, package in needed.items() if not _is_here(what)})
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise MachineUnfitError(reason=f"install the packages that Debian calls {', '.join(missing)}")
    progress(f"installing {', '.join(missing)}")
    # In run level 1 no package starts its service: nothing is to listen here because of a test.
    unattended = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    call("apt-get", "update", seconds=300)
    call("apt-get", "install", "--yes", "--no-install-recommends", *missing, seconds=600, extra=unattended)


def _is_here(what: str) -> bool:
    return Path(what).exists() if what.startswith("/") else shutil.which(what) is not None
