"""What can be wrong with a network section that no single field shows: overlaps, pools, names, missing halves.

`check(config, machines)` finds it all at once; paths are relative to the section.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING

from components.problems import Path, Problem

from .address_checks import check_addresses
from .certificate_checks import check_certificates
from .gateway_address import candidate_pools, gateway_addresses
from .machines import Machine, Machines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.addresses import AddressRange, AnyAddress

    from .config import EnvoyGateway, MetalLb, NetworkConfig

__all__ = ["Machine", "Machines", "check"]

SINGLE_NAMES = ("hub",)
"""Services of this program's own: each is at one name, which it tells to others (sign-in, links), never a wildcard."""


def check(config: NetworkConfig, machines: Machines) -> Iterator[Problem]:
    """Yield what is wrong with a network section.

    Parameters
    ----------
    config
        Network section of the stack file.
    machines
        The hosts, whose addresses no load balancer may hand out.
    """
    yield from check_addresses(config, machines)
    if config.load_balancer is not None:
        yield from _pools(config, config.load_balancer, machines)
    if config.gateway is not None:
        yield from _gateway(config, config.gateway)
        yield from _gateway_address(config, config.gateway, machines)
    yield from _publishing(config)
    yield from _used(config)
    yield from check_certificates(config)


def _pools(config: NetworkConfig, metallb: MetalLb, machines: Machines) -> Iterator[Problem]:
    names = [pool.name for pool in metallb.pools]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Problem(
                path=("loadBalancer", "pools", index, "name"),
                what=f"there are two pools named {name}",
                remedy="give every pool a name of its own",
            )
    placed = [
        (("loadBalancer", "pools", pool_index, "addresses", index), addresses)
        for pool_index, pool in enumerate(metallb.pools)
        for index, addresses in enumerate(pool.addresses)
    ]
    for path, addresses in placed:
        yield from _pool_range(config, path, addresses)
        for owner, address in machines.places.items():
            if address in addresses:
                yield Problem(
                    path=path,
                    what=f"{addresses} holds {address}, the address of {owner}",
                    remedy="leave addresses that are somebody's out of the pools",
                )
    for (_, one), (path, other) in combinations(placed, 2):
        if one.overlaps(other):
            yield Problem(
                path=path,
                what=f"{other} overlaps {one}",
                remedy="write every address once",
            )


def _pool_range(config: NetworkConfig, path: Path, addresses: AddressRange) -> Iterator[Problem]:
    others = [
        *(("pods", network) for network in config.pods),
        *(("services", network) for network in config.services),
        *(("management", network) for network in config.management),
        *config.reserved.items(),
    ]
    for name, network in others:
        if addresses.overlaps(network):
            yield Problem(
                path=path,
                what=f"{addresses} overlaps the network of {name}, {network}",
                remedy="write addresses of the lab's own network",
            )
    for leased in config.dhcp:
        if addresses.overlaps(leased):
            yield Problem(
                path=path,
                what=f"{addresses} overlaps the DHCP range {leased}, out of which other machines get addresses",
                remedy="write addresses outside network.dhcp, or shorten the DHCP server's range",
            )
    if not config.hosts.hold(addresses):
        shown = " and ".join(str(network) for network in config.hosts)
        yield Problem(
            path=path,
            what=f"{addresses} is not inside the hosts' network {shown}, the only one layer2 can announce on",
            remedy=f"write addresses inside {shown}",
        )
    for network in config.hosts:
        # RFC 919: hosts' own stacks treat both as broadcasts. IPv6 has none; its first address is the routers'.
        for special, what in ((network[0], "network"), (network[-1], "broadcast")):
            if special in addresses and network.version == 4:  # noqa: PLR2004 - IPv4
                yield Problem(
                    path=path,
                    what=f"{addresses} holds {special}, the {what} address of {network}",
                    remedy="leave the first and the last address of the hosts' network out",
                )


def _gateway(config: NetworkConfig, gateway: EnvoyGateway) -> Iterator[Problem]:
    if config.certificates is None and config.use is None:
        yield Problem(
            path=("gateway",),
            what="the gateway has nothing to serve HTTPS with",
            remedy="add network.certificates (kind: acme, lab-ca, files or self-signed)",
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
    if config.load_balancer is None:
        return
    pools = config.load_balancer.pools
    names = [pool.name for pool in pools]
    if gateway.pool is not None and gateway.pool not in names:
        yield Problem(
            path=("gateway", "pool"),
            what=f"there is no pool {gateway.pool}",
            remedy=f"name one of {', '.join(names)}",
        )
    elif not gateway_addresses(gateway) and not candidate_pools(gateway, pools):
        yield Problem(
            path=("gateway",),
            what="no pool gives addresses unasked (automatic: false), and the gateway asks for none",
            remedy=f"write its address, or its pool: one of {', '.join(names)}",
        )


def _gateway_address(config: NetworkConfig, gateway: EnvoyGateway, machines: Machines) -> Iterator[Problem]:
    named = {"address": gateway.address, "secondAddress": gateway.second_address}
    for key, address in named.items():
        if address is not None:
            yield from _published_address(config, gateway, ("gateway", key), address, machines)
    first, second = gateway.address, gateway.second_address
    if second is not None and (first is None or first.version == second.version or not config.services.is_dual):
        yield Problem(
            path=("gateway", "secondAddress"),
            what=f"{second} is not the other family's of a dual-stack gateway",
            remedy="write an address and a secondAddress of two families, with pods, services and hosts in both",
        )
    elif second is not None and config.load_balancer is not None:
        pools = config.load_balancer.pools
        addresses = [held for pool in pools for held in pool.addresses]
        found = all(any(address in held for held in addresses) for address in gateway_addresses(gateway))
        if found and not candidate_pools(gateway.model_copy(update={"pool": None}), pools):
            yield Problem(
                path=("gateway", "secondAddress"),
                what=f"{first} and {second} are of two pools, and MetalLB takes a service's addresses out of one",
                remedy="write both ranges as addresses of one pool",
            )


def _published_address(
    config: NetworkConfig, gateway: EnvoyGateway, path: Path, address: AnyAddress, machines: Machines
) -> Iterator[Problem]:
    if config.load_balancer is not None:
        pools = candidate_pools(gateway, config.load_balancer.pools) if gateway.pool else config.load_balancer.pools
        ranges = [addresses for pool in pools for addresses in pool.addresses]
        if ranges and not any(address in addresses for addresses in ranges):
            yield Problem(
                path=path,
                what=f"{address} is in none of the pools" if gateway.pool is None else f"{address} is not in its pool",
                remedy=f"write an address of {', '.join(map(str, ranges))}",
            )
        return
    # Without pools of our own nobody else has looked at the address yet.
    for leased in config.dhcp:
        if address in leased:
            yield Problem(
                path=path,
                what=f"{address} lies in the DHCP range {leased}",
                remedy="write an address that no other machine can get",
            )
    for owner, taken in machines.places.items():
        if address == taken:
            yield Problem(
                path=path,
                what=f"{address} is already the address of {owner}",
                remedy="write an address of the gateway's own",
            )


def _used(config: NetworkConfig) -> Iterator[Problem]:
    """Yield what is built beside a gateway of another stack's: a cluster has one of each, and that stack has it."""
    if config.use is None:
        return
    built = {
        "cni": (config.cni, "a pod network"),
        "loadBalancer": (config.load_balancer, "a load balancer"),
        "certificates": (config.certificates, "a cert-manager"),
    }
    for key, (section, one) in built.items():
        if section is not None:
            yield Problem(
                path=(key,),
                what=f"the gateway is another stack's, and {one} is built here: a cluster has one, that stack's",
                remedy=f"leave out network.{key}, or network.use",
            )
    for service in config.use.gateway.listeners:
        if service not in config.hostnames:
            yield Problem(
                path=("use", "gateway", "listeners", service),
                what=f"the listener serves {service}, which has no host name",
                remedy=f"add {service} to network.hostnames, or leave the listener out",
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
        if service in SINGLE_NAMES and hostname.startswith("*."):
            yield Problem(
                path=("hostnames", service),
                what=f"{hostname} is a wildcard, and the {service} is at one name",
                remedy=f"write one, such as {service}{hostname[1:]}",
            )
