"""The random provider: values drawn once, kept in the state, drawn anew when what they were drawn from changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from labctl.engine.providers.base import Context, Created, Diff, Resource
from labctl.engine.providers.properties import (
    InvalidPropertyError,
    UnknownPropertyError,
    UnsupportedTypeError,
    check_properties,
    known,
)
from labctl.graph.differences import Change, differences
from labctl.graph.values import UNKNOWN, Secret, Value, as_text, contains_unknown, reveal

from .types import MINIMA, TYPES, RandomType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.graph.values import Inputs

__all__ = ["RandomFactory", "RandomProvider"]

PROVIDER: Final = "pulumi:providers:random"
CONFIGURATION_KEYS: Final = frozenset({"version", "pluginDownloadURL", "__internal"})
"""What a provider resource of a provider without any configuration may hold."""


class RandomProvider:
    """The random provider; it has no configuration, no connection and no state of its own."""

    def check(self, resource: Resource, old: Resource | None) -> Inputs:
        """Return the inputs as they are: the official provider fills defaults into the outputs only.

        Raises
        ------
        UnsupportedTypeError, UnknownPropertyError, MissingPropertyError, InvalidPropertyError
            The type or a property is not one of this provider, or values contradict each other.
        """
        del old
        kind = _type(resource.type)
        inputs = check_properties(resource.type, resource.inputs, kind.kinds, kind.required)
        if "seed" in inputs:
            raise UnknownPropertyError(resource.type, "seed", [name for name in kind.kinds if name != "seed"])
        opened = {key: reveal(value) for key, value in kind.planned(inputs).items() if known(value)}
        if "number" in kind.kinds:
            _check_string(resource.type, inputs, opened)
        for name, least in (("byteLength", 1), ("length", 1), *((name, 0) for name in MINIMA)):
            value = opened.get(name)
            if isinstance(value, int) and value < least:
                raise InvalidPropertyError(resource.type, name, f"at least {least}")
        low, high = opened.get("min"), opened.get("max")
        if isinstance(low, int) and isinstance(high, int) and low > high:
            raise InvalidPropertyError(resource.type, "max", "no less than min")
        return inputs

    def diff(self, old: Resource, inputs: Inputs, context: Context) -> Diff:
        """Return which properties changed, by name; nearly all of them replace.

        Compared is what the inputs come to with their defaults, so that naming a default is no change.
        """
        del context
        kind = _type(old.type)
        planned = kind.planned(inputs)
        changes: dict[str, Change] = {}
        for name in sorted(kind.kinds):
            before = old.outputs.get(name, old.inputs.get(name, kind.defaults.get(name)))
            after = planned.get(name)
            if differences(before, after):
                changes[name] = _change(before, after)
        replaced = frozenset(name for name in changes if not _in_place(name, old.outputs.get(name), planned.get(name)))
        return Diff(changes=changes, replace_paths=replaced, detailed=False)

    def create(self, resource: Resource, context: Context) -> Created:
        """Draw the values; in a preview they are unknown."""
        kind = _type(resource.type)
        if context.preview:
            unknown: dict[str, Value] = {
                name: Secret(UNKNOWN) if name in kind.sealed else UNKNOWN for name in kind.computed
            }
            return Created(id="", outputs={**kind.planned(resource.inputs), **unknown})
        outputs = kind.outputs(resource.inputs)
        return Created(id=as_text(outputs.get("id")), outputs=outputs)

    def update(self, old: Resource, inputs: Inputs, context: Context) -> Created:
        """Take over the inputs; what was drawn stays."""
        del context
        kind = _type(old.type)
        planned = kind.planned(inputs)
        drawn = {name: old.outputs.get(name) for name in kind.computed}
        return Created(id=old.id, outputs={**planned, **drawn, **kind.bookkeeping(planned)})

    def read(self, resource: Resource, context: Context) -> Created | None:
        """Return the state's copy: the values exist nowhere else."""
        del context
        return Created(id=resource.id, outputs=resource.outputs, inputs=resource.inputs)

    def delete(self, resource: Resource, context: Context) -> None:
        """Do nothing: a value is gone when the state has forgotten it."""


class RandomFactory:
    """Makes `RandomProvider`."""

    def check_config(self, inputs: Inputs) -> Inputs:
        """Return the provider resource's inputs as the official engine stores them; there is nothing to configure."""
        for name in inputs:
            if name not in CONFIGURATION_KEYS:
                raise UnknownPropertyError(PROVIDER, name, CONFIGURATION_KEYS)
        return {"__internal": {}, **inputs}

    def diff_config(self, old: Inputs, new: Inputs) -> Diff:
        """Return the changed properties; none of them replaces what was drawn."""
        return Diff(changes=differences(dict(old), dict(new)))

    def configure(self, inputs: Inputs) -> RandomProvider:
        """Return the provider."""
        del inputs
        return RandomProvider()


def _type(token: str) -> RandomType:
    if token not in TYPES:
        raise UnsupportedTypeError(token, TYPES.keys())
    return TYPES[token]


def _check_string(token: str, inputs: Inputs, opened: Mapping[str, Value]) -> None:
    """Refuse what no string can satisfy."""
    both = [reveal(inputs[name]) for name in ("number", "numeric") if known(inputs.get(name))]
    if True in both and False in both:
        raise InvalidPropertyError(token, "number", "the same as numeric, its newer name; leave it out")
    if all(opened.get(name) is False for name in ("lower", "upper", "numeric", "special")):
        raise InvalidPropertyError(token, "special", "true when lower, upper and numeric are false")
    minima = [value for name in MINIMA if isinstance(value := opened.get(name), int)]
    length = opened.get("length")
    if isinstance(length, int) and sum(minima) > length:
        raise InvalidPropertyError(token, "length", f"at least {sum(minima)}, the sum of {', '.join(MINIMA)}")


def _change(before: Value, after: Value) -> Change:
    if before is None:
        return Change.ADD
    return Change.DELETE if after is None else Change.UPDATE


def _in_place(name: str, before: Value, after: Value) -> bool:
    """Tell whether a change draws nothing anew: from nothing to an empty ``keepers``, from an empty list to none."""
    if contains_unknown(after):
        return False
    if name == "keepers":
        return not reveal(before) and not reveal(after)
    return name == "overrideSpecial" and reveal(before) == "" and after is None
