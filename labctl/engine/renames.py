"""Which resource of the state each registration goes on with, by its name or by one it had before.

The rules are the official engine's (``step_generator.go``: ``generateAliases``, ``getOldResource``): a resource is
looked for under its URN, then under its own aliases, then under those that follow from the name its parent had. One
thing is added: a parent that goes by its new name already, because an earlier run was cut off after it, still says how
its children were called. The official engine would make those anew.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from labctl.graph.goal import make_urn, urn_name, urn_type

from .errors import AliasTakenError
from .providers.base import Operation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.graph.aliases import Alias
    from labctl.graph.goal import Goal

    from .state import ResourceState, Snapshot

__all__ = ["Renames"]


class Renames:
    """The names that change in one run of a program. Safe to use from many threads."""

    def __init__(self, old: Snapshot, *, stack: str, project: str) -> None:
        self._stack = stack
        self._project = project
        pending = [item.resource for item in old.pending_operations if item.operation is Operation.CREATING]
        self._known: Mapping[str, ResourceState] = {state.urn: state for state in pending} | dict(old.live)
        self._names: dict[str, str] = {}
        self._former: dict[str, str] = {}
        self._spent: dict[str, tuple[str, ...]] = {}
        """By URN of a resource that goes by its own name: the other names it may have had, which nothing has now."""
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    @property
    def names(self) -> Mapping[str, str]:
        """Former URNs and what they are now; it grows while the program runs."""
        return self._names

    def claim(self, goal: Goal) -> str | None:
        """Return the URN under which the state has what `goal` goes on with, None where that is its own or it is new.

        Parents must come before their children.

        Raises
        ------
        AliasTakenError
            Another resource of the program goes on with it, or goes by that name.
        """
        with self._lock:
            self._seen.add(goal.urn)
            if goal.urn in self._names:
                raise AliasTakenError(former=goal.urn, urn=goal.urn, other=self._names[goal.urn])
            own = [self._urn(alias, goal) for alias in goal.aliases]
            said, left = self._candidates(goal, own), self._left_behind(goal, own)
            if goal.urn in self._known:
                self._spent[goal.urn] = tuple(urn for urn in (*said, *left) if urn not in self._known)
                return None
            former = next((urn for urn in said if urn in self._known), None)
            if former is None:
                former = next((urn for urn in left if self._is_child(urn, goal.parent)), None)
            if former is not None:
                self._take(former, goal.urn)
            return former

    def _take(self, former: str, urn: str) -> None:
        if former in self._names or former in self._seen:
            raise AliasTakenError(former=former, urn=urn, other=self._names.get(former, former))
        self._names[former] = urn
        self._former[urn] = former

    def _candidates(self, goal: Goal, own: Sequence[str]) -> tuple[str, ...]:
        """Return the names that `goal` had according to its `own` aliases, and to the one its parent goes on with."""
        parent = self._former.get(goal.parent)
        inherited = [self._inherited(urn, goal.parent, parent) for urn in (goal.urn, *own)] if parent else []
        return tuple(urn for urn in dict.fromkeys((*own, *inherited)) if urn != goal.urn)

    def _left_behind(self, goal: Goal, own: Sequence[str]) -> tuple[str, ...]:
        """Return the names that `goal` would have if only its parent went by its new name already."""
        parents = self._spent.get(goal.parent, ())
        return tuple(
            dict.fromkeys(self._inherited(urn, goal.parent, parent) for parent in parents for urn in (goal.urn, *own))
        )

    def _is_child(self, urn: str, parent: str) -> bool:
        """Tell whether `urn` is there for the taking, below `parent` under whatever name."""
        state = self._known.get(urn)
        free = urn not in self._names and urn not in self._seen
        return state is not None and free and state.parent in (parent, *self._spent.get(parent, ()))

    def _urn(self, alias: Alias, goal: Goal) -> str:
        """Return `alias` as a URN (official: ``collapseAliasToUrn``)."""
        if alias.urn:
            return alias.urn
        parent = self._former.get(alias.parent, alias.parent) or goal.parent
        return make_urn(
            stack=alias.stack or self._stack,
            project=alias.project or self._project,
            parent="" if alias.no_parent else parent,
            type_=alias.type or goal.type,
            name=alias.name or goal.name,
        )

    def _inherited(self, urn: str, parent: str, former: str) -> str:
        """Return what the child `urn` of `parent` was called when that was `former`; ``inheritedChildAlias``.

        A name that begins with the parent's began with the parent's former one.
        """
        name, begin = urn_name(urn), urn_name(parent)
        if name.startswith(begin):
            name = urn_name(former) + name.removeprefix(begin)
        return make_urn(stack=self._stack, project=self._project, parent=former, type_=urn_type(urn), name=name)
