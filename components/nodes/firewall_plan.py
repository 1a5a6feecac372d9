"""What may reach a host, as an nftables table of our own."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import TYPE_CHECKING

from .config import API_SERVER_PORT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.addresses import AnyNetwork

    from .config import HostConfig, NodesConfig
    from .host_system_config import FirewallConfig
    from .settings import ClusterSettings

__all__ = ["firewall_rules", "ssh_networks"]

TABLE = "inet research_compute"
"""Family and name of the table."""
WEB_PORTS = "80, 443"
"""TCP ports of HTTP and HTTPS, where a gateway listens on the hosts themselves (IANA)."""


def firewall_rules(config: NodesConfig, host: HostConfig, settings: ClusterSettings) -> str | None:
    """Return the file `nft --file` loads on a host, in one transaction; None where the lab wants no firewall.

    No rule names a single host: a lab that gains one changes nothing on the others. The table is deleted and made anew
    in the same transaction, so there is no moment without rules; nobody else's table is named.
    """
    firewall = config.system.firewall
    if firewall is None:
        return None
    own = (settings.hosts, settings.pods)
    endpoint_port = config.endpoint.port if config.endpoint else API_SERVER_PORT
    api_ports = ", ".join(str(port) for port in sorted({API_SERVER_PORT, endpoint_port}))
    ssh_port = host.ssh.port or config.ssh.port
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
        *_accept(own, ""),
        *_accept(firewall.ssh, f"tcp dport {ssh_port} "),
        *_accept(firewall.api_server, f"tcp dport {{ {api_ports} }} "),
        *_accept(firewall.published, f"tcp dport {{ {WEB_PORTS} }} "),
        *_accept(firewall.published, "ct status dnat "),
        "    }",
        "    chain forward {",
        "        type filter hook forward priority filter; policy accept;",
        # Only what kube-proxy sends on to a pod is ours to judge; the rest is between the CNI and its policies.
        "        ct state new ct status dnat jump published",
        "    }",
        "    chain published {",
        *_accept((*own, *firewall.published), ""),
        "        drop",
        "    }",
        "}",
    ]
    return "\n".join(lines)


def ssh_networks(firewall: FirewallConfig, settings: ClusterSettings) -> tuple[str, str]:
    """Return the networks SSH is accepted from, IPv4 and IPv6, each as the elements of an nftables set."""
    fours, sixes = _families((settings.hosts, settings.pods, *firewall.ssh))
    return ", ".join(fours), ", ".join(sixes)


def _accept(networks: Iterable[AnyNetwork], match: str) -> list[str]:
    """Return a rule per address family that accepts what comes from any of the networks and matches."""
    rules: list[str] = []
    for family, protocol, members in zip(("ip", "ip6"), ("ipv4", "ipv6"), _families(networks), strict=True):
        if not members:
            continue
        everywhere = any(member.endswith("/0") for member in members)
        source = f"meta nfproto {protocol}" if everywhere else f"{family} saddr {{ {', '.join(members)} }}"
        rules.append(f"        {source} {match}accept")
    return rules


def _families(networks: Iterable[AnyNetwork]) -> tuple[list[str], list[str]]:
    """Return the networks by family, without those that lie in others (nftables refuses overlapping intervals)."""
    all_of_them = tuple(networks)
    fours = collapse_addresses(network for network in all_of_them if isinstance(network, IPv4Network))
    sixes = collapse_addresses(network for network in all_of_them if isinstance(network, IPv6Network))
    return [str(network) for network in fours], [str(network) for network in sixes]
