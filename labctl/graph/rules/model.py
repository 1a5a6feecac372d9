"""What a rule looks at, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Final

from labctl.graph.values import Inputs, as_mapping, as_text

from .reading import Node, nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["EnvironmentFacts", "Finding", "Rule", "RuledResource", "Severity", "Surroundings", "Violation"]

OBJECTS: Final = "kubernetes:"
"""Type tokens of Kubernetes objects and of Helm releases begin with this."""
RELEASES: Final = frozenset(
    {"kubernetes:helm.sh/v3:Release", "kubernetes:helm.sh/v3:Chart", "kubernetes:helm.sh/v4:Chart"}
)
"""Type tokens of what installs a chart."""
SCHEMAS: Final = "CustomResourceDefinition"
"""The kind that describes settings and has none: a property ``hostPath`` of its schema mounts nothing."""


class Severity(StrEnum):
    """How much a broken rule weighs."""

    MANDATORY = "mandatory"
    """Nothing is touched while it is broken."""
    ADVISORY = "advisory"
    """It is said, and stops nobody."""


@dataclass(frozen=True, kw_only=True)
class EnvironmentFacts:
    """What the rules know of the environment: `labctl.graph` does not know the environments by name."""

    name: str
    """Name of the environment, for messages."""
    is_production: bool
    """Whether people depend on it: replicas and disruption budgets are asked for."""
    protects_data: bool
    """Whether what holds data has to be protected."""


@dataclass(frozen=True, kw_only=True)
class RuledResource:
    """One resource, as every rule sees it; made by `from_goal`, `from_state`, `from_json`, or by the policy pack."""

    urn: str
    type: str
    """Type token, ``kubernetes:core/v1:Namespace``."""
    name: str
    """Logical name."""
    inputs: Inputs
    """Properties, secrets and unknowns anywhere in them."""
    parent: str = ""
    protect: bool = False

    @property
    def stack(self) -> str:
        """Name of its stack, out of the URN."""
        return self.urn.split("::", 1)[0].rpartition(":")[2]

    @property
    def kind(self) -> str:
        """Kind of the object: the last part of the type token."""
        return self.type.rpartition(":")[2]

    @property
    def is_object(self) -> bool:
        """Whether it is one Kubernetes object, rather than a chart or a command."""
        return self.type.startswith(OBJECTS) and not self.is_release

    @property
    def is_release(self) -> bool:
        """Whether it installs a chart."""
        return self.type in RELEASES

    @property
    def has_settings(self) -> bool:
        """Whether its properties may hold settings of pods, services and routes, at any depth."""
        return self.type.startswith(OBJECTS) and self.kind != SCHEMAS

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every key of every mapping in its properties; none where it has no settings."""
        return tuple(nodes(self.inputs)) if self.has_settings else ()

    @property
    def object_name(self) -> str:
        """``metadata.name``; empty when it is unknown or has none."""
        return as_text(as_mapping(self.inputs.get("metadata")).get("name"))

    @property
    def namespace(self) -> str:
        """``metadata.namespace``; empty when it is unknown or has none."""
        return as_text(as_mapping(self.inputs.get("metadata")).get("namespace"))


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check says of one place of a resource; it holds no text of a secret."""

    path: str
    """Property path, ``spec.template.spec.containers[0].image``; empty for the resource as a whole."""
    what: str
    """What is wrong."""
    remedy: str
    """What would be right."""


@dataclass(frozen=True, kw_only=True, order=True)
class Violation:
    """A rule that is broken, and where."""

    urn: str
    path: str
    """Property path; empty for the resource as a whole."""
    rule: str
    """Name of the rule."""
    what: str
    remedy: str
    severity: Severity


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What is around the resource that a rule looks at."""

    environment: EnvironmentFacts
    resources: tuple[RuledResource, ...] = field(repr=False)
    """All of the stack; only the resource itself for a rule that says it needs no more."""

    @cached_property
    def _by_kind(self) -> dict[str, list[RuledResource]]:
        found: dict[str, list[RuledResource]] = {}
        for resource in self.resources:
            if resource.is_object:
                found.setdefault(resource.kind, []).append(resource)
        return found

    def of_kind(self, kind: str) -> tuple[RuledResource, ...]:
        """Return the stack's objects of `kind`."""
        return tuple(self._by_kind.get(kind, ()))


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of the policies: a pure function of a resource and what is around it."""

    name: str
    """Short, with dashes: what an exception names."""
    description: str
    """One sentence: what has to be so."""
    severity: Severity
    check: Callable[[RuledResource, Surroundings], Iterator[Finding]]
    needs_stack: bool = False
    """Whether it compares resources: the official engine asks such a rule once, after the last resource."""
