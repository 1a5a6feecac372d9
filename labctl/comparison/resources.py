"""How the resources of two stacks differ, each host's folded into those of its role."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from labctl.graph.canonical import canonical_urn
from labctl.graph.differences import Change
from labctl.graph.goal import STACK_TYPE, urn_type

from .hosts import host_of
from .values import Difference, differences

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.graph.values import Plain

    from .names import Side

OPTIONS: Final = ("protect", "retainOnDelete", "ignoreChanges", "replaceOnChanges", "deletedWith")
"""What a program asks for beside a resource's properties, as far as a state has it."""

__all__ = ["ResourceDifferences", "component_of", "resource_differences"]


@dataclass(frozen=True, kw_only=True)
class ResourceDifferences:
    """Resources by folded URN: ``<stack>`` in the stack's place, a role in its host's."""

    only_one: tuple[str, ...] = ()
    only_other: tuple[str, ...] = ()
    changed: Mapping[str, tuple[Difference, ...]] = field(default_factory=dict[str, "tuple[Difference, ...]"])
    replaced: frozenset[str] = frozenset()
    """Those of `changed` that are made anew; known of two revisions of one stack alone."""
    same: int = 0

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not (self.only_one or self.only_other or self.changed)


def resource_differences(
    one: Sequence[Mapping[str, Plain]], other: Sequence[Mapping[str, Plain]], sides: tuple[Side, Side]
) -> ResourceDifferences:
    """Return how `other` differs from `one`, what is each stack's own left out.

    A role of several hosts has several programs for one step where they differ; the role is the same in both stacks
    if they have the same programs.

    Parameters
    ----------
    one, other
        Resources as a state has them, secrets as ``[secret]``.
    sides
        What is either stack's own.
    """
    hosts = {*sides[0].owner.hosts, *sides[1].owner.hosts}
    left, right = (_folded(states, side, hosts) for states, side in zip((one, other), sides, strict=True))
    common = sorted(left.keys() & right.keys())
    changed = {urn: found for urn in common if (found := _variants(left[urn], right[urn]))}
    return ResourceDifferences(
        only_one=tuple(sorted(left.keys() - right.keys())),
        only_other=tuple(sorted(right.keys() - left.keys())),
        changed=changed,
        same=len(common) - len(changed),
    )


def component_of(urn: str) -> str:
    """Return the outermost component a resource belongs to, or the empty text of one that belongs to none."""
    parts = urn.split("::")[2].split("$") if urn.count("::") > 1 else []
    return next((part.rpartition(":")[2] for part in parts if part.startswith("lab:")), "")


def _folded(
    states: Sequence[Mapping[str, Plain]], side: Side, hosts: set[str]
) -> dict[str, dict[str, dict[str, Plain]]]:
    """Return what resources say, by folded URN, each thing once."""
    found: dict[str, dict[str, dict[str, Plain]]] = {}
    for state in states:
        said = _said(state, side, hosts)
        found.setdefault(_fold(str(state["urn"]), side, hosts), {})[json.dumps(said, sort_keys=True)] = said
    return found


def _fold(urn: str, side: Side, hosts: set[str]) -> str:
    """Return a URN with the stack's name left out, and a host's role for its name."""
    plain = canonical_urn(urn, side.owner.stack)
    if not urn or urn_type(urn) == STACK_TYPE:
        return plain
    before, _, name = plain.rpartition("::")
    host = host_of(name, hosts)
    if host is None:
        return f"{before}::{side.text(name)}"
    role = side.owner.role(host) if host in side.owner.hosts else "host"
    return f"{before}::{name.replace(host, f'<{role}>', 1)}"


def _said(state: Mapping[str, Plain], side: Side, hosts: set[str]) -> dict[str, Plain]:
    """Return all that a resource is asked to be; in which order things are made is no part of that."""
    inputs = side.value(state.get("inputs"))
    options: dict[str, Plain] = {
        "parent": _fold(str(state.get("parent", "")), side, hosts),
        "provider": side.text(str(state.get("provider", "")).rpartition("::")[0].rpartition("::")[2]),
        **{key: state[key] for key in OPTIONS if state.get(key)},
    }
    shape = inputs if isinstance(inputs, dict) else {}
    return {**shape, "options": {key: value for key, value in options.items() if value}}


def _variants(one: Mapping[str, dict[str, Plain]], other: Mapping[str, dict[str, Plain]]) -> tuple[Difference, ...]:
    """Return how the programs of a role differ: each that one stack alone has against the nearest the other alone has.

    Programs that are left over, because the one stack has more of them, are counted.
    """
    left, right = ([mine[key] for key in mine if key not in theirs] for mine, theirs in ((one, other), (other, one)))
    found: dict[str, Difference] = {}
    while left and right:
        said, with_ = min(((a, b) for a in left for b in right), key=lambda pair: _distance(*pair))
        left.remove(said)
        right.remove(with_)
        found |= {json.dumps([item.path, item.one, item.other]): item for item in differences(said, with_)}
    if left or right:
        count = Difference("(programs on hosts of this role)", Change.UPDATE, len(one), len(other))
        found["count"] = count
    return tuple(found.values())


def _distance(one: Mapping[str, Plain], other: Mapping[str, Plain]) -> int:
    """Return how many lines only one of the two has."""
    left, right = (set(json.dumps(said, sort_keys=True).split(r"\n")) for said in (one, other))
    return len(left ^ right)
