"""What can be wrong with the address plan: families, overlaps, sizes, packets that do not fit.

Paths are relative to the network section.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from components.networks import IPV4, IPV6, family_name
from components.problems import Path, Problem

from .calico import VXLAN_OVERHEAD_BYTES, block_count, pod_block_size
from .config import BlockSizes, Encapsulation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from components.addresses import AddressRange, AnyNetwork
    from components.networks import Networks

    from .config import Calico, NetworkConfig
    from .machines import Machines

__all__ = ["check_addresses", "network_path"]

SERVICE_BOUNDS = {IPV4: (12, 28), IPV6: (108, 124)}
"""Shortest and longest prefix of a service network, by family: at most 2**20 addresses and at least ten (kubeadm,
``MaximumBitsForServiceSubnet`` and ``MinimumAddressesInServiceSubnet``; kube-apiserver has the same upper bound)."""
POD_BOUNDS = {IPV4: (8, 24), IPV6: (48, 64)}
"""Shortest and longest prefix of a pod network kubeadm takes, by family: it shares a /24 or a /64 out to every node, of
a network up to 16 bits shorter (kubeadm, ``ValidatePodSubnetNodeMask``). Calico makes no use of these shares."""
SMALLEST_IPV6_MTU = 1280
"""Bytes every IPv6 link has to carry (RFC 8200, 5)."""
BLOCK_BOUNDS = {IPV4: (20, 32), IPV6: (116, 128)}
"""Shortest and longest prefix of a block of pod addresses, by family (Calico's IPPool, ``blockSize``)."""
FAMILIES = "networks of IPv4, or one of IPv4 and one of IPv6"


def check_addresses(config: NetworkConfig, machines: Machines) -> Iterator[Problem]:
    """Yield what is wrong with the networks themselves, and with how the machines fit into them."""
    yield from _families(config)
    yield from _second_addresses(config, machines)
    yield from _overlaps(config)
    yield from _special(config)
    yield from _sizes(config, machines)
    yield from _dhcp(config, machines)
    if config.cni is not None:
        yield from _blocks(config, config.cni, len(machines.nodes))
        yield from _packets(config, config.cni, machines)


def network_path(section: str, networks: Networks, index: int) -> Path:
    """Return the path of one network, whether it was written alone or in a list."""
    return (section, index) if networks.is_dual else (section,)


def _families(config: NetworkConfig) -> Iterator[Problem]:
    pods, services, hosts = config.pods, config.services, config.hosts
    if set(pods.families) == set(services.families) == {IPV6}:
        yield Problem(
            path=("pods",),
            what="pods of IPv6 alone reach nothing of the IPv4 Internet without DNS64 and NAT64, which are not built",
            remedy=f"write {FAMILIES}, of which IPv6 may be the first",
        )
        return
    if pods.is_dual != services.is_dual:
        single, dual = ("pods", "services") if services.is_dual else ("services", "pods")
        lacking = {IPV4, IPV6} - set((pods if single == "pods" else services).families)
        yield Problem(
            path=(single,),
            what=f"{dual} have a network of each family and {single} only one",
            remedy=f"add a network of {', '.join(family_name(version) for version in lacking)} to {single}, or take it "
            f"from {dual}",
        )
    for section, networks in (("services", services), ("hosts", hosts)):
        if networks.primary.version != pods.primary.version:
            yield Problem(
                path=network_path(section, networks, 0),
                what=f"{networks.primary} is {family_name(networks.primary.version)} and the first network of pods is "
                f"{family_name(pods.primary.version)}",
                remedy="write all networks with the same family first: the primary one is the cluster's, not a part's",
            )
    if pods.is_dual and services.is_dual and not hosts.is_dual:
        yield Problem(
            path=("hosts",),
            what="pods and services have both families, and the hosts only one to carry their packets in",
            remedy="add the hosts' network of the other family, or write pods and services in one",
        )


def _second_addresses(config: NetworkConfig, machines: Machines) -> Iterator[Problem]:
    if not (config.pods.is_dual and config.hosts.is_dual):
        return
    lacking = sorted(name for name, machine in machines.nodes.items() if len(machine.addresses) == 1)
    if lacking:
        yield Problem(
            path=("hosts", 1),
            what=f"the cluster has both families, and {_some(lacking)} no address in {config.hosts.secondary}",
            remedy="give every node its secondAddress (nodes.hosts)",
        )


@dataclass(frozen=True, kw_only=True)
class _Named:
    """One network of the plan."""

    path: Path
    what: str
    network: AnyNetwork
    is_ours: bool
    """Whether the cluster uses it, so that nothing else may."""


def _named(config: NetworkConfig) -> list[_Named]:
    own = {"pods": config.pods, "services": config.services, "hosts": config.hosts}
    return [
        *(
            _Named(path=network_path(section, networks, index), what=section, network=network, is_ours=True)
            for section, networks in own.items()
            for index, network in enumerate(networks)
        ),
        *(
            _Named(path=("management", index), what="management", network=network, is_ours=False)
            for index, network in enumerate(config.management)
        ),
        *(
            _Named(path=("reserved", name), what=name, network=network, is_ours=False)
            for name, network in config.reserved.items()
        ),
    ]


def _overlaps(config: NetworkConfig) -> Iterator[Problem]:
    for one, other in combinations(_named(config), 2):
        # What is not the cluster's may lie in one another: a campus and its VPN.
        if one.is_ours and one.network.version == other.network.version and one.network.overlaps(other.network):
            yield Problem(
                path=other.path,
                what=f"{other.network} overlaps the network of {one.what}, {one.network}",
                remedy="give pods, services and hosts networks of their own"
                if other.is_ours
                else f"write another network for {one.what}, or correct this one",
            )


def _special(config: NetworkConfig) -> Iterator[Problem]:
    for named in _named(config):
        network = named.network
        kinds = {
            # Hosts may be this machine alone: one cluster on one machine, reached by itself.
            "loopback": network.is_loopback and named.path[0] != "hosts",
            "link-local": network.is_link_local,
            "multicast": network.is_multicast,
            "unspecified": network.is_unspecified,
        }
        if kind := next((kind for kind, holds in kinds.items() if holds), None):
            yield Problem(
                path=named.path,
                what=f"{network} is a {kind} network, which no router passes on",
                remedy="write a network of the lab's, or a private one (RFC 1918, RFC 4193)",
            )


def _sizes(config: NetworkConfig, machines: Machines) -> Iterator[Problem]:
    for index, network in enumerate(config.services):
        path = network_path("services", config.services, index)
        shortest, longest = SERVICE_BOUNDS[network.version]
        if network.prefixlen < shortest:
            yield Problem(
                path=path,
                what=f"{network} is larger than the API server accepts",
                remedy=f"write a network of at most /{shortest}",
            )
        elif network.prefixlen > longest:
            yield Problem(
                path=path,
                what=f"{network} has {network.num_addresses} addresses, and the cluster's own services take ten",
                remedy=f"write a network of /{longest} or larger; /16 and /112 leave room",
            )
    for index, network in enumerate(config.pods if machines.is_bootstrapped else ()):
        shortest, longest = POD_BOUNDS[network.version]
        if not shortest <= network.prefixlen <= longest:
            yield Problem(
                path=network_path("pods", config.pods, index),
                what=f"kubeadm takes no {family_name(network.version)} pod network of /{network.prefixlen}",
                remedy=f"write one between /{shortest} and /{longest}",
            )


def _dhcp(config: NetworkConfig, machines: Machines) -> Iterator[Problem]:
    for index, addresses in enumerate(config.dhcp):
        path: Path = ("dhcp", index)
        for earlier in config.dhcp[:index]:
            if earlier.overlaps(addresses):
                yield Problem(path=path, what=f"{addresses} overlaps {earlier}", remedy="write every address once")
        for section, networks in (("pods", config.pods), ("services", config.services)):
            if networks.overlaps(addresses):
                yield Problem(
                    path=path,
                    what=f"{addresses} overlaps the network of {section}, {_met(networks, addresses)}",
                    remedy="correct the range, or give the cluster networks that nothing else uses",
                )
        for owner, address in machines.places.items():
            if address in addresses:
                yield Problem(
                    path=path,
                    what=f"{addresses} holds {address}, the address of {owner}: a DHCP server may give it to another",
                    remedy="take the address out of the range there (a reservation for one machine belongs outside it)",
                )


def _met(networks: Networks, addresses: AddressRange) -> AnyNetwork | None:
    return networks.of_family(addresses.first.version)


def _blocks(config: NetworkConfig, calico: Calico, nodes: int) -> Iterator[Problem]:
    said = calico.block_size
    if config.pods.is_dual and isinstance(said, int):
        yield Problem(
            path=("cni", "blockSize"),
            what=f"{said} does not say of which of the two pod networks",
            remedy="write {ipv4: 26, ipv6: 122}, or leave it out",
        )
        return
    for index, pods in enumerate(config.pods):
        size = pod_block_size(calico, pods)
        shortest, longest = BLOCK_BOUNDS[pods.version]
        path = _said_at(said, pods.version) or network_path("pods", config.pods, index)
        if not shortest <= size <= longest:
            yield Problem(
                path=path,
                what=f"a block of /{size} is not one of an {family_name(pods.version)} pool",
                remedy=f"write {shortest} to {longest}, or leave it out",
            )
        elif block_count(pods, size) < max(nodes, 1):
            yield Problem(
                path=path,
                what=f"{pods} has {block_count(pods, size)} blocks of /{size}, fewer than there are nodes ({nodes})",
                remedy="write a larger pod network, or a longer block prefix",
            )


def _said_at(said: int | BlockSizes | None, version: int) -> Path | None:
    """Return where the stack file says the size of a family's blocks, or None where it does not."""
    if isinstance(said, BlockSizes):
        return ("cni", "blockSize", f"ipv{version}") if said.of_family(version) is not None else None
    return None if said is None else ("cni", "blockSize")


def _packets(config: NetworkConfig, calico: Calico, machines: Machines) -> Iterator[Problem]:
    narrow = sorted(
        f"{name} ({machine.mtu_bytes})"
        for name, machine in machines.nodes.items()
        if machine.mtu_bytes is not None and machine.mtu_bytes < calico.host_mtu_bytes
    )
    if narrow:
        least = min(machine.mtu_bytes for machine in machines.nodes.values() if machine.mtu_bytes is not None)
        yield Problem(
            path=("cni", "hostMtuBytes"),
            what=f"packets of {calico.host_mtu_bytes} bytes do not fit the interfaces of {_some(narrow)}",
            remedy=f"write {least}, or raise the MTU of those hosts and of every switch between, and their mtuBytes",
        )
    overhead = 0 if calico.encapsulation is Encapsulation.NONE else VXLAN_OVERHEAD_BYTES[IPV6]
    if IPV6 in config.pods.families and calico.host_mtu_bytes - overhead < SMALLEST_IPV6_MTU:
        yield Problem(
            path=("cni", "hostMtuBytes"),
            what=f"{calico.host_mtu_bytes} bytes leave pods less than the {SMALLEST_IPV6_MTU} that IPv6 needs",
            remedy=f"write {SMALLEST_IPV6_MTU + overhead} or more",
        )


def _some(names: Sequence[str]) -> str:
    """Return a few names for a message, and how many there are."""
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


_SHOWN = 3
"""Names a message repeats: enough to see a pattern, in one line."""
