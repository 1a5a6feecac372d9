"""The disk every host begins with: a Debian server as its installer leaves it, and nothing of ours.

Made once by `debootstrap` from the archive this machine's own apt uses, kept in the cache of tools under a key of
everything it is made from, and copied for each host. It is one ext4 file system in a sparse file, so that a host has a
disk of its own: with its own free space, its own failures, and what containerd's overlayfs needs.
"""

import hashlib
import os
import tempfile
from pathlib import Path

from bed_commands import call, succeeds
from bed_machine import MAKING_HOSTS, require_on_machine

from labctl.control_plane.cache import cache_directory, exclusive_lock
from labctl.control_plane.progress import Progress, silent

__all__ = ["DISK_GIBIBYTES", "LOGIN", "SUDO_PASSWORD", "base_disk"]

RELEASE = "bookworm"
"""Debian 12: what the lab's hosts run."""

LOGIN = "ubuntu"
"""The user a host is administered by: by key, with sudo; root cannot log in."""

SUDO_PASSWORD = "correct horse"
"""What sudo asks `LOGIN` for on a host told to `require_sudo_password`."""

DISK_GIBIBYTES = 12
"""A host's disk: images and etcd of a control plane take about 3 GiB; the file is sparse."""

PACKAGES = (
    "apt-utils",
    "ca-certificates",
    "cron",
    "dbus",
    "iproute2",
    "iputils-ping",
    "kmod",
    "less",
    "libpam-systemd",
    "logrotate",
    "netbase",
    "nftables",
    "openssh-server",
    "procps",
    "python3",
    "sudo",
    "systemd",
    "systemd-sysv",
    "systemd-timesyncd",
)
"""What an installed Debian 12 server has beyond its essential packages, as far as it matters here. No udev: it would
drive this machine's own devices. Python is what Ansible needs."""

SILENCED_UNITS = ("apt-daily.timer", "apt-daily-upgrade.timer", "console-getty.service", "systemd-udevd.service")
"""Timers that would take apt's lock at a moment of their own, and what has no device here."""

CGROUP_UNIT = """[Unit]
Description=Writable control groups, as on a machine of its own
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'for c in /sys/fs/cgroup/*/; do mountpoint -q $c && mount -o remount,bind,rw $c; done; true'
[Install]
WantedBy=sysinit.target
"""
"""systemd-nspawn mounts the controllers of the old layout read-only; the groups below them are the host's alone."""

CONTAINERD_SETTINGS = """version = 3
[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  restrict_oom_score_adj = true
"""
"""What the hosts' administrator has written already: there is no AppArmor here, and lowering a process's OOM score
takes a capability (CAP_SYS_RESOURCE) that this machine may not have to give."""

KERNEL_FEATURES = ("overlay", "br_netfilter", "bridge", "veth", "vxlan", "nf_conntrack", "nf_tables", "ip_vs", "dummy")
"""Offered as built into the kernel to a host's modprobe where this machine's kernel comes without module files."""

SSHD_SETTINGS = """HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin no
PasswordAuthentication no
UseDNS no
"""

PREPARE = f"""set -e
useradd --create-home --shell /bin/bash --uid 1000 --groups sudo,adm {LOGIN}
echo '{LOGIN}:{SUDO_PASSWORD}' | chpasswd
passwd --lock root >/dev/null
echo '{LOGIN} ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/90-{LOGIN}
chmod 440 /etc/sudoers.d/90-{LOGIN}
install -d -m 700 -o {LOGIN} -g {LOGIN} /home/{LOGIN}/.ssh
rm -f /etc/ssh/ssh_host_*
systemctl --quiet enable bed-cgroups.service ssh.service
systemctl --quiet mask {" ".join(SILENCED_UNITS)}
depmod {os.uname().release}
"""
"""Run in the tree once its packages are there."""


def base_disk(progress: Progress = silent) -> Path:
    """Return the disk image every host's disk is a copy of; made now (a minute and a half) if it is not in the cache.

    Raises
    ------
    MachineUnfitError
        This machine cannot make it.
    CommandFailedError
        Debian's archive could not be read, or a step failed.
    """
    require_on_machine(MAKING_HOSTS, progress)
    texts = (CGROUP_UNIT, CONTAINERD_SETTINGS, SSHD_SETTINGS, PREPARE, RELEASE, str(DISK_GIBIBYTES))
    recipe = "\0".join((*texts, *PACKAGES, *SILENCED_UNITS, *KERNEL_FEATURES))
    folder = cache_directory() / "hosts" / hashlib.sha256(recipe.encode()).hexdigest()[:16]
    disk = folder / "base.ext4"
    with exclusive_lock(folder.with_suffix(".lock"), progress=progress, waiting_for="making the hosts' base disk"):
        if not disk.exists():
            progress("making the disk of a fresh Debian server")
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix="tree-") as scratch:
                _make_disk(Path(scratch) / "root", folder / ".base.ext4.partial")
            (folder / ".base.ext4.partial").replace(disk)
    return disk


def archive() -> str:
    """Return the Debian archive this machine's own apt reads; Debian's default if it reads none for `RELEASE`."""
    listed = call("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages")
    for line in listed.splitlines():
        address, _, codename = line.rpartition(" ")
        if codename == RELEASE:
            return address
    return ""


def _make_disk(tree: Path, disk: Path) -> None:
    source = [address] if (address := archive()) else []
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", RELEASE, str(tree), *source]
    call(*command, seconds=900)
    _write(tree / "etc/systemd/system/bed-cgroups.service", CGROUP_UNIT)
    _write(tree / "etc/ssh/sshd_config.d/10-server.conf", SSHD_SETTINGS)
    _write(tree / "etc/containerd/conf.d/10-machine.toml", CONTAINERD_SETTINGS)
    _write(tree / "etc/default/locale", "LANG=C.UTF-8\n")
    _write(tree / "etc/resolv.conf", "")
    modules = tree / "lib/modules" / os.uname().release
    _write(modules / "modules.builtin", "".join(f"kernel/{name}.ko\n" for name in KERNEL_FEATURES))
    _write(modules / "modules.order", "")
    call("chroot", str(tree), "sh", "-c", PREPARE)
    _write(tree / "etc/machine-id", "")
    for folder in ("var/cache/apt/archives", "var/lib/apt/lists", "tmp"):
        for path in (tree / folder).glob("*"):
            if path.is_file():
                path.unlink()
    disk.unlink(missing_ok=True)
    # No blocks kept for root: a full disk is full for everybody. The tables are written when first used.
    lazily = "lazy_itable_init=1,lazy_journal_init=1"
    call("mkfs.ext4", "-q", "-F", "-m", "0", "-E", lazily, "-d", str(tree), str(disk), f"{DISK_GIBIBYTES}G")
    succeeds("sync", "-f", str(disk))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
