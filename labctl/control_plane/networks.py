"""The networks a control plane was made with: they are in its objects, so it keeps them for good."""

import ipaddress
import json

from .components import Layout, Networks
from .errors import DamagedDataError, InvalidNetworkError, NetworkChangedError
from .pki import write_private

__all__ = ["ipv4_network", "keep_networks", "kept_networks"]


def kept_networks(layout: Layout) -> Networks | None:
    """Return the networks that are kept, None before the first start.

    Raises
    ------
    DamagedDataError
        If their file cannot be read.
    """
    try:
        return Networks(**json.loads(layout.networks.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise DamagedDataError(path=layout.networks, reason=str(error)) from error


def keep_networks(layout: Layout, networks: Networks) -> None:
    """Keep the networks of a first start; of a later one, see that they are the same.

    Raises
    ------
    NetworkChangedError
        If they are not.
    DamagedDataError
        If the kept ones cannot be read.
    """
    kept = kept_networks(layout)
    if kept is None:
        text = json.dumps({"pods": networks.pods, "services": networks.services})
        write_private(layout.networks, text.encode())
        return
    for which, old, new in (("service", kept.services, networks.services), ("pod", kept.pods, networks.pods)):
        if old != new:
            raise NetworkChangedError(directory=layout.directory, which=which, kept=old, wanted=new)


def ipv4_network(which: str, value: str) -> ipaddress.IPv4Network:
    """Return the IPv4 network of one or two.

    Raises
    ------
    InvalidNetworkError
        If they are none, or too small.
    """
    first, *others = value.split(",")
    try:
        network = ipaddress.IPv4Network(first)
        second = [ipaddress.IPv6Network(other) for other in others]
    except ValueError as error:
        raise InvalidNetworkError(which=which, value=value, reason=str(error)) from error
    if len(second) > 1:
        raise InvalidNetworkError(which=which, value=value, reason="there is more than one of a family")
    if network.prefixlen > 24:  # noqa: PLR2004 - 256 addresses are few even for a test
        raise InvalidNetworkError(which=which, value=value, reason="it has fewer than 256 addresses (/24)")
    return network
