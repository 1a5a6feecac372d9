"""Networks by address family: one, or one of each (dual stack), the first the primary one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from .addresses import AddressRange, AnyNetwork, parse_cidr
from .errors import ConfigurationError, MalformedValueError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .addresses import AnyAddress

__all__ = ["IPV4", "IPV6", "DualStack", "Networks", "family_name"]

IPV4 = 4
"""`version` of the standard library's IPv4 objects."""
IPV6 = 6
"""`version` of the standard library's IPv6 objects."""
_CIDR_PATTERN = r"^[0-9a-fA-F:.]+/[0-9]{1,3}$"


def family_name(version: int) -> str:
    """Return the name of an address family by its version: ``IPv4`` or ``IPv6``."""
    return f"IPv{version}"


@dataclass(frozen=True, slots=True)
class Networks:
    """One network, or one per address family in Kubernetes' order: what has one address has it of the first.

    Examples
    --------
    >>> str(Networks.of("10.244.0.0/16", "fd00:10:244::/56"))
    '10.244.0.0/16,fd00:10:244::/56'
    """

    primary: AnyNetwork
    secondary: AnyNetwork | None = None

    def __post_init__(self) -> None:
        if self.secondary is not None and self.secondary.version == self.primary.version:
            raise ConfigurationError(
                what=f"{self.primary} and {self.secondary} are both {family_name(self.primary.version)}",
                remedy="write one network, or one of IPv4 and one of IPv6",
            )

    @classmethod
    def of(cls, *texts: str) -> Networks:
        """Return the networks that texts in CIDR notation name.

        Raises
        ------
        ConfigurationError
            If there are none, more than two, or two of one family; or if a text is no network.
        """
        return cls.parse(list(texts))

    @classmethod
    def parse(cls, value: object) -> Networks:
        """Return the networks a value of a stack file names: one text, or a list of one or two.

        Raises
        ------
        ConfigurationError
            As `of` does.
        """
        if isinstance(value, Networks):
            return value
        if not isinstance(value, list | tuple):
            return cls(parse_cidr(value))
        items = cast("list[object] | tuple[object, ...]", value)
        if not 1 <= len(items) <= 2:  # noqa: PLR2004 - there are two families
            shown = ", ".join(str(item) for item in items) or "an empty list"
            raise MalformedValueError(shown, "one network or two", "write one, or one of IPv4 and one of IPv6")
        return cls(*(parse_cidr(item) for item in items))

    @property
    def members(self) -> tuple[AnyNetwork, ...]:
        """The networks, the primary one first."""
        return (self.primary,) if self.secondary is None else (self.primary, self.secondary)

    @property
    def families(self) -> tuple[int, ...]:
        """Version of each network, the primary one first: ``(4,)``, ``(4, 6)``."""
        return tuple(member.version for member in self.members)

    @property
    def is_dual(self) -> bool:
        """Whether there is a network of each family."""
        return self.secondary is not None

    def of_family(self, version: int) -> AnyNetwork | None:
        """Return the network of a family, or None where there is none."""
        return next((member for member in self.members if member.version == version), None)

    def overlaps(self, other: AddressRange | AnyNetwork) -> bool:
        """Tell whether any address is in both."""
        return any(AddressRange.of(member).overlaps(other) for member in self.members)

    def hold(self, addresses: AddressRange) -> bool:
        """Tell whether every address of a range is in one of the networks."""
        return any(addresses.first.version == member.version and addresses.within(member) for member in self.members)

    def __iter__(self) -> Iterator[AnyNetwork]:
        return iter(self.members)

    def __contains__(self, address: AnyAddress) -> bool:
        return any(address in member for member in self.members)

    def __str__(self) -> str:
        return ",".join(str(member) for member in self.members)


def _plain(networks: Networks) -> str | list[str]:
    return [str(member) for member in networks.members] if networks.is_dual else str(networks.primary)


DualStack = Annotated[
    Networks,
    PlainValidator(Networks.parse),
    PlainSerializer(_plain, return_type=str | list[str]),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": _CIDR_PATTERN},
                {
                    "type": "array",
                    "items": {"type": "string", "pattern": _CIDR_PATTERN},
                    "minItems": 1,
                    "maxItems": 2,
                },
            ],
            "examples": ["10.244.0.0/16", ["10.244.0.0/16", "fd00:10:244::/56"]],
        }
    ),
]
"""One network in CIDR notation, or a list of one per family, the first the primary one."""
