"""The fields that a program set, as they are on the server now: what ``refresh`` compares."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from labctl.graph.values import Secret, Value, as_mapping, contains_unknown, reveal

from .manifests import sealed_like

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.graph.values import Inputs

__all__ = ["live_inputs", "same_quantity"]

QUANTITY: Final = re.compile(r"^([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(?:([eE][+-]?\d+)|([KMGTPE]i|[numkMGTPE]))?$")
"""A Kubernetes quantity (``k8s.io/apimachinery/pkg/api/resource/quantity.go``)."""
SUFFIXES: Final = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    **{letter: Decimal(10) ** (3 * power) for power, letter in enumerate("MGTPE", start=2)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}

QUANTITY_OBJECTS: Final = frozenset(
    {
        "allocatable",
        "capacity",
        "default",
        "defaultRequest",
        "hard",
        "limits",
        "max",
        "maxLimitRequestRatio",
        "min",
        "overhead",
        "podFixed",
        "requests",
    }
)
"""Objects whose values are quantities; the server writes ``1000m`` as ``1`` there, which is no drift."""
QUANTITY_FIELDS: Final = frozenset({"averageValue", "divisor", "sizeLimit", "storage"})

TEXT_MAPS: Final = frozenset(
    {"annotations", "binaryData", "data", "labels", "matchLabels", "nodeSelector", "stringData"}
)
"""Objects of texts by free names: the server keeps an empty text there (``node-role.kubernetes.io/worker: ""``)."""

IDENTIFYING: Final = ("name", "mountPath", "containerPort", "port", "ip", "key", "type", "devicePath")
"""Keys by which the API merges lists of objects (``patchMergeKey`` in ``k8s.io/api``), most specific first."""


def live_inputs(live: Mapping[str, Value], inputs: Mapping[str, Value]) -> Inputs:
    """Return checked `inputs` with the values that the `live` object has for them.

    What the server defaulted or others set beside them is left out; a field that is gone is left out; a list whose
    items have no identity is taken whole, since the program owns all of it. Secrets stay where `inputs` has them.
    """
    result: Inputs = {}
    for key, wanted in inputs.items():
        value = _live_value(live.get(key), reveal(wanted), key)
        if value is not None:
            result[key] = sealed_like(value, wanted) if not isinstance(wanted, Secret) else Secret(value)
    return result


def _live_value(live: Value, wanted: Value, key: str) -> Value:
    """Return what `live` says for `wanted`; None when it is gone."""
    if live is None:
        return wanted if _is_empty(wanted) else None
    if contains_unknown(wanted):
        return live
    if isinstance(live, dict) and isinstance(wanted, dict):
        return _live_object(live, wanted, key)
    if isinstance(live, list) and isinstance(wanted, list):
        return _live_list(live, wanted, key)
    same = (key in QUANTITY_FIELDS and same_quantity(live, wanted)) or live == wanted
    return wanted if same else live


def _is_empty(value: Value) -> bool:
    """Tell whether the server leaves `value` out of what it returns (``omitempty``)."""
    return value is False or value in ("", 0, [], {}) or value is None


def _live_object(live: Inputs, wanted: Inputs, key: str) -> Inputs:
    result: Inputs = {}
    for name, item in wanted.items():
        if key in QUANTITY_OBJECTS and name in live and same_quantity(live[name], item):
            result[name] = item
            continue
        if key in TEXT_MAPS and name not in live:
            continue
        value = _live_value(live.get(name), item, name)
        if value is not None:
            result[name] = value
    return result


def _live_list(live: list[Value], wanted: list[Value], key: str) -> list[Value]:
    identity = _identity(live, wanted)
    if identity:
        present = {_label(item, identity): item for item in live}
        found = ((present.get(_label(item, identity)), item) for item in wanted)
        return [_live_value(there, item, key) for there, item in found if there is not None]
    if key == "finalizers":
        return [item for item in wanted if item in live]
    paired = [_live_value(there, item, key) for there, item in zip(live, wanted, strict=False)]
    return [*paired, *live[len(wanted) :]]


def _identity(live: list[Value], wanted: list[Value]) -> str:
    """Return the key that tells the items of both lists apart; empty when there is none."""
    items = [*live, *wanted]
    if not items or not all(isinstance(item, dict) for item in items):
        return ""
    for key in IDENTIFYING:
        if all(key in as_mapping(item) for item in items) and all(
            len({_label(item, key) for item in one}) == len(one) for one in (live, wanted)
        ):
            return key
    return ""


def _label(item: Value, key: str) -> str:
    return repr(as_mapping(item).get(key))


def same_quantity(left: Value, right: Value) -> bool:
    """Tell whether two spellings mean the same quantity, for example ``1000m`` and ``1``, or ``1Gi`` and ``1024Mi``."""
    first, second = _quantity(left), _quantity(right)
    return first is not None and first == second


def _quantity(value: Value) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    match = QUANTITY.match(str(value))
    if not match:
        return None
    number, exponent, suffix = match.groups()
    return Decimal(number + (exponent or "")) * SUFFIXES.get(suffix or "", Decimal(1))


def overlaid(outputs: Mapping[str, Value], before: Mapping[str, Value], after: Mapping[str, Value]) -> Inputs:
    """Return the best guess of an object's outputs after its inputs change from `before` to `after`.

    What the server added stays, what the program set is replaced, what it no longer sets goes.
    """
    result: Inputs = {key: value for key, value in outputs.items() if key not in before or key in after}
    for key, value in after.items():
        present, previous = result.get(key), before.get(key)
        if isinstance(present, dict) and isinstance(value, dict):
            result[key] = overlaid(present, as_mapping(previous), value)
        else:
            result[key] = value
    return result
