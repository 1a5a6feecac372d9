"""What can be wrong with a network section that no single field shows: overlaps, pools, names, missing halves.

`check(config, host_addresses)` finds it all at once; paths are relative to the section.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING

from components.problems import Path, Problem

from .calico import block_count, pod_block_size
from .config import AcmeCertificates, Announcement, Encapsulation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.addresses import AddressRange, AnyAddress, AnyNetwork

    from .config import EnvoyGateway, MetalLb, NetworkConfig

__all__ = ["check"]

PRIVATE_SUFFIXES = (".internal", ".local", ".test", ".invalid", ".localhost", ".lan", ".home.arpa")
"""Ends of names that no public authority certifies: reserved (RFC 2606, RFC 6762, RFC 8375, ICANN 2024) or habit."""
SMALLEST_SERVICE_PREFIX = {4: 12, 6: 108}
"""Shortest prefix of a service network kube-apiserver accepts, by IP version: it keeps a bitmap of at most 2**20
addresses (``--service-cluster-ip-range``)."""
SMALLEST_IPV6_MTU = 1280
"""Bytes every IPv6 link has to carry (RFC 8200, 5)."""


def check(config: NetworkConfig, host_addresses: Mapping[str, AnyAddress]) -> Iterator[Problem]:
    """Yield what is wrong with a network section.

    Parameters
    ----------
    config
        Network section of the stack file.
    host_addresses
        Address of each host, by its name; no load balancer may hand them out.
    """
    yield from _networks(config)
    yield from _pod_blocks(config, len(host_addresses))
    if config.load_balancer is not None:
        yield from _pools(config, config.load_balancer, host_addresses)
    if config.gateway is not None:
        yield from _gateway(config, config.gateway)
    yield from _publishing(config)


def _networks(config: NetworkConfig) -> Iterator[Problem]:
    networks: dict[str, AnyNetwork] = {"pods": config.pods, "services": config.services, "hosts": config.hosts}
    for (first, one), (second, other) in combinations(networks.items(), 2):
        if one.version != other.version:
            yield Problem(
                path=(second,),
                what=f"{other} is IPv{other.version} and {first} are IPv{one.version}",
                remedy="write all three networks in one family",
            )
        elif one.overlaps(other):
            yield Problem(
                path=(second,),
                what=f"{other} overlaps the network of {first}, {one}",
                remedy="give pods, services and hosts networks of their own",
            )
    shortest = SMALLEST_SERVICE_PREFIX[config.services.version]
    if config.services.prefixlen < shortest:
        yield Problem(
            path=("services",),
            what=f"{config.services} is larger than the API server accepts",
            remedy=f"write a network of at most /{shortest}",
        )


def _pod_blocks(config: NetworkConfig, hosts: int) -> Iterator[Problem]:
    calico, pods = config.cni, config.pods
    if calico is None:
        return
    block_size = pod_block_size(calico, pods)
    blocks = block_count(pods, block_size)
    longest = pods.max_prefixlen
    path: Path = ("cni", "blockSize") if calico.block_size is not None else ("pods",)
    if block_size > longest or (pods.version == 6 and block_size < 116):  # noqa: PLR2004 - IPv6; IPPool's own bounds
        bounds = "20 to 32" if pods.version == 4 else "116 to 128"  # noqa: PLR2004 - IPv4
        yield Problem(
            path=path,
            what=f"a block of /{block_size} is not one of an IPv{pods.version} pool",
            remedy=f"write {bounds}, or leave it out",
        )
    elif blocks < max(hosts, 1):
        yield Problem(
            path=path,
            what=f"{pods} has {blocks} blocks of /{block_size}, and {hosts} hosts need one each at least",
            remedy="write a larger pod network, or a longer block prefix",
        )
    if (
        config.hosts.version == 6  # noqa: PLR2004 - IPv6
        and calico.encapsulation is not Encapsulation.NONE
        and calico.host_mtu_bytes < SMALLEST_IPV6_MTU + 70
    ):
        yield Problem(
            path=("cni", "hostMtuBytes"),
            what=f"{calico.host_mtu_bytes} bytes leave pods less than the {SMALLEST_IPV6_MTU} that IPv6 needs",
            remedy=f"write {SMALLEST_IPV6_MTU + 70} or more",
        )


def _pools(config: NetworkConfig, metallb: MetalLb, host_addresses: Mapping[str, AnyAddress]) -> Iterator[Problem]:
    placed = [
        (("loadBalancer", "pools", pool_index, "addresses", index), addresses)
        for pool_index, pool in enumerate(metallb.pools)
        for index, addresses in enumerate(pool.addresses)
    ]
    yield from _duplicates("pool", [pool.name for pool in metallb.pools], ("loadBalancer", "pools"), "name")
    for path, addresses in placed:
        yield from _pool_range(config, metallb, path, addresses)
        for host, address in host_addresses.items():
            if address in addresses:
                yield Problem(
                    path=path,
                    what=f"{addresses} holds {address}, the address of host {host}",
                    remedy="leave the hosts' addresses out of the pools",
                )
    for (_, one), (path, other) in combinations(placed, 2):
        if one.overlaps(other):
            yield Problem(
                path=path,
                what=f"{other} overlaps {one}",
                remedy="write every address once",
            )


def _pool_range(config: NetworkConfig, metallb: MetalLb, path: Path, addresses: AddressRange) -> Iterator[Problem]:
    inside: dict[str, AnyNetwork] = {"pods": config.pods, "services": config.services}
    for name, network in inside.items():
        if addresses.overlaps(network):
            yield Problem(
                path=path,
                what=f"{addresses} overlaps the network of {name}, {network}",
                remedy="write addresses of the lab's own network",
            )
    if metallb.announcement is Announcement.LAYER2 and not addresses.within(config.hosts):
        yield Problem(
            path=path,
            what=f"{addresses} is not inside the hosts' network {config.hosts}, the only one layer2 can announce on",
            remedy=f"write addresses inside {config.hosts}",
        )


def _gateway(config: NetworkConfig, gateway: EnvoyGateway) -> Iterator[Problem]:
    if config.certificates is None and config.use is None:
        yield Problem(
            path=("gateway",),
            what="the gateway has nothing to serve HTTPS with",
            remedy="add network.certificates (kind: acme, lab-ca or self-signed)",
        )
    if config.use is not None:
        yield Problem(
            path=("gateway",),
            what="the gateway is both built here and used from another stack",
            remedy="leave out network.gateway or network.use",
        )
    if not config.hostnames:
        yield Problem(
            path=("hostnames",),
            what="the gateway has no host name to serve",
            remedy="name one, such as {hub: hub.lab.org}",
        )
    if gateway.address is None or config.load_balancer is None:
        return
    ranges = [addresses for pool in config.load_balancer.pools for addresses in pool.addresses]
    if not any(gateway.address in addresses for addresses in ranges):
        yield Problem(
            path=("gateway", "address"),
            what=f"{gateway.address} is in none of the pools",
            remedy=f"write an address of {', '.join(map(str, ranges))}",
        )


def _publishing(config: NetworkConfig) -> Iterator[Problem]:
    if config.hostnames and config.gateway is None and config.use is None:
        yield Problem(
            path=("hostnames",),
            what="nothing serves these host names",
            remedy="add network.gateway, or network.use with the Gateway of another stack",
        )
    counts = Counter(config.hostnames.values())
    for service, hostname in config.hostnames.items():
        if counts[hostname] > 1:
            yield Problem(
                path=("hostnames", service),
                what=f"{hostname} names {counts[hostname]} services",
                remedy="give every service a host name of its own",
            )
        if isinstance(config.certificates, AcmeCertificates) and (
            hostname.endswith(PRIVATE_SUFFIXES) or "." not in hostname
        ):
            yield Problem(
                path=("hostnames", service),
                what=f"no ACME server certifies {hostname}, which only exists inside",
                remedy="write a public name, or take certificates of kind lab-ca or self-signed",
            )


def _duplicates(noun: str, names: list[str], path: Path, field: str) -> Iterator[Problem]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Problem(
                path=(*path, index, field),
                what=f"there are two {noun}s named {name}",
                remedy=f"give every {noun} a name of its own",
            )
