"""The life of an object that the program owns whole: applied, read, deleted, and waited for."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from labctl.engine.providers.base import Context, Created, Operation, PartialFailureError, Resource
from labctl.graph.differences import differences
from labctl.graph.values import Inputs, Value, as_mapping, as_text, contains_unknown

from .annotations import Behaviour, Propagation
from .client import ApiError
from .cluster import Cluster, Target
from .exceptions import ClusterUnreachableError, ObjectExistsError, UnknownKindError
from .live import live_inputs, overlaid
from .manifests import (
    FIELD_MANAGER_KEY,
    INITIAL_API_VERSION_KEY,
    checkpoint,
    object_id,
    previewed,
    server_form,
)
from .ownership import created_by_update, field_manager, is_managed_by, managers, takeover_patch
from .readiness import DEFAULT_TIMEOUT_SECONDS
from .verdicts import cannot_be_previewed, is_namespace_missing, translated
from .vocabulary import BUILT_IN_GROUPS, group_of
from .volumes import give_volume_back
from .waiting import NotReadyError, Place, await_gone, await_ready

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = ["ObjectLifecycle", "target_of"]

NOT_THERE_YET_SECONDS: Final = 30.0
"""How long a create waits for its kind or its namespace to appear (official: five retries, 31 s together)."""
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 2.0
CREATE_ATTEMPTS: Final = 4
"""How often a create is tried whose answer was lost on the way."""

OWN_NOTHING: Final = frozenset(
    {
        ("", "ConfigMap"),
        ("", "LimitRange"),
        ("", "ResourceQuota"),
        ("", "Secret"),
        ("", "ServiceAccount"),
        ("networking.k8s.io", "NetworkPolicy"),
        ("policy", "PodDisruptionBudget"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        ("rbac.authorization.k8s.io", "Role"),
        ("rbac.authorization.k8s.io", "RoleBinding"),
        ("scheduling.k8s.io", "PriorityClass"),
        ("storage.k8s.io", "StorageClass"),
    }
)
"""Kinds that no controller makes owners of others. They are deleted at once (``Background``) instead of through the
garbage collector (``Foreground``, the official default for everything), which works off about ten objects a second."""

SKIPS_AWAIT_ON_DELETE: Final = frozenset(
    {
        ("", "Namespace"),
        ("", "Pod"),
        ("apps", "DaemonSet"),
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("batch", "Job"),
    }
)
"""Kinds whose ``skipAwait`` is for deletion too (official: ``allowsSkipAwaitWithDelete``)."""


def target_of(resource: Resource, default_namespace: str) -> Target:
    """Return which object a resource of the state stands for: what the server said it is called, else its inputs."""
    metadata = resource.outputs.get("metadata") or resource.inputs.get("metadata")
    return Target.of({**resource.inputs, "metadata": metadata}, default_namespace)


class ObjectLifecycle:
    """Creates, changes, reads and deletes whole objects on one cluster.

    Parameters
    ----------
    cluster
        Where.
    default_namespace
        For namespaced objects that name none.
    simulated
        True where nothing runs on the nodes: no operator makes a custom resource the owner of anything, and the garbage
        collector takes note of a kind that is new only every 30 s, so custom resources are deleted without it.
    """

    def __init__(self, cluster: Cluster, default_namespace: str, *, simulated: bool = False) -> None:
        self._cluster = cluster
        self._namespace = default_namespace
        self._simulated = simulated

    def create(self, resource: Resource, context: Context) -> Created:
        """Create the object, or in a preview have the server check it.

        Raises
        ------
        ObjectExistsError
            It exists, and no interrupted run of this stack made it.
        KubernetesError, PartialFailureError
            Refused; created but not ready.
        """
        inputs = resource.inputs
        target = Target.of(inputs, self._namespace)
        if context.preview:
            return self._previewed_create(target, inputs)
        manager = field_manager(resource.urn, inputs, {})
        place = self._place(target, context)
        existing = self._existing(place, manager, context)
        live = self._apply_new(place, inputs, manager, context, is_ours=existing is not None)
        outputs = checkpoint(live, inputs, manager, target.api_version)
        return self._finished(place, live, inputs, outputs, context)

    def _place(self, target: Target, context: Context) -> Place:
        """Return how to address `target`; waits for its kind if a CustomResourceDefinition is just coming."""
        deadline, pause = time.monotonic() + NOT_THERE_YET_SECONDS, FIRST_PAUSE_SECONDS
        while True:
            resource = self._cluster.resource_of(target)
            if resource is not None:
                return Place(self._cluster, resource, target)
            if time.monotonic() >= deadline or context.cancelled.is_set():
                raise UnknownKindError(target.id(None), target.api_version, target.kind)
            context.report(f"waiting for the kind {target.kind} of {target.api_version}")
            context.cancelled.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _existing(self, place: Place, manager: str, context: Context) -> Inputs | None:
        """Return the object if an interrupted create of ours made it, None if there is none."""
        existing = self._cluster.get_before_create(place.resource, place.target)
        if existing is None:
            return None
        if is_going(existing):
            await_gone(place, as_text(as_mapping(existing.get("metadata")).get("uid")), _limit(context, {}), context)
            return None
        if context.interrupted is Operation.CREATING and is_managed_by(existing, manager):
            return existing
        raise ObjectExistsError(place.target.kind, place.id, managers(existing))

    def _apply_new(self, place: Place, inputs: Inputs, manager: str, context: Context, *, is_ours: bool) -> Inputs:
        """Apply an object that is not there yet, and leave one alone that somebody else made in that moment."""
        body = server_form(inputs)
        deadline, pause = time.monotonic() + NOT_THERE_YET_SECONDS, FIRST_PAUSE_SECONDS
        attempt = 0
        while True:
            attempt += 1
            try:
                is_new, live = self._cluster.apply(
                    place.resource,
                    place.target,
                    body,
                    manager,
                    force=Behaviour.of(inputs).patch_force,
                    repeatable=False,
                    cancelled=context.cancelled,
                )
            except ApiError as error:
                self._refuse_existing(place, manager, error)
                waits = is_namespace_missing(error) and time.monotonic() < deadline
                uncertain = error.is_passing and attempt < CREATE_ATTEMPTS
                if not (waits or uncertain) or context.cancelled.is_set():
                    raise translated(error, place.target.kind, place.id, inputs) from error
                context.report(f"tried again: {error.message}" if uncertain else "waiting for its namespace")
            except ClusterUnreachableError:
                if attempt >= CREATE_ATTEMPTS or context.cancelled.is_set():
                    raise
            else:
                if is_new or is_ours:
                    return live
                self._withdraw(place, manager)
                raise ObjectExistsError(
                    place.target.kind, place.id, [name for name in managers(live) if name != manager]
                )
            context.cancelled.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            existing = place.get()
            is_ours = is_ours or (existing is not None and is_managed_by(existing, manager))

    def _refuse_existing(self, place: Place, manager: str, error: ApiError) -> None:
        """Say that an object exists, where all the server says is that its fields belong to others."""
        if error.status == HTTPStatus.CONFLICT:
            existing = place.get()
            if existing is not None and not is_managed_by(existing, manager):
                raise ObjectExistsError(place.target.kind, place.id, managers(existing)) from error

    def _withdraw(self, place: Place, manager: str) -> None:
        """Give up every field that `manager` holds of an object; what others hold stays."""
        self._cluster.apply(place.resource, place.target, identity_of(place), manager)

    def _finished(self, place: Place, live: Inputs, inputs: Inputs, outputs: Inputs, context: Context) -> Created:
        """Return what is to be recorded once the applied object is ready; `outputs` are those at this moment."""
        reasons: tuple[str, ...] = ()
        applied = live
        give_volume_back(place, live, context)
        if not Behaviour.of(inputs).skip_await:
            try:
                live = await_ready(place, live, _asked_limit(context, inputs), context)
            except NotReadyError as error:
                live, reasons = error.live, error.reasons
        if place.target.kind == "CustomResourceDefinition":
            self._cluster.forget_kinds()
        if live is not applied:
            manager, version = as_text(outputs[FIELD_MANAGER_KEY]), as_text(outputs[INITIAL_API_VERSION_KEY])
            outputs = checkpoint(live, inputs, manager, version)
        if reasons:
            headline = f"{place.target.kind} {place.id} was applied but did not get ready"
            raise PartialFailureError(object_id(live), outputs, (headline, *reasons))
        return Created(id=object_id(live), outputs=outputs)

    def _previewed_create(self, target: Target, inputs: Inputs) -> Created:
        answer = Created(id="", outputs=previewed(inputs))
        if contains_unknown(inputs):
            return answer
        resource = self._cluster.previewed_resource_of(target)
        if resource is None:
            return answer
        try:
            self._cluster.try_create(resource, target, server_form(inputs))
        except ApiError as error:
            if not cannot_be_previewed(error):
                raise translated(error, target.kind, target.id(resource), inputs) from error
        except ClusterUnreachableError:
            return answer
        return answer

    def update(self, old: Resource, inputs: Inputs, context: Context) -> Created:
        """Apply checked `inputs`; an object that is gone meanwhile is created again, and said to be.

        Raises
        ------
        KubernetesError, PartialFailureError
            Refused, in conflict with another manager; applied but not ready.
        """
        manager = field_manager(old.urn, inputs, old.outputs)
        target = target_of(old, self._namespace)
        if context.preview:
            return self._previewed_update(old, target, inputs, manager, context)
        place = self._place(target, context)
        self._take_over(place, old, manager)
        try:
            is_new, live = self._cluster.apply(
                place.resource,
                target,
                server_form(inputs),
                manager,
                force=Behaviour.of(inputs).patch_force,
                cancelled=context.cancelled,
            )
        except ApiError as error:
            raise translated(error, target.kind, place.id, inputs) from error
        if is_new:
            context.report("was gone from the cluster: created again")
        previous = field_manager(old.urn, {}, old.outputs)
        if previous != manager:
            self._withdraw(place, previous)
        outputs = checkpoint(live, inputs, manager, _initial_version(old))
        return self._finished(place, live, inputs, outputs, context)

    def _take_over(self, place: Place, old: Resource, manager: str) -> None:
        """Make fields that were created by POST, as the official provider does, fields of `manager`."""
        if not created_by_update(old.outputs):
            return
        live = place.get()
        operations = takeover_patch(live, manager) if live is not None else []
        if operations:
            self._cluster.patch_json(place.resource, place.target, operations)

    def _previewed_update(
        self, old: Resource, target: Target, inputs: Inputs, manager: str, context: Context
    ) -> Created:
        offline = Created(id=old.id, outputs=overlaid(old.outputs, old.inputs, inputs))
        if contains_unknown(inputs):
            return offline
        resource = self._cluster.previewed_resource_of(target)
        if resource is None:
            return offline
        force = Behaviour.of(inputs).patch_force or created_by_update(old.outputs)
        try:
            live = self._cluster.get(resource, target)
            body = server_form(inputs)
            _, result = self._cluster.apply(resource, target, body, manager, force=force, dry_run=True)
        except ApiError as error:
            if cannot_be_previewed(error):
                return offline
            raise translated(error, target.kind, target.id(resource), inputs) from error
        except ClusterUnreachableError:
            return offline
        _report_drift(live, old.inputs, context)
        return Created(id=old.id, outputs=checkpoint(result, inputs, manager, _initial_version(old)))

    def read(self, resource: Resource, context: Context) -> Created | None:
        """Return the live object, and as inputs the live values of the fields that the program set.

        One whose deletion an earlier run asked for counts as gone while it is still going: nothing keeps it, and a
        create waits until it is gone.
        """
        target = target_of(resource, self._namespace)
        kind = self._cluster.resource_of(target)
        live = self._cluster.get(kind, target) if kind is not None else None
        if live is None or (context.interrupted is Operation.DELETING and is_going(live)):
            return None
        inputs = live_inputs(live, resource.inputs)
        manager = field_manager(resource.urn, resource.inputs, resource.outputs)
        outputs = checkpoint(live, inputs, manager, _initial_version(resource))
        return Created(id=resource.id or object_id(live), outputs=outputs, inputs=inputs)

    def delete(self, resource: Resource, context: Context) -> None:
        """Delete the object and wait until it is gone; one that is gone, or whose kind is, is success.

        Raises
        ------
        StuckDeletionError, StillDeletingError, KubernetesError
            It is held; the person asked to stop; the server refused.
        """
        target = target_of(resource, self._namespace)
        kind = self._cluster.resource_of(target)
        if kind is None:
            return
        place, behaviour = Place(self._cluster, kind, target), Behaviour.of(resource.inputs)
        group_kind = (group_of(target.api_version), target.kind)
        policy = behaviour.propagation or self._propagation(group_kind)
        try:
            uid = self._cluster.delete(kind, target, policy)
        except ApiError as error:
            raise translated(error, target.kind, place.id, resource.inputs) from error
        skips = behaviour.skip_await and group_kind in SKIPS_AWAIT_ON_DELETE
        if uid is not None and not skips:
            await_gone(place, uid, _limit(context, resource.inputs), context)
        if target.kind == "CustomResourceDefinition":
            self._cluster.forget_kinds()

    def _propagation(self, group_kind: tuple[str, str]) -> Propagation:
        """Return how an object that says nothing about it is deleted: at once where it cannot own anything."""
        is_custom = group_kind[0] not in BUILT_IN_GROUPS
        owns_nothing = group_kind in OWN_NOTHING or (self._simulated and is_custom)
        return Propagation.BACKGROUND if owns_nothing else Propagation.FOREGROUND


def is_going(live: Mapping[str, Value]) -> bool:
    """Tell whether the deletion of a live object was asked for."""
    return bool(as_mapping(live.get("metadata")).get("deletionTimestamp"))


def identity_of(place: Place) -> Inputs:
    """Return an object's identity and nothing else: applied, it gives up every field a manager holds."""
    metadata: Inputs = {"name": place.target.name}
    if place.resource.namespaced:
        metadata["namespace"] = place.target.namespace
    return {"apiVersion": place.target.api_version, "kind": place.target.kind, "metadata": metadata}


def _initial_version(resource: Resource) -> str:
    recorded = as_text(resource.outputs.get(INITIAL_API_VERSION_KEY))
    return recorded or as_text(resource.inputs.get("apiVersion"))


def _asked_limit(context: Context, inputs: Mapping[str, Value]) -> float | None:
    """Return the timeout that the registration, else the object's annotation, asks for (official order)."""
    return context.timeout_seconds or Behaviour.of(inputs).timeout_seconds


def _limit(context: Context, inputs: Mapping[str, Value]) -> float:
    return _asked_limit(context, inputs) or DEFAULT_TIMEOUT_SECONDS


def _report_drift(live: Inputs | None, inputs: Inputs, context: Context) -> None:
    """Say what an update also puts back, because somebody changed it on the server."""
    if live is None:
        context.report("is gone from the cluster: will be created again")
        return
    drifted = differences(live_inputs(live, inputs), inputs)
    if drifted:
        context.report(f"also puts back what was changed on the server: {', '.join(drifted)}")
