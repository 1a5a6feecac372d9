"""The two ConfigMaps the operator reads: whose entries they hold, and which may go. Pure.

Several groups' commands write the same two at once. Each says in an annotation which entries it needs; an entry goes
once no group needs it, no node's label names it, and no node under change would go back to it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import JsonValue, TypeAdapter, ValidationError

from components.gpu.plan import MIG_LAYOUTS, SHARING

from .errors import DamagedMapError, DamagedRecordError
from .facts import LABELS
from .record import ANNOTATION, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .document import ReslicePlan
    from .objects import ConfigMapObject, NodeObject

__all__ = ["CLAIMS", "Content", "claimed", "released", "used_entries"]

CLAIMS = "research-compute/entries"
"""Annotation of the two ConfigMaps: the entries each group needs, as JSON: field manager to names."""
MIG_FILE = "config.yaml"
"""Key of the MIG manager's file (gpu-operator, ``migManager.config``)."""
_CLAIMS = TypeAdapter[dict[str, list[str]]](dict[str, list[str]])
_MIG_FILE = TypeAdapter[dict[str, JsonValue]](dict[str, JsonValue])


@dataclass(frozen=True, kw_only=True)
class Content:
    """What one ConfigMap holds."""

    data: Mapping[str, str]
    claims: Mapping[str, tuple[str, ...]]
    """Names of the entries each field manager needs."""

    @property
    def annotation(self) -> str:
        """The value of the annotation `CLAIMS`."""
        return json.dumps({name: list(entries) for name, entries in self.claims.items()}, sort_keys=True)


def claimed(name: str, found: ConfigMapObject | None, plan: ReslicePlan, used: frozenset[str] | None) -> Content:
    """Return what a ConfigMap has to hold for a plan.

    Parameters
    ----------
    name
        Which of the two.
    found
        As it is; None where it is not there yet.
    plan
        The group's plan.
    used
        Entries nodes use (`used_entries`): all others that nobody needs go. None keeps every one.

    Raises
    ------
    DamagedMapError
        If it is not as this command writes it.
    """
    files = {entry: "".join(f"{line}\n" for line in lines) for entry, lines in plan.sharing.items()}
    wanted: Mapping[str, JsonValue] = plan.mig_layouts if name == MIG_LAYOUTS else dict(files)
    entries, claims = _entries(name, found, plan.namespace), _claims(name, found, plan.namespace)
    claims[plan.manager] = tuple(sorted(wanted))
    return _content(name, _kept({**entries, **wanted}, claims, used), claims)


def released(name: str, found: ConfigMapObject, plan: ReslicePlan, used: frozenset[str]) -> Content:
    """Return what a ConfigMap still has to hold once a group is gone; raises `DamagedMapError` as `claimed` does."""
    entries, claims = _entries(name, found, plan.namespace), _claims(name, found, plan.namespace)
    claims.pop(plan.manager, None)
    return _content(name, _kept(entries, claims, used), claims)


def used_entries(nodes: Iterable[NodeObject]) -> frozenset[str]:
    """Return every entry that a node's label names, or that a node under change goes to or would go back to."""
    used: set[str] = set()
    for node in nodes:
        labels = node.metadata.labels or {}
        used |= {labels[key] for key in LABELS if key in labels}
        try:
            record = read(node.metadata.name, (node.metadata.annotations or {}).get(ANNOTATION))
        except DamagedRecordError:
            continue  # another group's node; its own command says so
        if record is not None:
            used |= {*record.former.labels.values(), *record.goal.labels.values()}
    return frozenset(used)


def _kept(
    entries: Mapping[str, JsonValue], claims: Mapping[str, tuple[str, ...]], used: frozenset[str] | None
) -> Mapping[str, JsonValue]:
    if used is None:
        return entries
    needed = used.union(*claims.values())
    return {name: entry for name, entry in entries.items() if name in needed}


def _content(name: str, entries: Mapping[str, JsonValue], claims: Mapping[str, tuple[str, ...]]) -> Content:
    if name == SHARING:
        return Content(data={entry: str(text) for entry, text in sorted(entries.items())}, claims=claims)
    file = {"version": "v1", "mig-configs": dict(entries)}
    return Content(data={MIG_FILE: json.dumps(file, indent=2, sort_keys=True) + "\n"}, claims=claims)


def _entries(name: str, found: ConfigMapObject | None, namespace: str) -> dict[str, JsonValue]:
    data = (found.data if found is not None else None) or {}
    if name == SHARING or not data:
        return dict(data)
    try:
        entries = _MIG_FILE.validate_json(data.get(MIG_FILE, "")).get("mig-configs")
    except ValidationError:
        entries = None
    if not isinstance(entries, dict):
        raise DamagedMapError(namespace, name)
    return entries


def _claims(name: str, found: ConfigMapObject | None, namespace: str) -> dict[str, tuple[str, ...]]:
    text = ((found.metadata.annotations if found is not None else None) or {}).get(CLAIMS, "{}")
    try:
        return {manager: tuple(entries) for manager, entries in _CLAIMS.validate_json(text).items()}
    except ValidationError:
        raise DamagedMapError(namespace, name) from None
