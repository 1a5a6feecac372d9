"""Hosts that have just been installed and booted, and a mirror with all they need: the tests' own bed."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING

from bed import Bed
from bed_bundle import make_bundle
from bed_packages import add_packages
from hosts_lab import KUBELET

from components.networks import Networks
from components.nodes.config import NodesConfig
from components.nodes.settings import ClusterSettings
from labctl.bundle.mirror import Mirror
from stacks.environments import EnvironmentName
from stacks.pins import load_pins

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from bed import Host

    from components.pins import Pins

__all__ = ["Site", "Store", "Visits", "stock"]

PODS, SERVICES = "10.244.0.0/16", "10.96.0.0/16"
WITH_PYTHON_APT = """set -e
list=$(mktemp -d)
printf 'deb [trusted=yes] {url}/apt/bookworm ./\\n' >"$list/list"
mkdir -p "$list/lists/partial"
export DEBIAN_FRONTEND=noninteractive
for verb in update 'install --yes --no-install-recommends python3-apt'; do
    apt-get -qq -o Dir::Etc::SourceList="$list/list" -o Dir::Etc::SourceParts=/dev/null -o APT::Sandbox::User=root \\
        -o Dir::State::Lists="$list/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= $verb
done
rm -r "$list"
"""
"""Ansible's module for packages needs Python's binding of apt, and would install it first."""


@dataclass(frozen=True)
class Visits:
    """What a host has seen of SSH since it booted."""

    logins: int
    commands: int
    """Run as root, through sudo."""

    def __sub__(self, before: Visits) -> Visits:
        return Visits(self.logins - before.logins, self.commands - before.commands)


@dataclass(frozen=True)
class Site:
    """Bare hosts, switched on, and their mirror."""

    bed: Bed
    mirror: Mirror
    pins: Pins

    @property
    def apt_key(self) -> str:
        """Return the key the mirror's packages are signed with."""
        return (self.mirror.folder / "apt" / "key.asc").read_text(encoding="utf-8")

    @property
    def roles(self) -> dict[str, list[str]]:
        """Return what each host is to be: the first a control plane, the others workers."""
        return {host.name: ["worker"] if index else ["control-plane"] for index, host in enumerate(self.bed.hosts)}

    def section(self) -> dict[str, object]:
        """Return the ``nodes`` section of a stack file with these hosts."""
        return {
            "ssh": {"user": "ubuntu", "privateKey": {"secret": "sshPrivateKey"}},
            "system": {"securityUpdates": "manual"},
            "kubelet": {"settings": KUBELET},
            "mirror": {"url": self.mirror.url, "aptKey": self.apt_key},
            "hosts": {
                host.name: {
                    "address": host.address,
                    "roles": self.roles[host.name],
                    "hostKey": host.host_key,
                    "hardware": {"cpus": 2, "memory": "8Gi", "ephemeralStorage": "10G"},
                }
                for host in self.bed.hosts
            },
        }

    def config(self) -> NodesConfig:
        """Return the same, validated."""
        return NodesConfig.model_validate(self.section(), by_alias=True)

    def settings(self) -> ClusterSettings:
        """Return the cluster the hosts are prepared for."""
        return ClusterSettings(
            name="bed",
            hosts=Networks(ip_network(f"{self.bed.address}/24", strict=False)),
            pods=Networks.of(PODS),
            services=Networks.of(SERVICES),
            domain="cluster.local",
            pins=self.pins,
        )

    def give_python_apt(self) -> None:
        """Leave every host with what Ansible's module for packages needs, so that nobody is timed installing it."""
        for host in self.bed.hosts:
            host.run("sh -s", sudo=True, text=WITH_PYTHON_APT.format(url=self.mirror.url), check=True)

    def visits(self) -> dict[str, Visits]:
        """Return by host what it has seen of SSH."""
        return {host.name: _visits(host) for host in self.bed.hosts}


def _visits(host: Host) -> Visits:
    def count(pattern: str) -> int:
        return int(host.console(f"journalctl --no-pager | grep -c '{pattern}' || true").strip())

    return Visits(count("sshd.*Accepted publickey"), count("sudo.*COMMAND="))


@dataclass(frozen=True)
class Store:
    """What mirrors serve: made once, and read by every host from the same memory."""

    folder: Path
    pins: Pins

    @contextmanager
    def site(self, count: int) -> Generator[Site]:
        """Yield so many bare hosts, booted, and their mirror; both are gone afterwards."""
        with Bed.start(count) as bed, Mirror(self.folder, listen=(bed.address, 0)) as mirror:
            yield Site(bed, mirror, self.pins)


def stock(folder: Path, progress: Callable[[str], None]) -> Store:
    """Return a bundle of everything hosts download, in `folder`, read once so that the mirror is warm."""
    bundle = make_bundle(progress)
    place = bundle.copy_to(folder / "bundle")
    add_packages(place, progress)
    for path in place.rglob("*"):
        if path.is_file():
            path.read_bytes()
    return Store(place, bundle.put_into(load_pins(EnvironmentName.NEXT)))


def pins_text(pins: Pins) -> str:
    """Return the pins as a process of its own can read them again."""
    return json.dumps(pins.model_dump(mode="json", by_alias=True, exclude_none=True))
