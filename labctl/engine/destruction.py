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

__all__ = ["DATA_KINDS", "Gate", "ended_memberships", "holds_data"]

DATA_KINDS: Final = {
    "kubernetes:core/v1:Namespace": "a Namespace",
    "kubernetes:core/v1:PersistentVolume": "a PersistentVolume",
    "kubernetes:core/v1:PersistentVolumeClaim": "a PersistentVolumeClaim",
    "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition": "a CustomResourceDefinition",
}
"""Kinds whose deletion takes with it what people put into them, in words."""


MEMBERSHIP: Final = re.compile(r"lab:index:NodeBootstrap\$command:remote:Command::\S+-join$")
"""End of the URN of a command whose undoing takes a machine out of its cluster, and resets it."""


LEAVING: Final = re.compile(
    r"(?P<host>lab:index:NodeBootstrap\$command:remote:Command::\S+)-(?P<step>member|control-plane)$"
)
"""End of the URN of a command whose undoing drains a machine and takes it out of etcd and the cluster, or takes its API
server and scheduler away. Where the machine's membership ends as well, that is what has to be named."""


def ended_memberships(deleted: Iterable[str], retained: Iterable[str] = ()) -> dict[str, str]:
    """Return which of the `deleted` URNs take a machine out of its cluster though it stays in the stack, in words.

    One host's command can be in the way of another's: with fewer control-plane hosts, nobody is left to take leave of
    the last one, and the undoing of that step would.

    Parameters
    ----------
    deleted
        URNs of what a plan deletes.
    retained
        URNs of what stays and would be retained: the membership of a machine that the stack file says is lost.
    """
    urns = tuple(deleted)
    left = {urn.removesuffix("-join") for urn in (*urns, *retained) if MEMBERSHIP.search(urn)}
    found: dict[str, str] = {}
    for urn in urns:
        match = LEAVING.search(urn)
        if match is not None and urn[: match.end("host")] not in left:
            host = urn_name(urn).removesuffix(f"-{match['step']}")
            what = "a node of the cluster" if match["step"] == "member" else "the control plane on a node"
            found[urn] = f"{what} ({host})"
    return found


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
        steps = tuple(steps)
        retained = [step.urn for step in steps if step.new is not None and step.new.retain_on_delete]
        destroyed = {
            step.urn: step.old for step in steps if step.op in (Op.DELETE, Op.REPLACE) and step.old is not None
        }
        ended = ended_memberships(destroyed, retained)
        for urn, state in destroyed.items():
            try:
                self.check(state, urn)
            except DestructionRefusedError as refusal:
                found.append(refusal)
            if urn in ended and not state.retain_on_delete and not (self.permits(urn) or self.permits(state.urn)):
                found.append(DestructionRefusedError(urn=urn, what=ended[urn]))
        return found
