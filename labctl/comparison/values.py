"""How two pieces of plain data differ, by path: lists by what their items are called, texts as texts."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from labctl.graph.differences import Change, join

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labctl.graph.values import Plain

__all__ = ["Difference", "difference_json", "differences"]

NAMES: Final = ("slug", "name", "host", "key", "path", "port", "ip", "kind")
"""Keys that tell the items of a list apart, the best first."""
Mapped: TypeAlias = "Mapping[str, Plain]"


@dataclass(frozen=True)
class Difference:
    """One place that differs; the value is None where it is absent."""

    path: str
    change: Change
    one: Plain
    other: Plain
    by_version: bool = False
    """Whether it follows from pins that differ, and from nothing else."""


def difference_json(found: Difference) -> dict[str, Plain]:
    """Return a difference as JSON."""
    shape: dict[str, Plain] = {
        "path": found.path,
        "change": found.change.value,
        "one": found.one,
        "other": found.other,
    }
    return shape | ({"byVersion": True} if found.by_version else {})


def differences(one: Plain, other: Plain, path: str = "") -> tuple[Difference, ...]:
    """Return where `other` differs from `one`, in the order of the keys; empty and absent are the same."""
    return tuple(_differences(one, other, path))


def _differences(one: Plain, other: Plain, path: str) -> Iterator[Difference]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from _differences(one.get(key), other.get(key), join(path, key))
    elif isinstance(one, list) and isinstance(other, list):
        yield from _list_differences(one, other, path)
    elif _is_empty(one) and _is_empty(other):
        return
    elif _is_empty(one):
        yield Difference(path, Change.ADD, None, other)
    elif _is_empty(other):
        yield Difference(path, Change.DELETE, one, None)
    elif isinstance(one, bool) is not isinstance(other, bool) or one != other:
        yield Difference(path, Change.UPDATE, one, other)


def _is_empty(value: Plain) -> bool:
    return value is None or value in ([], {})


def _list_differences(one: list[Plain], other: list[Plain], path: str) -> Iterator[Difference]:
    if (name := _name(one, other)) is not None:
        left, right = _by(name, one), _by(name, other)
        if len(one) == len(other) == 1 and left.keys() != right.keys():
            yield from _differences(one[0], other[0], f"{path}[0]")
            return
        for key in dict.fromkeys((*left, *right)):
            yield from _differences(left.get(key), right.get(key), f"{path}[{name}={key}]")
        return
    before, after = Counter(map(_text, one)), Counter(map(_text, other))
    gone = list((before - after).elements())
    come = list((after - before).elements())
    if len(gone) == len(come) == 1:
        yield from _differences(json.loads(gone[0]), json.loads(come[0]), f"{path}[{_place(one, gone[0])}]")
        return
    for text in gone:
        yield Difference(f"{path}[]", Change.DELETE, json.loads(text), None)
    for text in come:
        yield Difference(f"{path}[]", Change.ADD, None, json.loads(text))
    if not gone and not come and _order(one) != _order(other):
        yield Difference(f"{path} (order)", Change.UPDATE, one, other)


def _order(items: Sequence[Plain]) -> list[str]:
    """Return the items in their order, without those that stand for a machine or an address, by which they sort."""
    return [text for text in map(_text, items) if "<" not in text]


def _place(items: Sequence[Plain], text: str) -> int:
    return [*map(_text, items)].index(text)


def _name(one: Sequence[Plain], other: Sequence[Plain]) -> str | None:
    """Return the key that names the items of both lists, or None where none does."""
    for name in NAMES:
        if all(_is_named(items, name) for items in (one, other)) and (one or other):
            return name
    return None


def _is_named(items: Sequence[Plain], name: str) -> bool:
    values = [item.get(name) if isinstance(item, dict) else None for item in items]
    return all(isinstance(value, str | int) for value in values) and len(set(map(str, values))) == len(values)


def _by(name: str, items: Sequence[Plain]) -> dict[str, Plain]:
    return {str(item[name]): item for item in items if isinstance(item, dict)}


def _text(value: Plain) -> str:
    return json.dumps(value, sort_keys=True)
