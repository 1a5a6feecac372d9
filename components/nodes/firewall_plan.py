"""What may reach a host, as an nftables table of our own.

Consistent with the network policies of the namespaces: a pod is let into its own host for the API server alone, and
what pods must never reach on other hosts (SSH, NFS, etcd, management networks) is stopped on the way out of their own,
where a packet still has the pod's address. A CNI that hides pods behind their node (Calico's outgoing NAT) makes them
indistinguishable from it anywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_network
from typing import TYPE_CHECKING

from .config import API_SERVER_PORT, Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from components.addresses import AnyNetwork

    from .config import HostConfig, NodesConfig
    from .host_system_config import FirewallConfig
    from .settings import ClusterSettings

__all__ = ["NFS_PORT", "firewall_rules", "ssh_networks"]

TABLE = "inet research_compute"
"""Family and name of the table."""
WEB_PORTS = "80, 443"
"""TCP ports of HTTP and HTTPS, where a gateway listens on the hosts themselves (IANA)."""
NFS_PORT = 2049
"""TCP port of NFS 4 (RFC 7530, 3.1), the only one it needs."""
ETCD_PORTS = "2379-2380"
"""TCP ports of etcd, for clients and for its other members (IANA)."""
VRRP = 112
"""IP protocol of VRRP (RFC 9568), by which control-plane hosts agree who has the virtual address."""

NODE_SERVICES = (
    ("udp dport 4789", "VXLAN: pods of other hosts (RFC 7348)"),
    ("tcp dport 179", "BGP: routes to pods where Calico has no tunnel"),
    ("tcp dport 5473", "Typha: Calico's agents ask it for policies"),
    ("tcp dport 10250", "kubelet: the API server asks for logs, exec and metrics"),
    ("tcp dport 7946", "memberlist: MetalLB's speakers agree who answers"),
    ("udp dport 7946", "memberlist: MetalLB's speakers agree who answers"),
)
"""What a node accepts from the hosts' network: rule and reason. Ports are Calico's system requirements', Kubernetes'
"Ports and protocols" and MetalLB's (``memberlist-bind-port``)."""


@dataclass(frozen=True, slots=True)
class _Accepted:
    """Something that is accepted, and why."""

    networks: tuple[AnyNetwork, ...]
    match: str
    reason: str


def firewall_rules(config: NodesConfig, host: HostConfig, settings: ClusterSettings) -> str | None:
    """Return the file `nft --file` loads on a host, in one transaction; None where the lab wants no firewall.

    No rule of a node names a single host: a lab that gains one changes nothing on the others. Only storage hosts know
    the nodes by their addresses, as their exports do. The table is deleted and made anew in the same transaction, so
    there is no moment without rules; nobody else's table is named.
    """
    firewall = config.system.firewall
    if firewall is None:
        return None
    own = (*settings.hosts, *settings.pods)
    published = tuple(firewall.published)
    lines = [
        f"table {TABLE}",
        f"delete table {TABLE}",
        f"table {TABLE} {{",
        "    chain input {",
        "        type filter hook input priority filter; policy drop;",
        "        ct state established,related accept",
        "        ct state invalid drop",
        "        iif lo accept",
        "        meta l4proto { icmp, ipv6-icmp } accept",
        # Answers of DHCPv6 servers go to a link-local address, and belong to no connection.
        "        ip6 saddr fe80::/10 udp dport 546 accept",
        *(line for accepted in _accepted(config, host, settings, firewall) for line in _accept(accepted)),
        "    }",
        "    chain forward {",
        "        type filter hook forward priority filter; policy accept;",
        *_drop_from_pods(config, host, settings),
        # Only what kube-proxy sends on to a pod is ours to judge; the rest is between the CNI and its policies.
        "        ct state new ct status dnat jump published",
        "    }",
        "    chain published {",
        *_accept(_Accepted((*own, *published), "", "load-balancer addresses of the lab")),
        "        drop",
        "    }",
        "}",
    ]
    return "\n".join(lines)


def ssh_networks(config: NodesConfig, host: HostConfig) -> tuple[str, str]:
    """Return the networks SSH is accepted from on a host, IPv4 and IPv6, each as the elements of an nftables set."""
    fours, sixes = _families(_ssh_sources(config, host))
    return ", ".join(fours), ", ".join(sixes)


def _accepted(
    config: NodesConfig, host: HostConfig, settings: ClusterSettings, firewall: FirewallConfig
) -> Iterator[_Accepted]:
    hosts, pods = tuple(settings.hosts), tuple(settings.pods)
    ssh = f"tcp dport {_ssh_port(config, host)}"
    yield _Accepted(_ssh_sources(config, host), ssh, "SSH: who keeps the hosts, and storage hosts that replicate")
    if Role.STORAGE in host.roles:
        nodes = _addresses(other for other in _there(config) if _is_node(other))
        may_mount = (*nodes, *settings.nfs_clients)
        yield _Accepted(may_mount, f"tcp dport {NFS_PORT}", "NFS: nodes for their pods, and clients the lab names")
    if _is_node(host):
        for match, reason in NODE_SERVICES:
            yield _Accepted(hosts, match, reason)
        yield _Accepted(tuple(firewall.published), f"tcp dport {{ {WEB_PORTS} }}", "the gateway, on a host itself")
        yield _Accepted(tuple(firewall.published), "ct status dnat", "load-balancer addresses of a host's own service")
    if Role.CONTROL_PLANE in host.roles:
        endpoint_port = config.endpoint.port if config.endpoint else API_SERVER_PORT
        ports = ", ".join(str(port) for port in sorted({API_SERVER_PORT, endpoint_port}))
        may_ask = (*hosts, *pods, *firewall.api_server)
        yield _Accepted(may_ask, f"tcp dport {{ {ports} }}", "the API server: nodes, pods, who administers it")
        yield _Accepted(hosts, f"tcp dport {ETCD_PORTS}", "etcd: the other control-plane hosts")
        if config.endpoint is not None:
            yield _Accepted(hosts, f"meta l4proto {VRRP}", "VRRP: who has the virtual address")
    for rule in firewall.allow:
        for protocol in rule.protocols:
            ports = ", ".join(str(port) for port in rule.ports)
            yield _Accepted(tuple(rule.networks), f"{protocol} dport {{ {ports} }}", f"the lab's: {rule.name}")


def _drop_from_pods(config: NodesConfig, host: HostConfig, settings: ClusterSettings) -> Iterator[str]:
    """Yield what stops pods on their way out of their host; before any NAT, their addresses are still their own."""
    if not _is_node(host):
        return
    ssh_ports = {config.ssh.port, *(other.ssh.port for other in _there(config) if other.ssh.port is not None)}
    ports = ", ".join([*(str(port) for port in sorted(ssh_ports | {NFS_PORT})), ETCD_PORTS])
    stopped = (
        (tuple(settings.hosts), f"tcp dport {{ {ports} }} ", "no pod reaches SSH, NFS or etcd of a host"),
        (settings.management, "", "no pod reaches a management network"),
    )
    for networks, match, reason in stopped:
        pods, targets = _families(settings.pods), _families(networks)
        for family, sources, destinations in zip(("ip", "ip6"), pods, targets, strict=True):
            if sources and destinations:
                ends = f"{family} saddr {_set(sources)} {family} daddr {_set(destinations)}"
                yield f'        ct state new {ends} {match}drop comment "{reason}"'


def _ssh_sources(config: NodesConfig, host: HostConfig) -> tuple[AnyNetwork, ...]:
    """Return who may open SSH connections: whom the lab declares, the jump host, and for replication its like."""
    declared = tuple(config.system.firewall.ssh) if config.system.firewall is not None else ()
    jump = config.ssh.jump.address if config.ssh.jump is not None else None
    through = (ip_network(jump),) if isinstance(jump, IPv4Address | IPv6Address) else ()
    others: tuple[AnyNetwork, ...] = ()
    if Role.STORAGE in host.roles:
        others = _addresses(other for other in _there(config) if Role.STORAGE in other.roles and other != host)
    return (*declared, *through, *others)


def _ssh_port(config: NodesConfig, host: HostConfig) -> int:
    return host.ssh.port or config.ssh.port


def _there(config: NodesConfig) -> list[HostConfig]:
    return [host for host in config.hosts.values() if not host.lost]


def _is_node(host: HostConfig) -> bool:
    return set(host.roles) != {Role.STORAGE}


def _addresses(hosts: Iterable[HostConfig]) -> tuple[AnyNetwork, ...]:
    return tuple(ip_network(address) for host in hosts for address in host.addresses)


def _accept(accepted: _Accepted) -> list[str]:
    """Return a rule per address family that accepts what comes from any of the networks and matches."""
    rules: list[str] = []
    match = f"{accepted.match} " if accepted.match else ""
    for family, protocol, members in zip(("ip", "ip6"), ("ipv4", "ipv6"), _families(accepted.networks), strict=True):
        if not members:
            continue
        everywhere = any(member.endswith("/0") for member in members)
        source = f"meta nfproto {protocol}" if everywhere else f"{family} saddr {_set(members)}"
        rules.append(f'        {source} {match}accept comment "{accepted.reason}"')
    return rules


def _set(members: Sequence[str]) -> str:
    return f"{{ {', '.join(members)} }}"


def _families(networks: Iterable[AnyNetwork]) -> tuple[list[str], list[str]]:
    """Return the networks by family, without those that lie in others (nftables refuses overlapping intervals)."""
    all_of_them = tuple(networks)
    fours = collapse_addresses(network for network in all_of_them if isinstance(network, IPv4Network))
    sixes = collapse_addresses(network for network in all_of_them if isinstance(network, IPv6Network))
    return [str(network) for network in fours], [str(network) for network in sixes]
