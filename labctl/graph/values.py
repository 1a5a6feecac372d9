"""Property values as the engine handles them: JSON, plus secrets and values not known yet.

The wire form is Pulumi's (``sdk/go/common/resource``): a secret is an object with a signature key, an unknown is a
well-known string. Inside the engine they are the two types of this module, so that no code compares magic strings.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from google.protobuf import struct_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = [
    "REDACTED",
    "UNKNOWN",
    "Inputs",
    "Plain",
    "Secret",
    "Unknown",
    "Value",
    "as_mapping",
    "as_text",
    "contains_secret",
    "contains_unknown",
    "from_struct",
    "redact",
    "reveal",
    "secret_texts",
    "to_struct",
    "transform",
]

SIGNATURE_KEY: Final = "4dabf18193072939515e22adb298388d"
"""Marks an object that stands for a special value (Pulumi: ``resource.SigKey``)."""
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a public marker, not a secret
"""Signature of a secret (Pulumi: ``resource.SecretSig``)."""
RESOURCE_SIGNATURE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
"""Signature of a resource reference (Pulumi: ``resource.ResourceReferenceSig``)."""
UNKNOWN_WIRE: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What an unknown value is on the wire and in a state (Pulumi: ``plugin.UnknownStringValue``)."""
REDACTED: Final = "[secret]"
"""What a person sees in place of a secret."""


class Unknown(Enum):
    """The type of `UNKNOWN`."""

    UNKNOWN = UNKNOWN_WIRE


UNKNOWN: Final = Unknown.UNKNOWN
"""A value that is known only after the resource it comes from exists."""


@dataclass(frozen=True)
class Secret:
    """A value that is encrypted at rest and never shown."""

    value: Value

    def __repr__(self) -> str:
        return REDACTED


Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
"""JSON."""
Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | Secret | Unknown | None"
"""JSON with secrets and unknowns anywhere in it."""
Inputs: TypeAlias = "dict[str, Value]"
"""A resource's properties by name."""


def transform(value: Value, leaf: Callable[[Secret | Unknown], Value]) -> Value:
    """Return `value` with every secret and unknown replaced by ``leaf(it)``; everything else is copied."""
    if isinstance(value, dict):
        return {key: transform(item, leaf) for key, item in value.items()}
    if isinstance(value, list):
        return [transform(item, leaf) for item in value]
    if isinstance(value, Secret | Unknown):
        return leaf(value)
    return value


def reveal(value: Value) -> Value:
    """Return `value` with every secret opened, at any depth."""
    return transform(value, lambda item: reveal(item.value) if isinstance(item, Secret) else item)


def redact(value: Value) -> Plain:
    """Return `value` as JSON fit for a person: secrets as ``[secret]``, unknowns as ``[unknown]``."""
    return cast("Plain", transform(value, lambda item: REDACTED if isinstance(item, Secret) else "[unknown]"))


def secret_texts(value: Value, *, within: bool = False) -> Iterator[str]:
    """Yield every text of `value` that lies in a secret, or every text where the whole lies `within` one."""
    if isinstance(value, Secret):
        yield from secret_texts(value.value, within=True)
    elif isinstance(value, dict):
        for item in value.values():
            yield from secret_texts(item, within=within)
    elif isinstance(value, list):
        for item in value:
            yield from secret_texts(item, within=within)
    elif within and isinstance(value, str):
        yield value


def contains_unknown(value: Value) -> bool:
    """Tell whether `value` is or holds an unknown, inside secrets too."""
    if isinstance(value, dict):
        return any(contains_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(contains_unknown(item) for item in value)
    if isinstance(value, Secret):
        return contains_unknown(value.value)
    return isinstance(value, Unknown)


def contains_secret(value: Value) -> bool:
    """Tell whether `value` is or holds a secret."""
    if isinstance(value, dict):
        return any(contains_secret(item) for item in value.values())
    if isinstance(value, list):
        return any(contains_secret(item) for item in value)
    return isinstance(value, Secret)


def as_mapping(value: Value) -> dict[str, Value]:
    """Return `value` (opened if secret) when it is an object, else an empty one."""
    opened = value.value if isinstance(value, Secret) else value
    return opened if isinstance(opened, dict) else {}


def as_text(value: Value, default: str = "") -> str:
    """Return `value` (opened if secret) when it is a string, else `default`."""
    opened = value.value if isinstance(value, Secret) else value
    return opened if isinstance(opened, str) else default


def from_struct(struct: struct_pb2.Struct, *, keep: Iterable[str] | None = None) -> Inputs:
    """Return the properties of a protobuf `struct`; whole numbers become ``int``, as the state writes them.

    `keep` limits the result to those keys. Resource references become the URN's id or the URN, as the official
    engine stores them for providers that do not understand references.
    """
    fields = struct.fields
    keys = fields.keys() if keep is None else keep
    return {key: _from_wire(fields[key]) for key in keys}


def _from_wire(value: struct_pb2.Value) -> Value:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        text = value.string_value
        return UNKNOWN if text == UNKNOWN_WIRE else text
    if kind == "struct_value":
        return _from_wire_object(value.struct_value)
    if kind == "list_value":
        return [_from_wire(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    return None


def _from_wire_object(struct: struct_pb2.Struct) -> Value:
    fields = struct.fields
    if SIGNATURE_KEY in fields:
        signature = fields[SIGNATURE_KEY].string_value
        if signature == SECRET_SIGNATURE:
            return Secret(_from_wire(fields["value"]))
        if signature == RESOURCE_SIGNATURE:
            return _from_wire(fields["id"]) if "id" in fields else fields["urn"].string_value
    return {key: _from_wire(fields[key]) for key in fields}


def to_struct(values: Mapping[str, Value]) -> struct_pb2.Struct:
    """Return `values` as the protobuf struct that the SDK reads; secrets and unknowns in their wire form."""
    struct = struct_pb2.Struct()
    for key, item in values.items():
        _to_wire(item, struct.fields[key])
    return struct


def _to_wire(value: Value, target: struct_pb2.Value) -> None:
    if isinstance(value, str):
        target.string_value = value
    elif isinstance(value, dict):
        fields = target.struct_value.fields
        target.struct_value.SetInParent()
        for key, item in value.items():
            _to_wire(item, fields[key])
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    elif isinstance(value, list):
        target.list_value.SetInParent()
        for item in value:
            _to_wire(item, target.list_value.values.add())
    elif isinstance(value, Secret):
        fields = target.struct_value.fields
        fields[SIGNATURE_KEY].string_value = SECRET_SIGNATURE
        _to_wire(value.value, fields["value"])
    elif isinstance(value, Unknown):
        target.string_value = UNKNOWN_WIRE
    else:
        target.null_value = struct_pb2.NULL_VALUE
