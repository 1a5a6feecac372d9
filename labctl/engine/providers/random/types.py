"""The random types: their properties, defaults and stored shapes, those of pulumi-random 4.21."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from labctl.engine.providers.properties import Kind
from labctl.graph.values import Secret, Value, as_text, reveal

from .generate import CharacterClasses, bcrypt_hash, random_bytes, random_pet, random_string, random_uuid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labctl.graph.values import Inputs

__all__ = ["TYPES", "RandomType"]

STRING_KINDS: Final = {
    "keepers": Kind.TEXT_MAP,
    "length": Kind.INTEGER,
    "lower": Kind.BOOLEAN,
    "minLower": Kind.INTEGER,
    "minNumeric": Kind.INTEGER,
    "minSpecial": Kind.INTEGER,
    "minUpper": Kind.INTEGER,
    "number": Kind.BOOLEAN,
    "numeric": Kind.BOOLEAN,
    "overrideSpecial": Kind.TEXT,
    "special": Kind.BOOLEAN,
    "upper": Kind.BOOLEAN,
}
STRING_DEFAULTS: Final[Mapping[str, Value]] = {
    "lower": True,
    "minLower": 0,
    "minNumeric": 0,
    "minSpecial": 0,
    "minUpper": 0,
    "number": True,
    "numeric": True,
    "special": True,
    "upper": True,
}
MINIMA: Final = ("minLower", "minNumeric", "minSpecial", "minUpper")


@dataclass(frozen=True, kw_only=True)
class RandomType:
    """One type of random resource."""

    kinds: Mapping[str, Kind]
    """Input properties."""
    required: tuple[str, ...] = ()
    defaults: Mapping[str, Value] = field(default_factory=dict[str, "Value"])
    """What an absent input becomes in the outputs; any other stays absent."""
    computed: tuple[str, ...]
    """Outputs that are drawn, ``id`` among them."""
    sealed: tuple[str, ...] = ()
    """Those of `computed` that are secrets."""
    schema_version: int = 0
    """Of the stored shape, in ``__meta``; 0 is not stored."""
    draw: Callable[[Inputs], Inputs]
    """Planned outputs, opened, to values for `computed`."""

    def planned(self, inputs: Inputs) -> Inputs:
        """Return `inputs` with the defaults filled in, as the outputs have them."""
        result = {**self.defaults, **inputs}
        if "number" in self.defaults:  # the old and the new name of one property
            digits = inputs.get("numeric", inputs.get("number", True))
            result |= {"number": digits, "numeric": digits}
        return result

    def outputs(self, inputs: Inputs) -> Inputs:
        """Draw the values and return all outputs, with what the official provider's bridge stores beside them."""
        planned = self.planned(inputs)
        opened = {key: reveal(value) for key, value in planned.items()}
        drawn = {key: Secret(value) if key in self.sealed else value for key, value in self.draw(opened).items()}
        return {**planned, **drawn, **self.bookkeeping(planned)}

    def bookkeeping(self, planned: Inputs) -> Inputs:
        """Return what the bridge keeps: the schema's version, and which of its attributes were null.

        With these the official provider sees no change in a state that this engine wrote.
        """
        null: Value = {"replace": {"raw": None}}
        absent = {name: Secret(null) for name in self.kinds if planned.get(name) is None and name not in self.defaults}
        delta: dict[str, Value] = {**absent}
        if planned.get("keepers") is not None:
            delta["keepers"] = {"map": {}}
        result: Inputs = {"__pulumi_raw_state_delta": {"obj": {"ps": delta}}}
        if self.schema_version:
            result["__meta"] = f'{{"schema_version":"{self.schema_version}"}}'
        return result


def _integer(values: Inputs, name: str) -> int:
    value = values.get(name)
    return value if isinstance(value, int) else 0


def _classes(values: Inputs) -> CharacterClasses:
    return CharacterClasses(
        length=_integer(values, "length"),
        lower=bool(values.get("lower")),
        upper=bool(values.get("upper")),
        numeric=bool(values.get("numeric")),
        special=bool(values.get("special")),
        min_lower=_integer(values, "minLower"),
        min_upper=_integer(values, "minUpper"),
        min_numeric=_integer(values, "minNumeric"),
        min_special=_integer(values, "minSpecial"),
        override_special=as_text(values.get("overrideSpecial")),
    )


def _password(values: Inputs) -> Inputs:
    result = random_string(_classes(values))
    return {"id": "none", "result": result, "bcryptHash": bcrypt_hash(result)}


def _string(values: Inputs) -> Inputs:
    result = random_string(_classes(values))
    return {"id": result, "result": result}


def _id(values: Inputs) -> Inputs:
    drawn = random_bytes(_integer(values, "byteLength"))
    prefix = as_text(values.get("prefix"))
    return {
        "id": drawn.b64_url,
        "b64Std": prefix + drawn.b64_std,
        "b64Url": prefix + drawn.b64_url,
        "dec": prefix + drawn.dec,
        "hex": prefix + drawn.hex,
    }


def _pet(values: Inputs) -> Inputs:
    separator = as_text(values.get("separator"))
    pet = random_pet(_integer(values, "length"), separator)
    prefix = as_text(values.get("prefix"))
    return {"id": f"{prefix}{separator}{pet}" if prefix else pet}


def _uuid(_values: Inputs) -> Inputs:
    result = random_uuid()
    return {"id": result, "result": result}


def _number(values: Inputs) -> Inputs:
    least = _integer(values, "min")
    result = least + secrets.randbelow(_integer(values, "max") - least + 1)
    return {"id": str(result), "result": result}


TYPES: Final[Mapping[str, RandomType]] = {
    "random:index/randomPassword:RandomPassword": RandomType(
        kinds=STRING_KINDS,
        required=("length",),
        defaults=STRING_DEFAULTS,
        computed=("bcryptHash", "id", "result"),
        sealed=("bcryptHash", "result"),
        schema_version=3,
        draw=_password,
    ),
    "random:index/randomString:RandomString": RandomType(
        kinds=STRING_KINDS,
        required=("length",),
        defaults=STRING_DEFAULTS,
        computed=("id", "result"),
        schema_version=2,
        draw=_string,
    ),
    "random:index/randomId:RandomId": RandomType(
        kinds={"byteLength": Kind.INTEGER, "keepers": Kind.TEXT_MAP, "prefix": Kind.TEXT},
        required=("byteLength",),
        computed=("b64Std", "b64Url", "dec", "hex", "id"),
        draw=_id,
    ),
    "random:index/randomPet:RandomPet": RandomType(
        kinds={"keepers": Kind.TEXT_MAP, "length": Kind.INTEGER, "prefix": Kind.TEXT, "separator": Kind.TEXT},
        defaults={"length": 2, "separator": "-"},
        computed=("id",),
        draw=_pet,
    ),
    "random:index/randomUuid:RandomUuid": RandomType(
        kinds={"keepers": Kind.TEXT_MAP}, computed=("id", "result"), draw=_uuid
    ),
    "random:index/randomInteger:RandomInteger": RandomType(
        kinds={"keepers": Kind.TEXT_MAP, "max": Kind.INTEGER, "min": Kind.INTEGER, "seed": Kind.TEXT},
        required=("min", "max"),
        computed=("id", "result"),
        draw=_number,
    ),
}
"""By type token; ``seed`` is known and refused: it would have to give what Go's generator gives."""
