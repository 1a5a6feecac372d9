"""What a prepared host has, so that two ways of preparing one can be held against each other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from bed import Host

    from .hosts_bed import Site

__all__ = ["differences", "states"]

PROGRAM = r"""
import hashlib, json, os, re, subprocess, sys
given = json.loads(sys.argv[1])
def run(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.split("\n")
def plain(data):
    for name, own in given["names"].items():
        data = data.replace(own.encode(), name.encode())
    return data
found = {}
for top in given["folders"]:
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in given["passed_over"]]
        for name in [*files, *(name for name in folders if os.path.islink(os.path.join(folder, name)))]:
            path = os.path.join(folder, name)
            if path in given["passed_over"]:
                continue
            if os.path.islink(path):
                found["link " + path] = os.readlink(path)
            elif os.path.isfile(path):
                status = os.stat(path)
                with open(path, "rb") as file:
                    digest = hashlib.sha256(plain(file.read())).hexdigest()
                found["file " + path] = f"{status.st_mode:o} {status.st_uid}:{status.st_gid} {digest}"
for line in run("dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Status}\n"):
    if line:
        name, _, rest = line.partition(" ")
        found["package " + name] = rest
for key in given["sysctls"]:
    with open("/proc/sys/" + key.replace(".", "/")) as file:
        found["sysctl " + key] = " ".join(file.read().split())
for unit in given["units"]:
    found["unit " + unit] = " ".join(run("systemctl", "is-enabled", unit)[:1] + run("systemctl", "is-active", unit)[:1])
for image in run("/usr/local/bin/ctr", "--namespace", "k8s.io", "images", "list", "--quiet"):
    if image:
        found["image " + image] = "there"
print(json.dumps(found))
"""
"""Run by a host's own Python: every file that either may have touched, packages, kernel parameters, units, images."""
FOLDERS = ("/etc", "/opt", "/usr/local", "/usr/lib/systemd")
PASSED_OVER = (
    "/etc/.pwd.lock",
    "/etc/apt/keyrings",
    "/etc/apt/sources.list",
    "/etc/ld.so.cache",
    "/etc/machine-id",
    "/etc/ssh",
    "/etc/ssl/certs",
    "/usr/local/lib/research-compute",
)
"""Where the two differ by their nature: our scripts, Ansible's package source; and what is each host's own, or in an
order of its own (the bundle of certificates)."""
UNITS = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "chrony.service",
    "containerd.service",
    "kubelet.service",
    "systemd-journald.service",
)


def states(site: Site) -> list[dict[str, str]]:
    """Return what each host has, in order: by kind and name, with the host's own name and addresses taken out."""
    return [_state(site, host) for host in site.bed.hosts]


def _state(site: Site, host: Host) -> dict[str, str]:
    given = {
        "folders": FOLDERS,
        "names": {
            "THE-MIRROR": site.mirror.url,
            "THE-HOST": host.name,
            "THE-ADDRESS": host.address,
            "THE-NETWORK": site.bed.address.rpartition(".")[0],
            "THE-BED": host.name.partition("-")[0],
        },
        "passed_over": PASSED_OVER,
        "sysctls": ("net.ipv4.ip_forward", "fs.inotify.max_user_instances", "fs.inotify.max_user_watches"),
        "units": UNITS,
    }
    arguments = json.dumps(given).replace("'", "")
    said = host.run(f"python3 - '{arguments}'", sudo=True, text=PROGRAM, check=True)
    return cast("dict[str, str]", json.loads(said))


def differences(ours: dict[str, str], theirs: dict[str, str]) -> list[str]:
    """Return everything in which two hosts differ, a line each; empty where both came to the same."""
    return [
        f"{name}: ours {ours.get(name, 'none')}, Ansible's {theirs.get(name, 'none')}"
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]
