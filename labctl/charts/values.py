"""Helm values against what a chart declares.

A chart without a schema takes any key and ignores those it does not know: a typo there passes silently, and the setting
it meant is not made. So every key has to be one that the chart's defaults declare, or its schema, or that is listed
with the place in the chart that reads it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, cast

from .findings import Finding, Place, nearest
from .schemas import schema_findings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from .facts import ChartFacts, JsonSchema, KeyTree

__all__ = ["unknown_value_keys", "value_findings"]

LEAF_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "boolean": (bool,),
    "number": (int, float),
    "string": (str,),
    "list": (list, tuple),
    "map": (dict,),
}
"""Python types a leaf of the key tree stands for; ``any`` stands for all."""
OPEN_LEAVES: Final = frozenset({"map", "any", "list"})
"""Leaves below which nothing is declared, so that nothing there can be unknown."""


def unknown_value_keys(
    values: Mapping[str, object], facts: ChartFacts, read_elsewhere: Collection[Place] = ()
) -> list[Place]:
    """Return the places of keys that the chart would not read.

    Parameters
    ----------
    values
        Values of a release.
    facts
        What its chart declares.
    read_elsewhere
        Places of keys that a template reads though the defaults do not declare them; whatever is below is taken.
    """
    return [finding.place for finding in _unknown(values, facts, frozenset(read_elsewhere))]


def value_findings(
    values: Mapping[str, object],
    facts: ChartFacts,
    read_elsewhere: Collection[Place] = (),
    unknown: Callable[[object], bool] = lambda _: False,
) -> list[Finding]:
    """Return everything the chart would not take: unknown keys, values of another type, what its schema refuses.

    Parameters
    ----------
    values
        Values of a release.
    facts
        What its chart declares.
    read_elsewhere
        As for `unknown_value_keys`.
    unknown
        Tells placeholders for values that only exist after applying.
    """
    found = [*_unknown(values, facts, frozenset(read_elsewhere))]
    if facts.schema is not None:
        found += schema_findings(values, facts.schema, unknown, partial=True)
    else:
        found += _mistyped(values, facts.keys, (), unknown)
    return sorted(set(found), key=str)


def _unknown(values: Mapping[str, object], facts: ChartFacts, read_elsewhere: frozenset[Place]) -> Iterator[Finding]:
    if isinstance(facts.keys, str):
        # A chart without any values of its own (``keys`` is ``map``): whatever is given is not read.
        yield from (Finding((key,), f"chart {facts.chart} declares no values at all") for key in values)
        return
    schema = [facts.schema] if facts.schema is not None else []
    yield from _walk(values, facts.keys, _Schemas(schema, facts.schema or {}), (), read_elsewhere)


def _walk(
    values: Mapping[str, object],
    keys: KeyTree | None,
    schemas: _Schemas,
    place: Place,
    read_elsewhere: frozenset[Place],
) -> Iterator[Finding]:
    declared: Mapping[str, KeyTree] = keys if keys is not None and not isinstance(keys, str) else {}
    if schemas.takes_any_key or (isinstance(keys, str) and keys in OPEN_LEAVES):
        return
    for key, value in values.items():
        here = (*place, key)
        if here in read_elsewhere:
            continue
        below = schemas.below(key)
        if key not in declared and not below.nodes:
            yield Finding(here, f"the chart declares no such key{nearest(key, {*declared, *schemas.properties})}")
        elif isinstance(value, dict):
            yield from _walk(cast("dict[str, object]", value), declared.get(key), below, here, read_elsewhere)


def _mistyped(value: object, keys: KeyTree, place: Place, unknown: Callable[[object], bool]) -> Iterator[Finding]:
    if value is None or unknown(value):
        return
    if not isinstance(keys, str):
        if not isinstance(value, dict):
            yield Finding(place, f"the chart has a map here, not {_name(value)}")
            return
        for key, inner in cast("dict[str, object]", value).items():
            if key in keys:
                yield from _mistyped(inner, keys[key], (*place, key), unknown)
    elif keys in LEAF_TYPES:
        wanted = LEAF_TYPES[keys]
        # A boolean is an integer to Python, and not to a chart.
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            yield Finding(place, f"the chart has a {keys} here, not {_name(value)}")


def _name(value: object) -> str:
    # In this order: a boolean is an integer, too.
    for leaf, types in LEAF_TYPES.items():
        if isinstance(value, types):
            return f"a {leaf}"
    return f"a {type(value).__name__}"


class _Schemas:
    """The parts of a chart's schema that speak of one place: alternatives and references opened."""

    def __init__(self, nodes: list[JsonSchema], root: JsonSchema) -> None:
        self._root = root
        self.nodes = [opened for node in nodes for opened in self._open(node, 0)]

    @property
    def properties(self) -> set[str]:
        """Keys that are named."""
        return {key for node in self.nodes for key in _mapping(node.get("properties"))}

    @property
    def takes_any_key(self) -> bool:
        """Whether the schema says that the keys are somebody else's business."""
        return any(_is_open(node) for node in self.nodes)

    def below(self, key: str) -> _Schemas:
        """Return what the schema says of one key's value."""
        nodes = [inner for node in self.nodes for inner in _of_key(node, key)]
        return _Schemas([cast("JsonSchema", node) if isinstance(node, dict) else {} for node in nodes], self._root)

    def _open(self, node: JsonSchema, depth: int) -> Iterator[JsonSchema]:
        if depth > _DEEPEST:
            return
        yield node
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/"):
            target: object = self._root
            for step in reference.removeprefix("#/").split("/"):
                target = _mapping(target).get(step.replace("~1", "/").replace("~0", "~"))
            yield from self._open(_mapping(target), depth + 1)
        for alternatives in ("anyOf", "oneOf", "allOf"):
            listed = node.get(alternatives)
            if isinstance(listed, list):
                for alternative in cast("list[object]", listed):
                    yield from self._open(_mapping(alternative), depth + 1)


def _of_key(node: JsonSchema, key: str) -> Iterator[object]:
    """Yield the schemas of one key's value: by its name, by a pattern it matches."""
    named = _mapping(node.get("properties"))
    if key in named:
        yield named[key]
    for pattern, inner in _mapping(node.get("patternProperties")).items():
        if re.search(pattern, key):
            yield inner


def _is_open(node: JsonSchema) -> bool:
    additional = node.get("additionalProperties")
    if isinstance(additional, dict) or additional is True:
        return True
    if additional is False or _mapping(node.get("properties")) or _mapping(node.get("patternProperties")):
        return False
    kinds = node.get("type")
    of_object = kinds == "object" or (isinstance(kinds, list) and "object" in kinds)
    return of_object or not any(keyword in node for keyword in _NARROWING)


_NARROWING: Final = ("$ref", "allOf", "anyOf", "const", "enum", "oneOf", "type")
"""Keywords without any of which a schema takes everything."""
_DEEPEST: Final = 16
"""References in a row after which a schema is taken to go round in a circle."""


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}
