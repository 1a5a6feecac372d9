"""One configured kubernetes provider: each resource goes to the lifecycle of its kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from labctl.graph.values import as_text

from .immutable import Mutability, object_diff
from .manifests import checked_inputs
from .vocabulary import RELEASE_TYPE, TypeToken

if TYPE_CHECKING:
    from labctl.engine.providers.base import Context, Created, Diff, Resource
    from labctl.graph.values import Inputs

    from .objects import ObjectLifecycle
    from .patches import PatchLifecycle

__all__ = ["KubernetesProvider", "Lifecycle", "ReleaseProvider", "Settings"]


class Lifecycle(Protocol):
    """What happens to resources of one sort."""

    def create(self, resource: Resource, context: Context) -> Created:
        """Create it."""
        ...

    def update(self, old: Resource, inputs: Inputs, context: Context) -> Created:
        """Change it in place."""
        ...

    def read(self, resource: Resource, context: Context) -> Created | None:
        """Return it as it is."""
        ...

    def delete(self, resource: Resource, context: Context) -> None:
        """Delete it."""
        ...


class ReleaseProvider(Lifecycle, Protocol):
    """The lifecycle of Helm releases, which also have inputs and differences of their own."""

    def check(self, resource: Resource, old: Resource | None) -> Inputs:
        """Return the inputs with every default."""
        ...

    def diff(self, old: Resource, inputs: Inputs, context: Context) -> Diff:
        """Return how it changes."""
        ...


@dataclass(frozen=True)
class Settings:
    """The Provider resource's options that change what happens to objects."""

    default_namespace: str = "default"
    mutability: Mutability = field(default_factory=Mutability)


class KubernetesProvider:
    """Runs Kubernetes objects, node patches and Helm releases on one cluster; see `labctl.engine.providers.base`.

    Parameters
    ----------
    settings
        The Provider resource's options.
    objects, patches, releases
        What runs each sort of resource.
    """

    def __init__(
        self, settings: Settings, *, objects: ObjectLifecycle, patches: PatchLifecycle, releases: ReleaseProvider
    ) -> None:
        self._settings = settings
        self._objects = objects
        self._patches = patches
        self._releases = releases

    def check(self, resource: Resource, old: Resource | None) -> Inputs:
        """Return the inputs as they are stored: normalised, secrets sealed. Raises `KubernetesError` by name."""
        if resource.type == RELEASE_TYPE:
            return self._releases.check(resource, old)
        return checked_inputs(resource, self._settings.default_namespace)

    def diff(self, old: Resource, inputs: Inputs, context: Context) -> Diff:
        """Return how `old` would change; asks nobody, except for a release that waits for its chart."""
        if old.type == RELEASE_TYPE:
            return self._releases.diff(old, inputs, context)
        return object_diff(old.inputs, inputs, self._settings.mutability, patch=_is_patch(old))

    def _lifecycle(self, resource: Resource) -> Lifecycle:
        if resource.type == RELEASE_TYPE:
            return self._releases
        return self._patches if _is_patch(resource) else self._objects

    def create(self, resource: Resource, context: Context) -> Created:
        """Create the resource and wait until it is ready; in a preview, have the server check it."""
        return self._lifecycle(resource).create(resource, context)

    def update(self, old: Resource, inputs: Inputs, context: Context) -> Created:
        """Change the resource in place to checked `inputs`."""
        return self._lifecycle(old).update(old, inputs, context)

    def read(self, resource: Resource, context: Context) -> Created | None:
        """Return the resource as it really is, or None when it is gone."""
        return self._lifecycle(resource).read(resource, context)

    def delete(self, resource: Resource, context: Context) -> None:
        """Delete the resource and wait until it is gone."""
        self._lifecycle(resource).delete(resource, context)


def _is_patch(resource: Resource) -> bool:
    return TypeToken.parse(resource.type).is_patch_of(as_text(resource.inputs.get("kind")))
