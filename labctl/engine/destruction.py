"""The destruction gate: what deletes data or a node is refused unless the change names it.

Deletes despite ``protect`` have happened (pulumi #6191, pulumi-kubernetes #2882), and a replacement is a delete that
looks like a change. So the gate looks at the step, not at the option.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from labctl.graph.goal import urn_name

from .errors import DestructionRefusedError
from .plan import Op

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .plan import Step
    from .state import ResourceState

__all__ = ["DATA_KINDS", "Gate", "holds_data"]

DATA_KINDS: Final = {
    "kubernetes:core/v1:Namespace": "a Namespace",
    "kubernetes:core/v1:PersistentVolume": "a PersistentVolume",
    "kubernetes:core/v1:PersistentVolumeClaim": "a PersistentVolumeClaim",
    "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition": "a CustomResourceDefinition",
}
"""Kinds whose deletion takes with it what people put into them, in words."""


MEMBERSHIP: Final = re.compile(r"lab:index:NodeBootstrap\$command:remote:Command::\S+-join$")
"""End of the URN of a command whose undoing takes a machine out of its cluster, and resets it."""


def holds_data(state: ResourceState) -> str | None:
    """Return what deleting `state` would destroy, in words, or None when it holds nothing of anybody's."""
    if MEMBERSHIP.search(state.urn):
        return f"a node of the cluster ({urn_name(state.urn).removesuffix('-join')})"
    words = DATA_KINDS.get(state.type)
    return None if words is None else f"{words} ({state.id or urn_name(state.urn)})"


@dataclass(frozen=True)
class Gate:
    """What the person allowed to be destroyed."""

    allowed: tuple[str, ...] = ()
    """URNs, or shell patterns over them (``*``: everything, as a throw-away environment allows)."""

    def permits(self, urn: str) -> bool:
        """Tell whether the destruction of `urn` was named."""
        return any(fnmatchcase(urn, pattern) for pattern in self.allowed)

    def check(self, state: ResourceState, now: str = "") -> None:
        """Raise `DestructionRefusedError` when deleting `state` destroys what was not named.

        `now` is the URN of what the program calls otherwise than the state does: it is looked at under both.
        """
        urn = now or state.urn
        what = holds_data(state) or holds_data(replace(state, urn=urn))
        if what is not None and not state.retain_on_delete and not (self.permits(state.urn) or self.permits(urn)):
            raise DestructionRefusedError(urn=urn, what=what)

    def refusals(self, steps: Iterable[Step]) -> list[DestructionRefusedError]:
        """Return every refusal that `steps` would meet."""
        found: list[DestructionRefusedError] = []
        for step in steps:
            if step.op in (Op.DELETE, Op.REPLACE) and step.old is not None:
                try:
                    self.check(step.old, step.urn)
                except DestructionRefusedError as refusal:
                    found.append(refusal)
        return found
