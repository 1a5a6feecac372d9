"""Quantities with their units: `Size` in bytes, `Duration` in seconds, `Millicores` of CPU.

Each reads the notation of the field (``64Gi``, ``4h30m``, ``500m``), compares and adds, renders canonically, and is
a pydantic type with a JSON Schema of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic_core import core_schema

from .errors import ConfigurationError, MalformedValueError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

__all__ = ["Duration", "Millicores", "Size"]

_BINARY_SUFFIXES = {"Ei": 2**60, "Pi": 2**50, "Ti": 2**40, "Gi": 2**30, "Mi": 2**20, "Ki": 2**10}
"""Bytes per binary suffix (IEC 80000-13, as Kubernetes' resource.Quantity spells them)."""
_DECIMAL_SUFFIXES = {"E": 10**18, "P": 10**15, "T": 10**12, "G": 10**9, "M": 10**6, "k": 10**3}
"""Bytes per decimal suffix (SI, as Kubernetes' resource.Quantity spells them: a small k)."""
_SIZE_SUFFIXES = {**_BINARY_SUFFIXES, **_DECIMAL_SUFFIXES, "": 1}
_SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$"
_SIZE_TEXT = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<suffix>Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E|)")

_DURATION_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
"""Seconds per unit, largest first."""
_DURATION_PATTERN = r"^(?=[0-9])([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$"
_DURATION_TEXT = re.compile(r"(?=[0-9])(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?")

_MILLICORES_PATTERN = r"^([0-9]+m|[0-9]+(\.[0-9]{1,3})?)$"
_MILLICORES_TEXT = re.compile(r"(?:(?P<milli>[0-9]+)m|(?P<cores>[0-9]+(?:\.[0-9]{1,3})?))")
_MILLI = 1000
"""Millicores of one core."""


class _Quantity:
    """What the three quantities share: validation from text or number, canonical text out, JSON Schema."""

    _pattern: ClassVar[str]
    _examples: ClassVar[tuple[str, ...]]
    _number_meaning: ClassVar[str | None]
    """What a bare number in the file means, or None where it is refused for want of a unit."""

    @classmethod
    def parse(cls, text: str) -> Self:
        raise NotImplementedError

    @classmethod
    def _from_number(cls, number: float) -> Self:
        return cls.parse(f"{Decimal(str(number)):f}")

    @classmethod
    def _validate(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and cls._number_meaning is not None:
            return cls._from_number(value)
        raise MalformedValueError(value, cls._kind(), f"write {' or '.join(cls._examples)}")

    @classmethod
    def _kind(cls) -> str:
        return f"a {cls.__name__.lower()}"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: type[object], _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.to_string_ser_schema(when_used="always")
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        text: JsonSchemaValue = {"type": "string", "pattern": cls._pattern}
        if cls._number_meaning is None:
            return {**text, "examples": list(cls._examples)}
        number = {"type": "number", "minimum": 0, "description": cls._number_meaning}
        return {"anyOf": [text, number], "examples": list(cls._examples)}


@dataclass(frozen=True, order=True, slots=True)
class Size(_Quantity):
    """An amount of memory or storage, in whole bytes.

    Examples
    --------
    >>> str(Size.parse("1024Gi")), str(Size.parse("500G")), Size.gibibytes(2).bytes
    ('1Ti', '500G', 2147483648)
    """

    _pattern = _SIZE_PATTERN
    _examples = ("64Gi", "500G", "10Ti")
    _number_meaning = "Bytes."

    bytes: int

    def __post_init__(self) -> None:
        if self.bytes < 0:
            raise ConfigurationError(what=f"a size of {self.bytes} bytes is below zero", remedy="write 0 or more")

    @classmethod
    def parse(cls, text: str) -> Size:
        """Return the size that a Kubernetes quantity names.

        Raises
        ------
        MalformedValueError
            If the text is no quantity, or not a whole number of bytes.
        """
        match = _SIZE_TEXT.fullmatch(text)
        if match is None:
            raise MalformedValueError(text, "a size", "write a number and a suffix, such as 64Gi, 500G or 10Ti")
        count = Decimal(match["number"]) * _SIZE_SUFFIXES[match["suffix"]]
        if count != count.to_integral_value():
            raise MalformedValueError(text, "a whole number of bytes", "write a smaller unit, such as 1536Mi")
        return cls(int(count))

    @classmethod
    def gibibytes(cls, count: int) -> Size:
        """Return a size of so many GiB (2**30 bytes)."""
        return cls(count * 2**30)

    @property
    def whole_gibibytes(self) -> int:
        """GiB (2**30 bytes), rounded down."""
        return self.bytes // 2**30

    def __add__(self, other: Size) -> Size:
        return Size(self.bytes + other.bytes)

    def __sub__(self, other: Size) -> Size:
        return Size(self.bytes - other.bytes)

    def __mul__(self, factor: int) -> Size:
        return Size(self.bytes * factor)

    def __str__(self) -> str:
        if self.bytes == 0:
            return "0"
        exact = ((self.bytes // unit, suffix) for suffix, unit in _SIZE_SUFFIXES.items() if self.bytes % unit == 0)
        count, suffix = min(exact, key=lambda candidate: candidate[0])
        return f"{count}{suffix}"


@dataclass(frozen=True, order=True, slots=True)
class Duration(_Quantity):
    """A length of time, in whole seconds. It renders as Go reads it: no days, so ``1d`` becomes ``24h``.

    Examples
    --------
    >>> str(Duration.parse("1d4h")), Duration.parse("4h30m").seconds
    ('28h', 16200)
    """

    _pattern = _DURATION_PATTERN
    _examples = ("4h30m", "90s", "1d")
    _number_meaning = None

    seconds: int

    def __post_init__(self) -> None:
        if self.seconds < 0:
            raise ConfigurationError(what=f"a duration of {self.seconds} s is below zero", remedy="write 0s or more")

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Return the duration a text such as ``1d4h30m10s`` names; units in that order, each at most once.

        Raises
        ------
        MalformedValueError
            If the text is anything else; a number without a unit is refused.
        """
        match = _DURATION_TEXT.fullmatch(text)
        if match is None:
            raise MalformedValueError(text, "a duration", "write numbers with units, such as 4h30m, 90s or 1d")
        counts = zip(match.groups(default="0"), _DURATION_UNITS.values(), strict=True)
        return cls(sum(int(count) * unit for count, unit in counts))

    @property
    def whole_minutes(self) -> int:
        """Minutes, rounded down."""
        return self.seconds // 60

    def __add__(self, other: Duration) -> Duration:
        return Duration(self.seconds + other.seconds)

    def __mul__(self, factor: int) -> Duration:
        return Duration(self.seconds * factor)

    def __str__(self) -> str:
        hours, rest = divmod(self.seconds, 3_600)
        minutes, seconds = divmod(rest, 60)
        parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
        return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


@dataclass(frozen=True, order=True, slots=True)
class Millicores(_Quantity):
    """An amount of CPU, in thousandths of a core (a hardware thread, as Kubernetes counts).

    Examples
    --------
    >>> str(Millicores.parse("0.5")), str(Millicores.parse("2000m")), Millicores.parse("2").millicores
    ('500m', '2', 2000)
    """

    _pattern = _MILLICORES_PATTERN
    _examples = ("2", "500m", "0.5")
    _number_meaning = "Cores."

    millicores: int

    def __post_init__(self) -> None:
        if self.millicores < 0:
            raise ConfigurationError(what=f"{self.millicores} millicores are below zero", remedy="write 0 or more")

    @classmethod
    def parse(cls, text: str) -> Millicores:
        """Return the CPU amount a text such as ``2``, ``0.5`` or ``500m`` names.

        Raises
        ------
        MalformedValueError
            If the text is anything else, or finer than a millicore.
        """
        match = _MILLICORES_TEXT.fullmatch(text)
        if match is None:
            raise MalformedValueError(text, "a number of cores", "write cores or millicores, such as 2, 0.5 or 500m")
        if match["milli"] is not None:
            return cls(int(match["milli"]))
        return cls(int(Decimal(match["cores"]) * _MILLI))

    @classmethod
    def cores(cls, count: int) -> Millicores:
        """Return so many whole cores."""
        return cls(count * _MILLI)

    @classmethod
    def _kind(cls) -> str:
        return "a number of cores"

    @property
    def as_cores(self) -> float:
        """Cores, as a number with a fraction."""
        return self.millicores / _MILLI

    def __add__(self, other: Millicores) -> Millicores:
        return Millicores(self.millicores + other.millicores)

    def __mul__(self, factor: int) -> Millicores:
        return Millicores(self.millicores * factor)

    def __str__(self) -> str:
        cores, rest = divmod(self.millicores, _MILLI)
        return f"{self.millicores}m" if rest else str(cores)
