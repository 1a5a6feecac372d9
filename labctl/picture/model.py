"""What a picture shows: components with their resources counted by kind, and what flows between components."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from labctl.graph.goal import PROVIDER_PREFIX, STACK_TYPE, urn_name, urn_type

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

__all__ = ["Component", "Drawable", "Flow", "Kind", "Picture", "Sign", "picture_of"]

COMPONENT_PREFIX: Final = "lab:index:"
SAME: Final = "same"
MOST_EXAMPLES: Final = 6
"""Names that a flow is explained with."""

Sign = str
"""An operation of a plan (``create``, ``update``, ``replace``, ``delete``), or ``failed``."""


class Drawable(Protocol):
    """What a picture takes from a resource: a goal and a state of one both are such."""

    @property
    def urn(self) -> str:
        """URN."""
        ...

    @property
    def type(self) -> str:
        """Type token."""
        ...

    @property
    def custom(self) -> bool:
        """Whether a provider owns it; False: a component."""
        ...

    @property
    def parent(self) -> str:
        """URN of its parent."""
        ...

    @property
    def provider(self) -> str:
        """``<urn>::<id>`` of its provider."""
        ...

    @property
    def dependencies(self) -> tuple[str, ...]:
        """URNs that must exist before it."""
        ...

    @property
    def property_dependencies(self) -> Mapping[str, tuple[str, ...]]:
        """URNs that each input's value came from."""
        ...


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The resources of one type in a component."""

    name: str
    """``NetworkPolicy``, ``Command``, ``Release``."""
    count: int
    signs: Mapping[Sign, int] = field(default_factory=dict[Sign, int])
    """How many of them a plan creates, changes, ..."""


@dataclass(frozen=True, kw_only=True)
class Component:
    """One component, or the stack's own resources."""

    urn: str
    type: str
    """``GpuOperator``."""
    name: str
    kinds: tuple[Kind, ...] = ()
    """Of its own resources, the most numerous first."""
    children: tuple[Component, ...] = ()

    @property
    def count(self) -> int:
        """How many resources it has, its children's included."""
        return sum(kind.count for kind in self.kinds) + sum(child.count for child in self.children)

    @property
    def signs(self) -> Mapping[Sign, int]:
        """How many of those a plan creates, changes, ..."""
        found: Counter[Sign] = Counter()
        for kind in self.kinds:
            found.update(kind.signs)
        for child in self.children:
            found.update(child.signs)
        return dict(sorted(found.items()))


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Values of one component that are inputs of another's resources."""

    source: str
    target: str
    """URNs of two components of the stack."""
    count: int
    """How many inputs, of how many resources they may be."""
    examples: tuple[str, ...] = ()
    """Which, in words: ``spec.storageClassName of hub-db from StorageClass home``."""
    by_provider: bool = False
    """True: what flows is the access to the cluster, through the provider of the target's resources."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """All of a stack."""

    stack: str
    components: tuple[Component, ...]
    """Those directly below the stack, sorted by URN."""
    flows: tuple[Flow, ...]
    """Between those, sorted."""
    waits: tuple[tuple[str, str], ...] = ()
    """Pairs of components of which the second waits for the first, whether a value flows or not; for the layout."""
    planned: bool = False

    @property
    def count(self) -> int:
        """How many resources it shows."""
        return sum(component.count for component in self.components)


def picture_of(
    stack: str,
    resources: Iterable[Drawable],
    *,
    operations: Mapping[str, str] | None = None,
    failed: Collection[str] = (),
) -> Picture:
    """Return the picture of `resources`.

    Parameters
    ----------
    operations
        What a plan does to each resource, by URN; None where there is no plan.
    failed
        URNs of resources that could not be brought to their goals.
    """
    return _Drawing(stack, {one.urn: one for one in resources}, operations, frozenset(failed)).picture()


class _Drawing:
    """One picture in the making."""

    def __init__(
        self,
        stack: str,
        resources: Mapping[str, Drawable],
        operations: Mapping[str, str] | None,
        failed: frozenset[str],
    ) -> None:
        self._stack = stack
        self._resources = resources
        self._operations = operations
        self._failed = failed
        self._tops: dict[str, str] = {}
        self._children: defaultdict[str, list[Drawable]] = defaultdict(list)
        for one in sorted(resources.values(), key=lambda item: item.urn):
            if one.type != STACK_TYPE and not self._is_plumbing(one):
                self._children[self._owner(one)].append(one)

    def picture(self) -> Picture:
        tops = [self._component(one) for one in self._children[""] if not one.custom]
        own = self._kinds([one for one in self._children[""] if one.custom])
        if own:
            tops.append(Component(urn="", type="Stack", name=self._stack, kinds=own))
        return Picture(
            stack=self._stack,
            components=tuple(sorted(tops, key=lambda item: item.urn)),
            flows=self._flows(),
            waits=self._waits(),
            planned=self._operations is not None,
        )

    @staticmethod
    def _is_plumbing(one: Drawable) -> bool:
        """Tell whether it is a provider: how the program reaches a cluster, nothing that a lab has."""
        return one.type.startswith(PROVIDER_PREFIX)

    def _owner(self, one: Drawable) -> str:
        """Return the URN of the component that `one` is shown in: empty for the stack."""
        parent = self._resources.get(one.parent)
        while parent is not None and parent.custom:  # a resource below a resource belongs to the same component
            parent = self._resources.get(parent.parent)
        return "" if parent is None or parent.type == STACK_TYPE else parent.urn

    def _top(self, urn: str) -> str:
        """Return the URN of the component of the stack that holds the resource `urn`; empty for the stack itself."""
        known = self._tops.get(urn)
        if known is None:
            top, current = "", self._resources.get(urn)
            while current is not None and current.type != STACK_TYPE:
                if not current.custom:
                    top = current.urn
                current = self._resources.get(current.parent)
            known = self._tops[urn] = top
        return known

    def _component(self, one: Drawable) -> Component:
        held = self._children[one.urn]
        return Component(
            urn=one.urn,
            type=one.type.removeprefix(COMPONENT_PREFIX).rsplit(":", 1)[-1],
            name=urn_name(one.urn),
            kinds=self._kinds([item for item in held if item.custom]),
            children=tuple(self._component(item) for item in held if not item.custom),
        )

    def _kinds(self, resources: list[Drawable]) -> tuple[Kind, ...]:
        counted: Counter[str] = Counter()
        signs: defaultdict[str, Counter[Sign]] = defaultdict(Counter)
        for one in resources:
            name = one.type.rsplit(":", 1)[-1]
            counted[name] += 1
            if sign := self._sign(one.urn):
                signs[name][sign] += 1
        ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        return tuple(Kind(name=name, count=count, signs=dict(sorted(signs[name].items()))) for name, count in ordered)

    def _sign(self, urn: str) -> Sign:
        if urn in self._failed:
            return "failed"
        operation = (self._operations or {}).get(urn, SAME)
        return "" if operation == SAME else operation

    def _flows(self) -> tuple[Flow, ...]:
        examples: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        counts: Counter[tuple[str, str]] = Counter()
        reached: Counter[tuple[str, str]] = Counter()
        for one in self._resources.values():
            target = self._top(one.urn)
            if not target or self._is_plumbing(one):
                continue
            for key, urns in one.property_dependencies.items():
                for pair in {(self._top(urn), target) for urn in urns if self._top(urn) not in ("", target)}:
                    counts[pair] += 1
                    sources = sorted(urn for urn in urns if self._top(urn) == pair[0])
                    examples[pair].add(f"{key} of {_words(one.urn)} from {_words(sources[0])}")
            for source in self._behind_provider(one) - {"", target}:
                reached[source, target] += 1
        flows = [
            Flow(source=pair[0], target=pair[1], count=count, examples=tuple(sorted(examples[pair])[:MOST_EXAMPLES]))
            for pair, count in counts.items()
        ]
        known = set(counts)
        flows += [
            Flow(source=pair[0], target=pair[1], count=count, by_provider=True)
            for pair, count in reached.items()
            if not _is_implied(pair, known | set(reached))
        ]
        return tuple(sorted(_merged(flows), key=lambda flow: (flow.source, flow.target)))

    def _behind_provider(self, one: Drawable) -> set[str]:
        """Return the components whose outputs configure the provider of `one`."""
        provider = self._resources.get(one.provider.rpartition("::")[0])
        if provider is None:
            return set()
        return {self._top(urn) for urns in provider.property_dependencies.values() for urn in urns}

    def _waits(self) -> tuple[tuple[str, str], ...]:
        pairs = {(self._top(urn), self._top(one.urn)) for one in self._resources.values() for urn in one.dependencies}
        return tuple(sorted(pair for pair in pairs if "" not in pair and pair[0] != pair[1]))


def _words(urn: str) -> str:
    return f"{urn_type(urn).rsplit(':', 1)[-1]} {urn_name(urn)}"


def _merged(flows: Iterable[Flow]) -> list[Flow]:
    """Return `flows` with one per pair: values that flow say more than a provider that does."""
    by_pair: dict[tuple[str, str], Flow] = {}
    for flow in flows:
        by_pair.setdefault((flow.source, flow.target), flow)
    return list(by_pair.values())


def _is_implied(pair: tuple[str, str], pairs: Collection[tuple[str, str]]) -> bool:
    """Tell whether other flows lead from the one to the other, too: the cluster's access flows to everything."""
    seen: set[str] = set()
    waiting = [target for source, target in pairs if source == pair[0] and target != pair[1]]
    while waiting:
        current = waiting.pop()
        if current == pair[1]:
            return True
        if current not in seen:
            seen.add(current)
            waiting += [target for source, target in pairs if source == current]
    return False
