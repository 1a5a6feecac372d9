"""The gateway's address: which pool it comes from, of which families it is, what MetalLB is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.addresses import AnyAddress
    from components.networks import Networks

    from .config import AddressPool, EnvoyGateway

__all__ = [
    "ADDRESSES_ANNOTATION",
    "address_annotations",
    "address_families",
    "candidate_pools",
    "gateway_addresses",
    "pool_families",
]

ADDRESSES_ANNOTATION = "metallb.io/loadBalancerIPs"
"""Annotation of a Service that asks for certain addresses, one per family (MetalLB, Usage)."""
POOL_ANNOTATION = "metallb.io/address-pool"
"""Annotation of a Service that asks for a certain pool: the only way to one that is not automatic (MetalLB, Usage)."""


def gateway_addresses(config: EnvoyGateway) -> tuple[AnyAddress, ...]:
    """Return the gateway's addresses as far as the stack file says them, the first one first."""
    return tuple(address for address in (config.address, config.second_address) if address is not None)


def pool_families(pool: AddressPool) -> frozenset[int]:
    """Return the IP versions of a pool's addresses."""
    return frozenset(addresses.first.version for addresses in pool.addresses)


def candidate_pools(config: EnvoyGateway, pools: Sequence[AddressPool]) -> tuple[AddressPool, ...]:
    """Return the pools that the gateway's address may come from.

    They are the one it names, or those that hold its addresses, or any that gives addresses unasked. MetalLB takes all
    addresses of a Service out of one pool.
    """
    if config.pool is not None:
        return tuple(pool for pool in pools if pool.name == config.pool)
    if wanted := gateway_addresses(config):
        return tuple(
            pool for pool in pools if all(any(address in held for held in pool.addresses) for address in wanted)
        )
    return tuple(pool for pool in pools if pool.automatic)


def address_annotations(config: EnvoyGateway, pools: Sequence[AddressPool]) -> Mapping[str, str]:
    """Return what the proxies' Service tells MetalLB; the pool is named where MetalLB would not take it unasked."""
    annotations: dict[str, str] = {}
    if wanted := gateway_addresses(config):
        annotations[ADDRESSES_ANNOTATION] = ",".join(str(address) for address in wanted)
    asked = [pool.name for pool in candidate_pools(config, pools) if config.pool is not None or not pool.automatic]
    if asked:
        annotations[POOL_ANNOTATION] = asked[0]
    return annotations


def address_families(config: EnvoyGateway, pools: Sequence[AddressPool], services: Networks) -> frozenset[int]:
    """Return the IP versions the gateway has an address of.

    Where the stack file does not say its addresses, those that every pool it may come from can give; where that is
    unknown too, the primary one of services.
    """
    if wanted := gateway_addresses(config):
        return frozenset(address.version for address in wanted)
    given = [pool_families(pool) & frozenset(services.families) for pool in candidate_pools(config, pools)]
    common = frozenset[int].intersection(*given) if given else frozenset[int]()
    return common or frozenset({services.primary.version})
