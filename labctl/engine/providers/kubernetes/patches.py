"""``NodePatch``: single fields of an object that belongs to somebody else, given back on deletion."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from labctl.engine.providers.base import Context, Created, Resource
from labctl.graph.values import Inputs, as_mapping, contains_unknown

from .annotations import Behaviour
from .client import ApiError
from .cluster import Cluster, Target
from .exceptions import ClusterUnreachableError, PatchTargetMissingError, UnknownKindError
from .live import live_inputs, overlaid
from .manifests import checkpoint, object_id, previewed, server_form
from .objects import identity_of, target_of
from .ownership import field_manager, is_managed_by
from .verdicts import cannot_be_previewed, translated
from .waiting import Place

if TYPE_CHECKING:
    from .discovery import ResourceKind

__all__ = ["PatchLifecycle"]

NOT_THERE_YET_SECONDS: Final = 30.0
"""How long a patch waits for its object: a kubelet registers its Node some seconds after it starts."""
PAUSE_SECONDS: Final = 1.0


class PatchLifecycle:
    """Sets, changes, reads and gives back single fields of objects on one cluster; never creates or deletes one."""

    def __init__(self, cluster: Cluster, default_namespace: str) -> None:
        self._cluster = cluster
        self._namespace = default_namespace

    def create(self, resource: Resource, context: Context) -> Created:
        """Set the fields; a second time is the same as once.

        Raises
        ------
        PatchTargetMissingError, FieldConflictError, RejectedError
            There is no such object; another manager holds a field; the server refused.
        """
        target = Target.of(resource.inputs, self._namespace)
        manager = field_manager(resource.urn, resource.inputs, resource.outputs)
        if context.preview:
            self._preview(target, resource.inputs, manager)
            return Created(id="", outputs=previewed(resource.inputs))
        return self._apply(target, resource.inputs, manager, context)

    def update(self, old: Resource, inputs: Inputs, context: Context) -> Created:
        """Set checked `inputs`; fields that are no longer in them are given back."""
        target = target_of(old, self._namespace)
        manager = field_manager(old.urn, inputs, old.outputs)
        if context.preview:
            self._preview(target, inputs, manager)
            return Created(id=old.id, outputs=overlaid(old.outputs, old.inputs, inputs))
        return self._apply(target, inputs, manager, context)

    def _apply(self, target: Target, inputs: Inputs, manager: str, context: Context) -> Created:
        resource = self._cluster.resource_of(target)
        if resource is None:
            raise UnknownKindError(target.id(None), target.api_version, target.kind)
        place = Place(self._cluster, resource, target)
        uid = as_mapping(self._awaited(place, context).get("metadata")).get("uid")
        body = server_form(inputs)
        # With its uid in the body, an object that is deleted at this moment is not created anew by the apply.
        body["metadata"] = {**as_mapping(body.get("metadata")), "uid": uid}
        try:
            force = Behaviour.of(inputs).patch_force
            _, live = self._cluster.apply(resource, target, body, manager, force=force, cancelled=context.cancelled)
        except ApiError as error:
            raise translated(error, target.kind, place.id, inputs) from error
        return Created(id=object_id(live), outputs=checkpoint(live, inputs, manager, target.api_version))

    def _awaited(self, place: Place, context: Context) -> Inputs:
        deadline = time.monotonic() + NOT_THERE_YET_SECONDS
        while True:
            live = place.get()
            if live is not None:
                return live
            if time.monotonic() >= deadline or context.cancelled.is_set():
                raise PatchTargetMissingError(place.target.kind, place.id)
            context.report(f"waiting for {place.target.kind} {place.id}")
            context.cancelled.wait(PAUSE_SECONDS)

    def _preview(self, target: Target, inputs: Inputs, manager: str) -> None:
        """Have the server check the patch, if it and the object are there."""
        if contains_unknown(inputs):
            return
        resource = self._cluster.previewed_resource_of(target)
        if resource is None:
            return
        try:
            if self._cluster.get(resource, target) is None:
                return
            force = Behaviour.of(inputs).patch_force
            self._cluster.apply(resource, target, server_form(inputs), manager, force=force, dry_run=True)
        except ApiError as error:
            if not cannot_be_previewed(error):
                raise translated(error, target.kind, target.id(resource), inputs) from error
        except ClusterUnreachableError:
            return

    def read(self, resource: Resource, context: Context) -> Created | None:
        """Return the live object and the live values of the fields that were set; None when the object is gone."""
        del context
        target = target_of(resource, self._namespace)
        live = self._live(self._cluster.resource_of(target), target)
        if live is None:
            return None
        inputs = live_inputs(live, resource.inputs)
        manager = field_manager(resource.urn, resource.inputs, resource.outputs)
        outputs = checkpoint(live, inputs, manager, target.api_version)
        return Created(id=resource.id or object_id(live), outputs=outputs, inputs=inputs)

    def delete(self, resource: Resource, context: Context) -> None:
        """Give the fields back: those that nobody else holds disappear; the object stays."""
        del context
        target = target_of(resource, self._namespace)
        kind = self._cluster.resource_of(target)
        live = self._live(kind, target)
        manager = field_manager(resource.urn, resource.inputs, resource.outputs)
        if kind is None or live is None or not is_managed_by(live, manager):
            return
        place = Place(self._cluster, kind, target)
        body = identity_of(place)
        body["metadata"] = {**as_mapping(body["metadata"]), "uid": as_mapping(live.get("metadata")).get("uid")}
        try:
            self._cluster.apply(kind, target, body, manager)
        except ApiError as error:
            raise translated(error, target.kind, place.id, resource.inputs) from error

    def _live(self, kind: ResourceKind | None, target: Target) -> Inputs | None:
        return self._cluster.get(kind, target) if kind is not None else None
