"""Addresses and names: networks, ranges, DNS labels and names, OpenSSH host keys.

`Cidr` and `Address` are the standard library's own objects (`ipaddress`), of either family, read strictly.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import core_schema

from .errors import ConfigurationError, MalformedValueError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

__all__ = [
    "Address",
    "AddressRange",
    "AnyAddress",
    "AnyNetwork",
    "Cidr",
    "DnsLabel",
    "DnsName",
    "HostKey",
    "PublishedName",
    "parse_address",
    "parse_cidr",
]

AnyAddress = IPv4Address | IPv6Address
AnyNetwork = IPv4Network | IPv6Network

LONGEST_LABEL = 63
"""Characters of a DNS label (RFC 1035, 2.3.4); also the longest Kubernetes object name that can be a label's value."""
LONGEST_NAME = 253
"""Characters of a DNS name (RFC 1035, 2.3.4, less the length octets; Kubernetes' DNS subdomain)."""

_LABEL_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_LABEL_TEXT = re.compile(_LABEL_PATTERN[:-1] + r"\Z")
_KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
"""Host key algorithms of OpenSSH's server; DSA keys are gone since OpenSSH 10.0."""


def parse_address(value: object) -> AnyAddress:
    """Return one IPv4 or IPv6 address.

    Raises
    ------
    MalformedValueError
        If the value is not the text of one address; a mask or a port beside it is refused.
    """
    if isinstance(value, IPv4Address | IPv6Address):
        return value
    if isinstance(value, str):
        try:
            return ip_address(value)
        except ValueError:
            pass
    raise MalformedValueError(value, "an IP address", "write one address, such as 192.0.2.10 or 2001:db8::10")


def parse_cidr(value: object) -> AnyNetwork:
    """Return one IPv4 or IPv6 network.

    Raises
    ------
    MalformedValueError
        If the value is not the text of a network, or has bits set beyond its prefix.
    """
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    if isinstance(value, str) and "/" in value:
        try:
            return ip_network(value)
        except ValueError:
            pass
        try:
            network = ip_network(value, strict=False)
        except ValueError:
            pass
        else:
            raise MalformedValueError(value, "a network: bits are set beyond its prefix", f"write {network}")
    raise MalformedValueError(value, "a network in CIDR notation", "write one, such as 192.0.2.0/24 or 2001:db8::/64")


Address = Annotated[
    AnyAddress,
    PlainValidator(parse_address),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}], "examples": ["192.0.2.10"]}),
]
"""One IPv4 or IPv6 address."""

Cidr = Annotated[
    AnyNetwork,
    PlainValidator(parse_cidr),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9a-fA-F:.]+/[0-9]{1,3}$", "examples": ["192.0.2.0/24"]}),
]
"""One IPv4 or IPv6 network in CIDR notation."""


@dataclass(frozen=True, slots=True)
class AddressRange:
    """Addresses from `first` to `last`, both included: ``192.0.2.200-192.0.2.220`` or a CIDR.

    Examples
    --------
    >>> str(AddressRange.parse("192.0.2.8/30"))
    '192.0.2.8-192.0.2.11'
    """

    first: AnyAddress
    last: AnyAddress

    def __post_init__(self) -> None:
        if self.first.version != self.last.version:
            raise ConfigurationError(
                what=f"{self.first} and {self.last} are of two families", remedy="write two of the same"
            )
        if int(self.first) > int(self.last):
            raise ConfigurationError(what=f"the range {self} runs backwards", remedy=f"write {self.last}-{self.first}")

    @classmethod
    def parse(cls, value: object) -> AddressRange:
        """Return the range a text names.

        Raises
        ------
        MalformedValueError
            If it is neither ``first-last`` nor a network in CIDR notation.
        ConfigurationError
            If the two ends are of two families, or the wrong way round.
        """
        if isinstance(value, AddressRange):
            return value
        if isinstance(value, str) and "/" in value:
            return cls.of(parse_cidr(value))
        ends = value.split("-") if isinstance(value, str) else []
        if len(ends) != 2:  # noqa: PLR2004 - a range has two ends
            raise MalformedValueError(value, "a range", "write 192.0.2.200-192.0.2.220 or 192.0.2.192/27")
        return cls(parse_address(ends[0].strip()), parse_address(ends[1].strip()))

    @classmethod
    def of(cls, network: AnyNetwork) -> AddressRange:
        """Return the range of all addresses of a network."""
        return cls(network[0], network[-1])

    @property
    def count(self) -> int:
        """Number of addresses."""
        return int(self.last) - int(self.first) + 1

    def overlaps(self, other: AddressRange | AnyNetwork) -> bool:
        """Tell whether any address is in both."""
        if not isinstance(other, AddressRange):
            other = AddressRange.of(other)
        if self.first.version != other.first.version:
            return False
        return int(self.first) <= int(other.last) and int(other.first) <= int(self.last)

    def within(self, network: AnyNetwork) -> bool:
        """Tell whether every address of the range is in the network."""
        return self.first in network and self.last in network

    def __contains__(self, address: AnyAddress) -> bool:
        return self.first.version == address.version and int(self.first) <= int(address) <= int(self.last)

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: type[object], _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.to_string_ser_schema(when_used="always")
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        pattern = r"^[0-9a-fA-F:.]+(/[0-9]{1,3}|\s*-\s*[0-9a-fA-F:.]+)$"
        return {"type": "string", "pattern": pattern, "examples": ["192.0.2.200-192.0.2.220", "192.0.2.192/27"]}


def _dns_label(text: str) -> str:
    if _LABEL_TEXT.match(text) is None:
        raise MalformedValueError(
            text, "a DNS label", f"write at most {LONGEST_LABEL} of a-z, 0-9 and '-', with no '-' at either end"
        )
    return text


def _dns_name(text: str) -> str:
    labels = text.split(".")
    if len(text) > LONGEST_NAME or any(_LABEL_TEXT.match(label) is None for label in labels):
        raise MalformedValueError(
            text, "a DNS name", "write labels of a-z, 0-9 and '-' with dots between: hub.example.org"
        )
    return text


def _published_name(text: str) -> str:
    """Return a DNS name or a wildcard, one label for all (RFC 1034, 4.3.3; Gateway API, `Hostname`)."""
    return f"*.{_dns_name(text.removeprefix('*.'))}" if text.startswith("*.") else _dns_name(text)


def _host_key(text: str) -> str:
    parts = text.split()
    if len(parts) < 2 or parts[0] not in _KEY_TYPES or not _is_key_blob(parts[0], parts[1]):  # noqa: PLR2004 - type and key
        raise MalformedValueError(
            text, "an OpenSSH public host key", "write what ssh-keyscan -t ed25519 HOST prints, without the host's name"
        )
    return " ".join(parts[:2])


def _is_key_blob(key_type: str, encoded: str) -> bool:
    """Tell whether the base64 holds a key of that type: it begins with its type's length and name (RFC 4253, 6.6)."""
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return False
    name = key_type.encode()
    return blob.startswith(len(name).to_bytes(4, "big") + name) and len(blob) > len(name) + 4


DnsLabel = Annotated[
    str,
    AfterValidator(_dns_label),
    WithJsonSchema({"type": "string", "pattern": _LABEL_PATTERN, "maxLength": LONGEST_LABEL}),
]
"""One label of a DNS name: what Kubernetes takes as the name of nearly anything."""

DnsName = Annotated[
    str,
    AfterValidator(_dns_name),
    WithJsonSchema({"type": "string", "pattern": _NAME_PATTERN, "maxLength": LONGEST_NAME}),
]
"""A DNS name of one label or more, without a trailing dot."""

PublishedName = Annotated[
    str,
    AfterValidator(_published_name),
    WithJsonSchema({"type": "string", "pattern": r"^(\*\.)?" + _NAME_PATTERN[1:], "maxLength": LONGEST_NAME}),
]
"""A DNS name, or all names one label below one: ``*.apps.example.org``."""

HostKey = Annotated[
    str,
    AfterValidator(_host_key),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^({'|'.join(_KEY_TYPES)}) [A-Za-z0-9+/]+=*",
            "examples": ["ssh-ed25519 AAAAC3Nz..."],
        }
    ),
]
"""A server's public key as OpenSSH writes it: type and base64, the comment dropped."""
