"""Where the published services are reached, and the DNS records the lab has to make for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.networks import IPV4

from .gateway_address import gateway_addresses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.model import Value

    from .config import NetworkConfig

__all__ = ["DnsRecord", "Endpoint", "endpoints"]


@dataclass(frozen=True, kw_only=True)
class DnsRecord:
    """One record for the lab's DNS."""

    name: str
    type: str
    """``A`` or ``AAAA`` (RFC 1035, RFC 3596)."""
    address: str


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One published service."""

    url: str
    """Where people open it; of a wildcard name, the form its addresses have."""
    addresses: tuple[str, ...] = ()
    """The gateway's addresses; none where MetalLB picks them, or another stack owns the gateway."""
    records: tuple[DnsRecord, ...] = ()
    """What the name has to resolve to; none where the addresses are not known."""

    def outputs(self) -> Mapping[str, Value]:
        """Return it as the outputs of a stack have it."""
        return {
            "url": self.url,
            "addresses": list(self.addresses),
            "records": [
                {"name": record.name, "type": record.type, "address": record.address} for record in self.records
            ],
        }


def endpoints(config: NetworkConfig) -> dict[str, Endpoint]:
    """Return the published services by name, sorted."""
    addresses = gateway_addresses(config.gateway) if config.gateway is not None else ()
    return {
        service: Endpoint(
            url=f"https://{hostname}",
            addresses=tuple(str(address) for address in addresses),
            records=tuple(
                DnsRecord(name=hostname, type="A" if address.version == IPV4 else "AAAA", address=str(address))
                for address in addresses
            ),
        )
        for service, hostname in sorted(config.hostnames.items())
    }
