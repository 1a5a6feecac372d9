"""Checks that the small providers share: which properties a type has, and of what kind."""

from __future__ import annotations

import difflib
from enum import StrEnum
from typing import TYPE_CHECKING

from labctl.graph.values import Secret, Unknown, Value, contains_unknown

from .base import ProviderError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from labctl.graph.values import Inputs

__all__ = [
    "InvalidPropertyError",
    "Kind",
    "MissingPropertyError",
    "UnknownPropertyError",
    "UnsupportedTypeError",
    "check_properties",
    "known",
]


class Kind(StrEnum):
    """What a property holds; the value is how it is named in messages."""

    BOOLEAN = "true or false"
    INTEGER = "a whole number"
    TEXT = "a string"
    TEXTS = "a list of strings"
    TEXT_MAP = "an object of strings"
    LIST = "a list"
    ANY = "anything"
    """The provider looks into it itself."""


class UnsupportedTypeError(ProviderError):
    """A type of resource that this engine does not have."""

    def __init__(self, type_token: str, supported: Collection[str]) -> None:
        super().__init__(
            f"{type_token} is not supported by the embedded engine; supported: {', '.join(sorted(supported))}"
        )
        self.type_token = type_token


class UnknownPropertyError(ProviderError):
    """A property the type does not have, or that this engine does not support."""

    def __init__(self, type_token: str, name: str, supported: Collection[str]) -> None:
        nearest = difflib.get_close_matches(name, supported, n=1)
        hint = f"; did you mean {nearest[0]}?" if nearest else f"; it has: {', '.join(sorted(supported))}"
        super().__init__(f"{type_token} has no property {name} in the embedded engine{hint}")
        self.name = name


class MissingPropertyError(ProviderError):
    """A required property without a value."""

    def __init__(self, type_token: str, name: str) -> None:
        super().__init__(f"{type_token} needs {name}")
        self.name = name


class InvalidPropertyError(ProviderError):
    """A property with a value it cannot have; the value itself is not shown, it may be a secret."""

    def __init__(self, type_token: str, name: str, requirement: str) -> None:
        super().__init__(f"{type_token}: {name} must be {requirement}")
        self.name = name


def check_properties(
    type_token: str, inputs: Inputs, kinds: Mapping[str, Kind], required: Collection[str] = ()
) -> Inputs:
    """Return `inputs` without those that are null, each of the kind it must be.

    Unknown values pass; secrets are looked into.

    Raises
    ------
    UnknownPropertyError, MissingPropertyError, InvalidPropertyError
        Named after what is wrong.
    """
    given: Inputs = {key: value for key, value in inputs.items() if value is not None}
    for name, value in given.items():
        if name not in kinds:
            raise UnknownPropertyError(type_token, name, kinds.keys())
        if not _fits(value, kinds[name]):
            raise InvalidPropertyError(type_token, name, kinds[name].value)
    for name in required:
        if name not in given:
            raise MissingPropertyError(type_token, name)
    return given


def known(value: Value) -> bool:
    """Tell whether `value` is there and holds nothing unknown."""
    return value is not None and not contains_unknown(value)


def _fits(value: Value, kind: Kind) -> bool:
    if isinstance(value, Secret):
        return _fits(value.value, kind)
    if isinstance(value, Unknown) or kind is Kind.ANY:
        return True
    if kind is Kind.TEXTS:
        return isinstance(value, list) and all(_fits(item, Kind.TEXT) for item in value)
    if kind is Kind.TEXT_MAP:
        return isinstance(value, dict) and all(_fits(item, Kind.TEXT) for item in value.values())
    simple = {Kind.BOOLEAN: bool, Kind.INTEGER: int, Kind.TEXT: str, Kind.LIST: list}
    return isinstance(value, simple[kind]) and (kind is not Kind.INTEGER or not isinstance(value, bool))
