"""Kubernetes resource quantities, compared as amounts: the API server rewrites ``1024Mi`` to ``1Gi``. Pure."""

import re
from decimal import Decimal

__all__ = ["amount", "same_amount"]

_QUANTITY = re.compile(r"^([+-]?[0-9.]+)(?:([eE][+-]?[0-9]+)|(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei))?$")
_SUFFIXES = {
    **{suffix: Decimal(10) ** exponent for suffix, exponent in zip("num", (-9, -6, -3), strict=True)},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}
"""apimachinery's resource.Quantity: decimal and binary suffixes."""


def amount(quantity: str) -> Decimal:
    """Return the amount a quantity stands for: ``500m`` is 0.5, ``1Ki`` is 1024.

    Raises
    ------
    ValueError
        It is no quantity.
    """
    match = _QUANTITY.match(quantity)
    if match is None:
        message = f"{quantity!r} is no Kubernetes quantity"
        raise ValueError(message)
    number, exponent, suffix = match.groups()
    return Decimal(number + (exponent or "")) * _SUFFIXES.get(suffix or "", Decimal(1))


def same_amount(one: str | None, other: str | None) -> bool:
    """Return whether two quantities are the same amount; None is no amount at all."""
    if one is None or other is None:
        return one is other
    return one == other or amount(one) == amount(other)
