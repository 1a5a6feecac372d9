"""What a provider is to the engine: Pulumi's provider protocol, as far as this program's graphs use it.

A provider is called from many threads at once and keeps no state of its own beyond its connection. Inputs and outputs
are `labctl.graph.values.Value`: secrets stay sealed in what a provider returns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from threading import Event
from typing import TYPE_CHECKING, Protocol

from labctl.graph.differences import Change
from labctl.graph.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labctl.graph.values import Inputs

__all__ = [
    "Context",
    "Created",
    "Diff",
    "Operation",
    "PartialFailureError",
    "Provider",
    "ProviderError",
    "ProviderFactory",
    "Replacement",
    "Resource",
    "UnfinishedError",
]


class Operation(StrEnum):
    """What was under way when an earlier run was cut off (Pulumi: ``pending_operations[].type``)."""

    CREATING = "creating"
    UPDATING = "updating"
    DELETING = "deleting"


class Replacement(StrEnum):
    """In which order a replacement deletes the old resource and creates the new one."""

    CREATE_FIRST = "create-before-delete"
    DELETE_FIRST = "delete-before-create"


class ProviderError(Exception):
    """An operation that did not happen; the message is shown to a person as it is."""


class UnfinishedError(ProviderError):
    """An operation that was begun and whose end is not known: it may have happened, or may still happen.

    The engine keeps it as pending, and the next run looks before it decides.
    """


class PartialFailureError(ProviderError):
    """A resource that exists but did not become what was asked, for example a Deployment that never got ready.

    The engine records it with the reasons, exits with a failure and tries an update next time
    (Pulumi: ``initErrors``).
    """

    def __init__(self, resource_id: str, outputs: Inputs, reasons: tuple[str, ...]) -> None:
        super().__init__("; ".join(reasons))
        self.resource_id = resource_id
        self.outputs = outputs
        self.reasons = reasons


def _ignore(message: str) -> None:
    del message


@dataclass(frozen=True, kw_only=True)
class Context:
    """Circumstances of one operation."""

    preview: bool = False
    """True: nothing may change; return what would be, unknown where it cannot be told."""
    timeout_seconds: float | None = None
    """The resource's ``custom_timeouts`` for this operation; None: the provider's own default."""
    interrupted: Operation | None = None
    """What an earlier run was doing to this resource when it was cut off; a create may then find its own object."""
    report: Callable[[str], None] = _ignore
    """Shows one line of progress beside the resource's name."""
    cancelled: Event = field(default_factory=Event)
    """Set when the person asked to stop: a wait ends soon, an operation under way is finished."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource as the state knows it, and its registration's name."""

    urn: str
    type: str
    """Type token, for example ``kubernetes:core/v1:Namespace``."""
    id: str = ""
    """Empty before it exists."""
    inputs: Inputs
    """Checked inputs it was last applied with."""
    outputs: Inputs = field(default_factory=dict[str, Value])

    @property
    def name(self) -> str:
        """Logical name: the last part of the URN."""
        return self.urn.rsplit("::", 1)[-1]


@dataclass(frozen=True, kw_only=True)
class Created:
    """What exists after a create, an update or a read."""

    id: str
    """Empty in a preview: unknown."""
    outputs: Inputs
    inputs: Inputs | None = None
    """Read only: the inputs as they really are, to be stored by ``refresh``."""


@dataclass(frozen=True, kw_only=True)
class Diff:
    """How a resource would change."""

    changes: Mapping[str, Change] = field(default_factory=dict[str, Change])
    """Changed property paths, for example ``spec.template.spec.containers[0].image``."""
    replace_paths: frozenset[str] = frozenset()
    """Those of `changes` that cannot be changed in place."""
    order: Replacement = Replacement.CREATE_FIRST
    """How to replace, where the registration does not say."""
    detailed: bool = True
    """False: the official provider reports only top-level keys for this type (``detailedDiff`` is null)."""


class Provider(Protocol):
    """One configured provider instance."""

    def check(self, resource: Resource, old: Resource | None) -> Inputs:
        """Return the inputs as they are stored: normalised, defaults filled in as the official provider does.

        `resource.inputs` are the program's, `old` the resource in the state if any. Raises `ProviderError` for
        inputs that can be refused without asking anybody.
        """
        ...

    def diff(self, old: Resource, inputs: Inputs, context: Context) -> Diff:
        """Return how `old` would change with checked `inputs`; changes nothing and needs nobody's answer offline."""
        ...

    def create(self, resource: Resource, context: Context) -> Created:
        """Create the resource; in a preview, return what can be told beforehand."""
        ...

    def update(self, old: Resource, inputs: Inputs, context: Context) -> Created:
        """Change the resource in place to checked `inputs`."""
        ...

    def read(self, resource: Resource, context: Context) -> Created | None:
        """Return the resource as it really is, or None when it is gone; the state's own copy if it cannot be read."""
        ...

    def delete(self, resource: Resource, context: Context) -> None:
        """Delete the resource; one that is gone already is success."""
        ...


class ProviderFactory(Protocol):
    """A provider package: checks and compares configurations, and makes instances."""

    def check_config(self, inputs: Inputs) -> Inputs:
        """Return the provider resource's inputs as they are stored."""
        ...

    def diff_config(self, old: Inputs, new: Inputs) -> Diff:
        """Return how the provider itself changes; `replace_paths` means everything it holds is replaced."""
        ...

    def configure(self, inputs: Inputs) -> Provider:
        """Return a provider for these checked inputs; connects lazily. Unknown inputs: able to preview only."""
        ...
