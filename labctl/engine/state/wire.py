"""Property values as a state file holds them: secrets sealed, unknowns by their well-known string.

A secret keeps its ciphertext for as long as it keeps its value and its place, so that saving an unchanged state
changes no byte, and so that equal secrets in two places do not show that they are equal.
"""

from __future__ import annotations

import gc
import json
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Final, cast

from labctl.graph.values import SECRET_SIGNATURE, SIGNATURE_KEY, UNKNOWN, UNKNOWN_WIRE, Plain, Secret, Unknown, Value

from .exceptions import CiphertextError, MalformedStateError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from labctl.graph.values import Inputs

    from .passphrase import SecretsManager

__all__ = ["Codec", "PlainObject", "collector_paused"]

PlainObject = dict[str, Plain]
"""A JSON object."""
PLAIN_LEAVES: Final = frozenset({str, int, float, bool})
"""Types that are written as they are."""


class Codec:
    """Turns values into their stored form and back, with the secrets of one stack. Safe to use from many threads."""

    def __init__(self, manager: SecretsManager) -> None:
        self.manager = manager
        self._ciphertexts: dict[tuple[str, str], str] = {}
        self._guard = Lock()

    def adopt(self, other: Codec) -> None:
        """Keep the ciphertexts `other` knows, when both seal with the same key."""
        if other.manager.salt == self.manager.salt:
            self._ciphertexts |= other._ciphertexts

    def decode(self, properties: PlainObject, place: str) -> Inputs:
        """Return stored `properties` as values; takes over and changes the parsed JSON it is given.

        `place` names where they are (``<urn>#inputs``), to find the same ciphertext again.
        """
        for key, value in properties.items():
            properties[key] = cast("Plain", self._decoded(value, f"{place}.{key}"))
        return cast("Inputs", properties)

    def _decoded(self, value: Plain, place: str) -> Value:
        if isinstance(value, dict):
            if value.get(SIGNATURE_KEY) == SECRET_SIGNATURE:
                return self._opened(value, place)
            for key, item in value.items():
                if isinstance(item, dict | list) or item == UNKNOWN_WIRE:
                    value[key] = cast("Plain", self._decoded(item, f"{place}.{key}"))
            return cast("Value", value)
        if isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, dict | list) or item == UNKNOWN_WIRE:
                    value[index] = cast("Plain", self._decoded(item, f"{place}[{index}]"))
            return cast("Value", value)
        return UNKNOWN if value == UNKNOWN_WIRE else value

    def _opened(self, sealed: PlainObject, place: str) -> Secret:
        plaintext, ciphertext = sealed.get("plaintext"), sealed.get("ciphertext")
        if isinstance(ciphertext, str) and ciphertext and not plaintext:
            plaintext = self.manager.decrypt(ciphertext)
            with self._guard:
                self._ciphertexts[place, plaintext] = ciphertext
        if not isinstance(plaintext, str) or not plaintext:
            raise MalformedStateError(place, "a secret must have exactly one of ciphertext and plaintext")
        try:
            return Secret(_inner(cast("Plain", json.loads(plaintext))))
        except json.JSONDecodeError as error:
            message = f"{place} holds no JSON"
            raise CiphertextError(message) from error

    def encode(self, properties: Mapping[str, Value], place: str) -> PlainObject:
        """Return values as stored properties, keys sorted, a copy throughout."""
        return {key: self._encoded(properties[key], f"{place}.{key}") for key in sorted(properties)}

    def _encoded(self, value: Value, place: str) -> Plain:
        kind = type(value)
        if kind is dict:
            held = cast("Inputs", value)
            if any(map(_is_container, held.values())):
                return {key: self._encoded(held[key], f"{place}.{key}") for key in sorted(held)}
            return {key: cast("Plain", held[key]) for key in sorted(held)}
        if kind is list:
            return [self._encoded(item, f"{place}[{index}]") for index, item in enumerate(cast("list[Value]", value))]
        if isinstance(value, Secret):
            plaintext = json.dumps(_outer(value.value), separators=(",", ":"), ensure_ascii=False)
            return {SIGNATURE_KEY: SECRET_SIGNATURE, "ciphertext": self._sealed(place, plaintext)}
        return UNKNOWN_WIRE if isinstance(value, Unknown) else cast("Plain", value)

    def _sealed(self, place: str, plaintext: str) -> str:
        with self._guard:
            known = self._ciphertexts.get((place, plaintext))
        if known is None:
            known = self.manager.encrypt(plaintext)
            with self._guard:
                self._ciphertexts[place, plaintext] = known
        return known


def _is_container(value: Value) -> bool:
    """Tell whether `value` is more than a leaf of JSON."""
    return value is not None and type(value) not in PLAIN_LEAVES


@contextmanager
def collector_paused() -> Generator[None]:
    """Make a large structure without the collector going through all of it again and again.

    Reading 9 MB of JSON (5,000 objects) takes 0.11 s so, and 0.68 s otherwise (CPython 3.11).
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _outer(value: Value) -> Plain:
    """Return the inside of a secret as JSON; a secret in a secret is marked, not sealed twice (as Pulumi does)."""
    if isinstance(value, dict):
        return {key: _outer(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_outer(item) for item in value]
    if isinstance(value, Secret):
        inside = json.dumps(_outer(value.value), separators=(",", ":"), ensure_ascii=False)
        return {SIGNATURE_KEY: SECRET_SIGNATURE, "ciphertext": inside}
    return UNKNOWN_WIRE if isinstance(value, Unknown) else value


def _inner(value: Plain) -> Value:
    """Undo `_outer`."""
    if isinstance(value, dict):
        if value.get(SIGNATURE_KEY) == SECRET_SIGNATURE:
            return Secret(_inner(cast("Plain", json.loads(str(value.get("ciphertext") or value.get("plaintext"))))))
        return {key: _inner(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_inner(item) for item in value]
    return UNKNOWN if value == UNKNOWN_WIRE else value
