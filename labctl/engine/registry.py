"""The provider instances of one deployment, by reference (``<urn>::<id>``)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from labctl.graph.goal import PROVIDER_PREFIX, urn_type

from .errors import UnknownProviderError, UnsupportedPackageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labctl.graph.values import Inputs

    from .providers.base import Provider, ProviderFactory
    from .state import ResourceState

__all__ = ["ProviderRegistry"]


@runtime_checkable
class Closable(Protocol):
    """A provider package that holds something open between operations."""

    def close(self) -> None:
        """Close it; it is opened again when it is needed."""
        ...


class ProviderRegistry:
    """Provider packages by name, and their configured instances by reference."""

    def __init__(self, factories: Mapping[str, ProviderFactory]) -> None:
        self._factories = factories
        self._inputs: dict[str, Inputs] = {}
        self._instances: dict[str, Provider] = {}
        self._lock = threading.Lock()

    def factory(self, package: str) -> ProviderFactory:
        """Return the provider package `package`; raises `UnsupportedPackageError`."""
        if package not in self._factories:
            raise UnsupportedPackageError(package=package, known=tuple(sorted(self._factories)))
        return self._factories[package]

    def remember(self, reference: str, inputs: Inputs) -> None:
        """Make the provider `reference` known with its checked inputs; it connects when first used."""
        with self._lock:
            self._inputs[reference] = inputs
            self._instances.pop(reference, None)

    def remember_all(self, states: Iterable[ResourceState]) -> None:
        """Make every provider among `states` known."""
        for state in states:
            if state.is_provider:
                self.remember(state.reference, state.inputs)

    def inputs(self, reference: str) -> Inputs:
        """Return the checked inputs of a known provider."""
        if reference not in self._inputs:
            raise UnknownProviderError(reference)
        return self._inputs[reference]

    def close(self) -> None:
        """Close what the packages hold open, such as connections to hosts; what is needed later is opened again."""
        for factory in self._factories.values():
            if isinstance(factory, Closable):
                factory.close()

    def get(self, reference: str) -> Provider:
        """Return the instance for `reference`, configured on first use."""
        with self._lock:
            if reference not in self._instances:
                package = urn_type(reference.rsplit("::", 1)[0]).removeprefix(PROVIDER_PREFIX)
                self._instances[reference] = self.factory(package).configure(self.inputs(reference))
            return self._instances[reference]
