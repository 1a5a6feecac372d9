"""What may reach the hosts of a lab: a table that rules are judged by, and that real packets are sent by."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from components.addresses import AnyAddress
from components.networks import Networks
from components.nodes.config import NodesConfig
from components.nodes.settings import ClusterSettings
from components.pins import Pins

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICQ5h0WpOOUL5c+6YPQkmCkQNyu8U71JlFTv6/DxtS5V"
HARDWARE = {"cpus": 8, "memory": "64Gi", "ephemeralStorage": "1Ti"}
ROLES = {
    "cp-1": (["control-plane"], 11),
    "cp-2": (["control-plane"], 12),
    "store-1": (["storage"], 21),
    "store-2": (["storage"], 22),
    "worker-1": (["worker"], 31),
    "worker-2": (["worker"], 32),
    "gone-1": (["worker"], 39),
}
"""Hosts of the lab: roles, and the last number of their addresses in both families."""

OTHERS = {
    "admin": ("198.51.100.5", "2001:db8:100::5"),
    "user": ("203.0.113.7", "2001:db8:200::7"),
    "exporter": ("198.51.100.200", "2001:db8:100::200"),
    "printer": ("192.0.2.150", "2001:db8:2::150"),
    "desktop": ("198.51.100.40", "2001:db8:100::40"),
    "pod": ("10.244.3.7", "fd00:244::3:7"),
    "bmc": ("192.168.250.9", "2001:db8:250::9"),
}
"""Who is no host: whoever keeps the lab, its users, its monitoring, machines beside the hosts, a pod."""

SECTION: dict[str, object] = {
    "hosts": {
        name: {
            "address": f"192.0.2.{number}",
            "secondAddress": f"2001:db8:2::{number}",
            "roles": roles,
            "hostKey": KEY,
            "hardware": HARDWARE,
            "lost": name == "gone-1",
        }
        for name, (roles, number) in ROLES.items()
    },
    "endpoint": {"address": "192.0.2.10"},
    "system": {
        "firewall": {
            "ssh": ["198.51.100.0/28", "2001:db8:100::/124"],
            "apiServer": ["198.51.100.0/28", "2001:db8:100::/124"],
            "published": ["203.0.113.0/24", "2001:db8:200::/48"],
            "allow": [
                {"name": "node-exporter", "networks": ["198.51.100.200/32", "2001:db8:100::200/128"], "ports": [9100]}
            ],
        }
    },
}
"""The nodes section of a lab in both families, with a firewall."""


def lab_nodes() -> NodesConfig:
    """Return the lab's hosts."""
    return NodesConfig.model_validate(SECTION, by_alias=True)


def lab_settings() -> ClusterSettings:
    """Return what they are bootstrapped into."""
    return ClusterSettings(
        name="lab",
        hosts=Networks.of("192.0.2.0/24", "2001:db8:2::/64"),
        pods=Networks.of("10.244.0.0/16", "fd00:244::/56"),
        services=Networks.of("10.96.0.0/16", "fd00:96::/112"),
        domain="cluster.local",
        nfs_clients=(ip_network("198.51.100.40/32"), ip_network("2001:db8:100::40/128")),
        management=(ip_network("192.168.250.0/24"), ip_network("2001:db8:250::/64")),
        pins=Pins.model_construct(),
    )


def addresses(name: str) -> tuple[AnyAddress, ...]:
    """Return the addresses of a host or of somebody else, IPv4 first."""
    if name in OTHERS:
        return tuple(ip_address(text) for text in OTHERS[name])
    number = ROLES[name][1]
    return ip_address(f"192.0.2.{number}"), ip_address(f"2001:db8:2::{number}")


@dataclass(frozen=True)
class HostFlow:
    """One row: somebody opens a connection to a host."""

    source: str
    target: str
    port: int
    passes: bool
    why: str
    protocol: str = "tcp"

    def __str__(self) -> str:
        return f"{self.source} to {self.target}, {self.protocol} {self.port}"


YES, NO = True, False
HOST_FLOWS = (
    HostFlow("admin", "worker-1", 22, YES, "whoever keeps the hosts"),
    HostFlow("admin", "store-1", 22, YES, "whoever keeps the hosts"),
    HostFlow("user", "worker-1", 22, NO, "users reach services, not hosts"),
    HostFlow("worker-2", "worker-1", 22, NO, "nodes have nothing to do on one another by SSH"),
    HostFlow("worker-1", "store-1", 22, NO, "and least of all where everybody's data are"),
    HostFlow("pod", "worker-1", 22, NO, "a notebook on its own host: no policy could forbid it"),
    HostFlow("pod", "store-1", 22, NO, "a notebook"),
    HostFlow("store-2", "store-1", 22, YES, "replication is sent over SSH"),
    HostFlow("worker-1", "store-1", 2049, YES, "the kubelet mounts for its pods"),
    HostFlow("cp-1", "store-1", 2049, YES, "a control plane is a node too"),
    HostFlow("desktop", "store-1", 2049, YES, "`storage.nfs.clients` names it"),
    HostFlow("desktop", "store-1", 22, NO, "and for nothing else"),
    HostFlow("gone-1", "store-1", 2049, NO, "a host that is lost is no node"),
    HostFlow("store-2", "store-1", 2049, NO, "a storage host alone is no node"),
    HostFlow("printer", "store-1", 2049, NO, "an address in the hosts' network is no node"),
    HostFlow("pod", "store-1", 2049, NO, "pods never speak NFS"),
    HostFlow("user", "store-1", 2049, NO, "users never speak NFS"),
    HostFlow("worker-1", "store-1", 111, NO, "NFS 4 needs no port mapper"),
    HostFlow("worker-1", "worker-2", 2049, NO, "a worker serves no files"),
    HostFlow("worker-1", "worker-2", 4789, YES, "VXLAN between hosts", "udp"),
    HostFlow("printer", "worker-2", 9100, NO, "only whom the lab names"),
    HostFlow("exporter", "worker-2", 9100, YES, "the stack file lets it"),
    HostFlow("exporter", "store-1", 9100, YES, "on every host"),
    HostFlow("user", "worker-2", 4789, NO, "the tunnel is the hosts' own", "udp"),
    HostFlow("pod", "worker-2", 4789, NO, "a pod could speak as any other", "udp"),
    HostFlow("worker-1", "store-1", 4789, NO, "a storage host has no pods", "udp"),
    HostFlow("cp-1", "worker-1", 10250, YES, "logs, exec and metrics"),
    HostFlow("pod", "worker-1", 10250, NO, "a notebook has nothing to ask a kubelet"),
    HostFlow("user", "worker-1", 10250, NO, "nor has a user"),
    HostFlow("worker-2", "worker-1", 7946, YES, "MetalLB's speakers agree who answers"),
    HostFlow("worker-2", "worker-1", 7946, YES, "MetalLB's speakers agree who answers", "udp"),
    HostFlow("user", "worker-1", 7946, NO, "nobody else is asked"),
    HostFlow("worker-1", "cp-1", 6443, YES, "kubelets, and pods behind their node"),
    HostFlow("pod", "cp-1", 6443, YES, "the hub, and whoever else a policy lets"),
    HostFlow("admin", "cp-1", 6443, YES, "whoever administers the cluster"),
    HostFlow("user", "cp-1", 6443, NO, "users have no credentials either"),
    HostFlow("pod", "worker-1", 6443, NO, "there is no API server on a worker"),
    HostFlow("cp-2", "cp-1", 2379, YES, "etcd's members"),
    HostFlow("cp-2", "cp-1", 2380, YES, "etcd's members"),
    HostFlow("pod", "cp-1", 2379, NO, "a pod has nothing to ask etcd"),
    HostFlow("user", "cp-1", 2379, NO, "nor has a user"),
    HostFlow("worker-1", "worker-2", 5473, YES, "Calico's agents ask Typha"),
    HostFlow("user", "worker-1", 443, YES, "a gateway that listens on hosts"),
    HostFlow("printer", "worker-1", 443, NO, "published is to whom the lab says"),
    HostFlow("user", "store-1", 443, NO, "nothing is published on a storage host"),
)


@dataclass(frozen=True)
class Passage:
    """One row: a pod opens a connection to somewhere else, through its host."""

    target: str
    port: int
    passes: bool
    why: str


PASSAGES = (
    Passage("store-1", 2049, NO, "pods never speak NFS"),
    Passage("worker-2", 22, NO, "SSH of another host, where the pod would look like its node"),
    Passage("cp-1", 2379, NO, "etcd of a control plane"),
    Passage("cp-1", 6443, YES, "the API server"),
    Passage("bmc", 443, NO, "the management network"),
    Passage("bmc", 623, NO, "the management network"),
    Passage("user", 443, YES, "the rest is between the CNI and its policies"),
    Passage("printer", 53, YES, "the lab's name server, for CoreDNS"),
)
