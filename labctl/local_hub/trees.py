"""Nested values as the chart has them: looked up by path, merged as Helm merges them. Pure."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labctl.graph.values import Plain as Value

__all__ = ["as_list", "as_mapping", "at", "merged", "texts_replaced"]


def as_mapping(value: Value) -> dict[str, Value]:
    """Return a mapping as it is, and nothing but an empty one for what is none."""
    return value if isinstance(value, dict) else {}


def as_list(value: Value) -> list[Value]:
    """Return a list as it is, and an empty one for what is none."""
    return value if isinstance(value, list) else []


def at(values: Mapping[str, Value], path: str) -> Value:
    """Return what stands at a dotted path; None where there is nothing."""
    value: Value = dict(values)
    for level in path.split("."):
        value = as_mapping(value).get(level)
    return value


def merged(under: Mapping[str, Value], over: Mapping[str, Value]) -> dict[str, Value]:
    """Return both, `over` counting more: mappings key by key, anything else as a whole (Helm's merge of values)."""
    result = copy.deepcopy(dict(under))
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        result[key] = merged(as_mapping(below), as_mapping(value)) if both else copy.deepcopy(value)
    return result


def texts_replaced(value: Value, replace: Callable[[str], str]) -> Value:
    """Return the value with every text in it replaced; keys stay."""
    if isinstance(value, str):
        return replace(value)
    if isinstance(value, list):
        return [texts_replaced(item, replace) for item in as_list(value)]
    if isinstance(value, dict):
        return {key: texts_replaced(item, replace) for key, item in as_mapping(value).items()}
    return value
