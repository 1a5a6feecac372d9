"""What is wrong with the hub section that no single field shows; every problem at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.addresses import AddressRange
from components.hub.identity.checks import check_identity
from components.hub.limits.checks import check_limits
from components.hub.operation.checks import check_operation
from components.hub.profiles.checks import ProfileFacts, check_profiles
from components.hub.signin.checks import check_signin
from components.network.flows import METADATA_NETWORKS
from components.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.addresses import AnyNetwork
    from components.network.facts import NetworkFacts
    from components.problems import Path

    from .config import HubConfig
    from .network_config import NetworkClass

__all__ = ["check", "check_networks"]

_HOST_NETWORK = "hosts' network"


def check(config: HubConfig, facts: ProfileFacts, *, hostname: str | None, is_simulated: bool) -> Iterator[Problem]:
    """Yield everything wrong with a hub section; paths within the section.

    Parameters
    ----------
    config
        The section.
    facts
        What the profiles are judged by: slices, pinned images, nodes.
    hostname
        The hub's public name (``network.hostnames.hub``), or None where it has none.
    is_simulated
        Whether the cluster is simulated: only there may anybody enter without a password.
    """
    yield from check_signin(config, hostname=hostname, is_simulated=is_simulated)
    yield from check_identity(config, images=facts.images, is_simulated=is_simulated)
    yield from check_operation(config)
    yield from check_limits(config)
    yield from check_profiles(config, facts)


def check_networks(config: HubConfig, network: NetworkFacts) -> Iterator[Problem]:
    """Yield what of the section opens to notebooks that stays closed to them; paths within the section.

    Parameters
    ----------
    config
        The section.
    network
        The stack's network.
    """
    yield from _opened(config.network, network, ("network",))
    for name, access in config.network.classes.items():
        yield from _opened(access, network, ("network", "classes", name))


def _opened(access: NetworkClass, network: NetworkFacts, path: Path) -> Iterator[Problem]:
    for index, rule in enumerate(access.allow):
        for place, opened in enumerate(rule.networks):
            for what, closed in _closed_networks(network):
                if opened.version == closed.version and AddressRange.of(opened).within(closed):
                    yield Problem(
                        path=(*path, "allow", index, "networks", place),
                        what=f"{opened} is of the {what} {closed}, which no notebook ever reaches",
                        remedy="give servers for notebooks addresses outside it",
                    )
    proxy = access.proxy
    for what, closed in _closed_networks(network):
        # A proxy on one of the hosts' addresses is a machine of the lab like another; one port of it is opened.
        if proxy is not None and proxy.address in closed and what != _HOST_NETWORK:
            yield Problem(
                path=(*path, "proxy", "address"),
                what=f"{proxy.address} is of the {what} {closed}, which no notebook ever reaches",
                remedy="write the address of a proxy on a machine of the lab",
            )


def _closed_networks(network: NetworkFacts) -> Iterator[tuple[str, AnyNetwork]]:
    named = {
        "pod network": network.pods,
        "service network": network.services,
        _HOST_NETWORK: network.hosts,
        "management network": network.management,
        "metadata addresses": METADATA_NETWORKS,
    }
    for what, networks in named.items():
        for closed in networks:
            yield what, closed
