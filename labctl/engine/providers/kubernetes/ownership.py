"""Field managers: whose field is it, and how one taken over from another kind of manager becomes ours."""

from __future__ import annotations

import copy
import hashlib
from typing import TYPE_CHECKING, Final

from labctl.graph.values import as_mapping, as_text

from .annotations import Behaviour
from .manifests import FIELD_MANAGER_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.graph.values import Inputs, Value

__all__ = ["created_by_update", "field_manager", "is_managed_by", "managers", "takeover_patch"]

MANAGER_PREFIX: Final = "pulumi-kubernetes-"
MANAGER_DIGITS: Final = 8
"""Hexadecimal digits after the prefix, as many as the official provider draws at random."""

UPDATE_MANAGERS: Final = frozenset(
    {"pulumi-kubernetes", "pulumi-kubernetes.exe", "pulumi-resource-kubernetes", "kubectl", "before-first-apply"}
)
"""Managers whose ``Update`` entries become ours before the first apply (official: ``fixCSAFieldManagers``): the
official provider creates by POST under the first name."""


def field_manager(urn: str, inputs: Mapping[str, Value], outputs: Mapping[str, Value]) -> str:
    """Return the manager under which this resource's fields are applied.

    The annotation ``pulumi.com/patchFieldManager``, else the one on record, else ``pulumi-kubernetes-`` and eight
    digits made from the URN: a create that was cut off after the server did it is recognised by them.
    """
    recorded = as_text(outputs.get(FIELD_MANAGER_KEY))
    return Behaviour.of(inputs).field_manager or recorded or _from_urn(urn)


def _from_urn(urn: str) -> str:
    return MANAGER_PREFIX + hashlib.sha256(urn.encode()).hexdigest()[:MANAGER_DIGITS]


def _entries(live: Mapping[str, Value]) -> list[Inputs]:
    fields = as_mapping(live.get("metadata")).get("managedFields")
    return [as_mapping(entry) for entry in fields] if isinstance(fields, list) else []


def managers(live: Mapping[str, Value]) -> tuple[str, ...]:
    """Return the names of the managers of a `live` object, each once, in the server's order."""
    return tuple(dict.fromkeys(as_text(entry.get("manager")) for entry in _entries(live)))


def is_managed_by(live: Mapping[str, Value], manager: str) -> bool:
    """Tell whether `manager` applied some of the `live` object."""
    return any(entry.get("manager") == manager and entry.get("operation") == "Apply" for entry in _entries(live))


def created_by_update(live: Mapping[str, Value]) -> bool:
    """Tell whether a `live` object has fields that the official provider created by POST and nobody applied yet."""
    return any(_is_update_entry(entry) for entry in _entries(live))


def _is_update_entry(entry: Mapping[str, Value]) -> bool:
    is_update = entry.get("operation") == "Update" and not entry.get("subresource")
    return is_update and as_text(entry.get("manager")) in UPDATE_MANAGERS


def takeover_patch(live: Mapping[str, Value], manager: str) -> list[Inputs]:
    """Return the JSON patch that makes the ``Update`` entries of `live` one ``Apply`` entry of `manager`.

    Without it a field that the program removes would stay, held by the manager that created it. The patch holds only
    for the version of `live`. Empty when there is nothing to take over.
    """
    entries = _entries(live)
    taken = [entry for entry in entries if _is_update_entry(entry)]
    if not taken:
        return []
    ours = [entry for entry in entries if entry.get("manager") == manager and entry.get("operation") == "Apply"]
    base = (ours or taken)[0]
    fields: Inputs = {}
    for entry in (*ours, *taken):
        _merge(fields, as_mapping(entry.get("fieldsV1")))
    applied: Inputs = {**base, "manager": manager, "operation": "Apply", "fieldsV1": fields}
    kept: list[Value] = [dict(entry) for entry in entries if entry not in taken and entry not in ours]
    version = as_mapping(live.get("metadata")).get("resourceVersion")
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/metadata/managedFields", "value": [applied, *kept]},
    ]


def _merge(target: Inputs, source: Mapping[str, Value]) -> None:
    """Unite two field sets: ``fieldsV1`` is a tree of keys."""
    for key, value in source.items():
        present = target.get(key)
        if isinstance(present, dict) and isinstance(value, dict):
            _merge(present, value)
        else:
            target[key] = copy.deepcopy(value)
