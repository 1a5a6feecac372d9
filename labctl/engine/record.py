"""Where a deployment writes what it does, and nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .providers.base import Operation, Resource
from .state import Begun, ResourceState

if TYPE_CHECKING:
    from labctl.graph.values import Inputs

__all__ = ["NoRecord", "Record", "as_resource"]


class Record(Protocol):
    """Where states go as they come to be: the open stack, or nowhere in a preview. See `labctl.engine.state.Stack`."""

    def begin(self, operation: Operation, state: ResourceState) -> Begun:
        """Note, durably, that an operation is about to start."""
        ...

    def done(self, begun: Begun, new: ResourceState | None = None, *, replacing: bool = False) -> None:
        """Note its end: the new state, or None when the resource is gone."""

    def failed(self, begun: Begun) -> None:
        """Note that the operation ended without effect."""

    def register(self, state: ResourceState) -> None:
        """Note a state that needed no operation, in its place of the new order."""

    def renamed(self, former: str, urn: str) -> None:
        """Note that what was called `former` is called `urn` now."""

    def outputs(self, urn: str, outputs: Inputs) -> None:
        """Note the outputs of a component or of the stack."""

    def forget(self, state: ResourceState) -> None:
        """Note that a state is gone without anybody having been asked to delete it."""

    def resolve(self, urn: str) -> None:
        """Note that what an earlier run left pending is dealt with."""


class NoRecord:
    """Record nothing: a preview."""

    def begin(self, operation: Operation, state: ResourceState) -> Begun:
        """Return a token that leads nowhere."""
        return Begun(0, operation, state)

    def done(self, begun: Begun, new: ResourceState | None = None, *, replacing: bool = False) -> None:
        """Ignore it."""

    def failed(self, begun: Begun) -> None:
        """Ignore it."""

    def register(self, state: ResourceState) -> None:
        """Ignore it."""

    def renamed(self, former: str, urn: str) -> None:
        """Ignore it."""

    def outputs(self, urn: str, outputs: Inputs) -> None:
        """Ignore it."""

    def forget(self, state: ResourceState) -> None:
        """Ignore it."""

    def resolve(self, urn: str) -> None:
        """Ignore it."""


def as_resource(state: ResourceState) -> Resource:
    """Return `state` as a provider sees it."""
    return Resource(urn=state.urn, type=state.type, id=state.id, inputs=state.inputs, outputs=state.outputs)
