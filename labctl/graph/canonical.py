"""A graph as JSON that is the same for the same program, whatever order things were registered in."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from .values import Plain, redact

if TYPE_CHECKING:
    from .goal import Goal
    from .record import Graph

__all__ = ["canonical", "canonical_urn", "graph_json"]

LONGEST_TEXT: Final = 20_000
"""Characters of a property of text that is shown as it is: beyond the longest configuration, below a set of scripts."""
DIGEST_DIGITS: Final = 16
STACK_PLACE: Final = "<stack>"
"""Stands for the stack's name, so that two environments can be compared."""


def canonical_urn(urn: str, stack: str) -> str:
    """Return `urn` without the stack's name."""
    return urn.replace(f"urn:pulumi:{stack}::", f"urn:pulumi:{STACK_PLACE}::", 1).replace(
        f"Stack::{_project(urn)}-{stack}", f"Stack::{_project(urn)}-{STACK_PLACE}"
    )


def _project(urn: str) -> str:
    return urn.split("::")[1] if "::" in urn else ""


def canonical(graph: Graph) -> dict[str, dict[str, Plain]]:
    """Return every resource of `graph` by its canonical URN, empty properties left out, secrets as ``[secret]``."""
    return {canonical_urn(goal.urn, graph.stack): _goal(goal, graph.stack) for goal in graph.goals}


def _goal(goal: Goal, stack: str) -> dict[str, Plain]:
    provider = canonical_urn(goal.provider.rsplit("::", 1)[0], stack) if goal.provider else ""
    shape: dict[str, Plain] = {
        "type": goal.type,
        "parent": canonical_urn(goal.parent, stack),
        "provider": provider,
        "inputs": {key: _abridged(redact(goal.inputs[key])) for key in sorted(goal.inputs)},
        "dependencies": [canonical_urn(urn, stack) for urn in goal.dependencies],
        "protect": goal.protect,
        "retainOnDelete": goal.retain_on_delete,
        "ignoreChanges": list[Plain](goal.ignore_changes),
        "replaceOnChanges": list[Plain](goal.replace_on_changes),
        "deleteBeforeReplace": bool(goal.delete_before_replace),
    }
    return {key: value for key, value in shape.items() if value}


def _abridged(value: Plain) -> Plain:
    """Return `value`, a text that nobody would read as its length and checksum."""
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        digest = hashlib.sha256(value.encode()).hexdigest()
        return f"[{len(value)} characters, sha256:{digest[:DIGEST_DIGITS]}]"
    return value


def graph_json(graph: Graph) -> dict[str, Plain]:
    """Return `graph` for a golden file: resources by URN and what the stack exports."""
    outputs: dict[str, Plain] = {
        canonical_urn(urn, graph.stack): {key: redact(values[key]) for key in sorted(values)}
        for urn, values in graph.outputs.items()
        if values
    }
    resources: dict[str, Plain] = dict(sorted(canonical(graph).items()))
    return {"resources": resources, "outputs": outputs}
