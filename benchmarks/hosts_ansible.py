"""Ansible doing what our steps of preparation do: installed beside the project, never part of it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from components.nodes.kubernetes_plan import kubernetes_steps
from components.nodes.runtime_plan import EVERY_OTHER, registry_hosts, runtime_steps
from components.nodes.system_plan import system_steps
from components.pins import Architecture
from labctl.control_plane.cache import cache_directory, exclusive_lock, platform_names

from .measure import ROOT, stopwatch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from components.nodes.steps import ScriptValue

    from .hosts_bed import Site

__all__ = ["Ansible", "Played", "install_ansible"]

VERSION = "2.19.14"
"""Of ansible-core: the last one for Python 3.11 (PyPI, November 2026)."""
PLAYBOOK = ROOT / "benchmarks" / "ansible" / "prepare.yml"
PROGRAMS = "/opt/research-compute"
RECAP = re.compile(r"^(\S+) +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE)
CAP_SYS_TIME = 25
"""Number of the capability to set the clock (capability.h)."""
SECONDS = 540
"""For one run of a playbook, on a busy machine."""
CONFIGURATION = """[defaults]
forks = {forks}
host_key_checking = true
interpreter_python = /usr/bin/python3
retry_files_enabled = false
inventory = {folder}/hosts.json
local_tmp = {folder}/local
[privilege_escalation]
become_method = sudo
[ssh_connection]
pipelining = true
control_path_dir = {folder}/control
ssh_args = -F none -C -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile={known_hosts}
"""
"""What its own manual recommends for speed: pipelining, a fork for every host, connections that are kept."""


@dataclass(frozen=True)
class Played:
    """What a run of the playbook came to."""

    seconds: float
    changed: int
    """Tasks that changed, or would change, something; of all hosts together."""
    tasks: int
    """Tasks done, of all hosts together."""


@dataclass(frozen=True)
class Ansible:
    """Ansible, and the hosts it is let loose on."""

    programs: Path
    folder: Path
    """For its inventory and its settings; short, since the names of its sockets begin with it."""

    def aim_at(self, site: Site) -> None:
        """Leave an inventory of the site's hosts, with the very values our steps are given."""
        hosts = {
            host.name: {
                "ansible_host": host.address,
                "ansible_user": "ubuntu",
                "ansible_ssh_private_key_file": str(site.bed.access.key),
                **_values(site, host.name),
            }
            for host in site.bed.hosts
        }
        (self.folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}, indent=1), encoding="utf-8")
        configuration = CONFIGURATION.format(
            forks=len(hosts), folder=self.folder, known_hosts=site.bed.access.known_hosts
        )
        (self.folder / "ansible.cfg").write_text(configuration, encoding="utf-8")

    def play(self, *arguments: str) -> Played:
        """Run the playbook to its end, from new connections, and return what it came to; it must not fail."""
        command = [str(self.programs / "ansible-playbook"), *arguments, str(PLAYBOOK)]
        environment = {
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PATH": f"{self.programs}:{os.environ['PATH']}",
        }
        try:
            with stopwatch() as watch:
                ended = subprocess.run(  # noqa: S603 - the playbook is ours
                    command, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
                )
        finally:
            self._hang_up()
        assert ended.returncode == 0, f"{shlex.join(command)}:\n{ended.stdout[-6000:]}{ended.stderr[-3000:]}"
        recap = RECAP.findall(ended.stdout)
        return Played(watch.seconds, sum(int(line[2]) for line in recap), sum(int(line[1]) for line in recap))

    def _hang_up(self) -> None:
        """End the connections that are kept for a next run: each of ours begins without any, too."""
        for socket in (self.folder / "control").glob("*"):
            subprocess.run(  # noqa: S603 - our own connections
                ["ssh", "-F", "none", "-O", "exit", "-o", f"ControlPath={socket}", "any"],  # noqa: S607 - the person's own
                capture_output=True,
                check=False,
                timeout=20,
            )


def install_ansible(folder: Path) -> Ansible:
    """Return Ansible in an environment of its own in the cache of tools, installed by uv if it is not there.

    Parameters
    ----------
    folder
        For the settings of its runs.
    """
    place = cache_directory() / "benchmarks" / f"ansible-core-{VERSION}"
    uv = ROOT / ".venv" / "bin" / "uv"
    program = str(uv) if uv.exists() else "uv"
    with exclusive_lock(place.with_name(f"{place.name}.lock"), progress=print, waiting_for="installing Ansible"):
        if not (place / "bin" / "ansible-playbook").exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            python = str(ROOT / ".venv" / "bin" / "python")
            wanted = f"ansible-core=={VERSION}"
            into = str(place / "bin" / "python")
            for arguments in (
                ["venv", "--clear", "--python", python, str(place)],
                ["pip", "install", "--compile-bytecode", "--python", into, wanted],
            ):
                subprocess.run([program, "--quiet", *arguments], check=True)  # noqa: S603 - the project's own tool
    return Ansible(place / "bin", folder)


def _values(site: Site, name: str) -> dict[str, object]:
    """Return a host's variables: what our own steps of it are given, under Ansible's customary names."""
    config, settings = site.config(), site.settings()
    planned: dict[str, ScriptValue] = {}
    for steps in (system_steps(config, settings), runtime_steps(config, settings), kubernetes_steps(config, settings)):
        planned |= next(step.values for step in steps if step.host == name)
    taken = (
        "ADDRESS",
        "APT_CONF",
        "APT_PREFERENCES",
        "AUTOMATIC_UPDATES",
        "CONTAINERD_CONF",
        "HOSTNAME_WANTED",
        "IMAGES",
        "JOURNALD_CONF",
        "KUBELET_SETTINGS",
        "KUBERNETES_VERSION",
        "MODULES",
        "PACKAGES",
        "SYSCTL_CONF",
    )
    pinned = {name: _pinned(site, name) for name in settings.pins.host_files if name in site.pins.host_files}
    return {
        **{key.lower(): planned[key] for key in taken},
        "clock_is_ours": _sets_its_clock(site, name),
        "etcd_links": _etcd_links(pinned["etcd"]),
        "etcd_wanted": bool(planned["ETCD"]),
        "links": _links(site, pinned),
        "mirror_apt_key": site.apt_key,
        "mirror_url": site.mirror.url,
        "pinned": pinned,
        "registry_hosts": registry_hosts(config)[EVERY_OTHER],
    }


def _sets_its_clock(site: Site, name: str) -> bool:
    """Return whether a host may set its clock: where it may not, chrony's unit passes over itself."""
    host = next(host for host in site.bed.hosts if host.name == name)
    allowed = int(host.console("sed -n 's/^CapBnd:[[:space:]]*//p' /proc/1/status"), 16)
    return bool(allowed >> CAP_SYS_TIME & 1)


def _pinned(site: Site, name: str) -> dict[str, str]:
    """Return a pinned file: what it is, where the mirror has it, and the folder our steps would unpack it in."""
    pin = site.pins.host_files[name]
    architecture = Architecture(platform_names()[1])
    digest = str(pin.sha256[architecture])
    address = pin.address(architecture)
    place = site.mirror.folder / "files" / urlsplit(address).netloc / urlsplit(address).path.lstrip("/")
    members = _members(place) if place.name.endswith("gz") else []
    return {
        "version": pin.version,
        "url": f"{site.mirror.url}/files/{address.removeprefix('https://')}",
        "sha256": digest,
        "folder": f"{pin.version}-{digest[:12]}",
        "first": members[0] if members else "",
        "members": " ".join(members),
        "top": address.rpartition("/")[2].removesuffix(".tar.gz"),
    }


def _members(archive: Path) -> list[str]:
    with tarfile.open(archive) as packed:
        return [member.name for member in packed if member.isfile()]


def _links(site: Site, pinned: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return every link by its path: which version is used, and what is found on the path."""
    kubernetes = f"{PROGRAMS}/kubernetes/{site.pins.kubernetes}"
    current = {
        f"{PROGRAMS}/{name}/current": f"{PROGRAMS}/{name}/{pinned[name]['folder']}"
        for name in ("cni-plugins", "containerd")
    }
    return {
        **current,
        "/usr/local/sbin/runc": f"{PROGRAMS}/runc/{pinned['runc']['version']}/runc",
        **{
            f"/opt/cni/bin/{plugin}": f"{PROGRAMS}/cni-plugins/current/{plugin}"
            for plugin in pinned["cni-plugins"]["members"].split()
        },
        **{
            f"/usr/local/{program}": f"{PROGRAMS}/containerd/current/{program}"
            for program in pinned["containerd"]["members"].split()
        },
        **{f"/usr/local/bin/{program}": f"{kubernetes}/{program}" for program in ("kubeadm", "kubectl", "kubelet")},
    }


def _etcd_links(etcd: Mapping[str, str]) -> dict[str, str]:
    """Return the links to etcd's programs, which control-plane hosts have."""
    links = {f"{PROGRAMS}/etcd/current": f"{PROGRAMS}/etcd/{etcd['folder']}"}
    for program in ("etcdctl", "etcdutl"):
        links[f"/usr/local/bin/{program}"] = f"{PROGRAMS}/etcd/current/{etcd['top']}/{program}"
    return links
