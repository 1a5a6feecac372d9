"""Claims that name their volume: what to do about a volume that was kept when its last claim went."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from labctl.graph.values import Inputs, as_mapping, as_text

from .client import ApiError
from .cluster import Target

if TYPE_CHECKING:
    from labctl.engine.providers.base import Context

    from .waiting import Place

__all__ = ["give_volume_back", "release_patch"]

SUPERSEDED: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})
"""Answers to the patch when the volume has gone or changed meanwhile: then it is not ours to give any more."""


def release_patch(claim: Inputs, volume: Inputs) -> list[Inputs]:
    """Return the JSON patch that lets `claim` have the `volume` it names; empty when nothing stands in its way.

    A volume with the reclaim policy ``Retain`` stays reserved for the claim it had, by that claim's uid, and a new
    claim of the same namespace and name would wait for ever. That the two are one for the program is what it says by
    naming the volume. The patch holds only for the uid it was made for.
    """
    metadata, spec = as_mapping(claim.get("metadata")), as_mapping(volume.get("spec"))
    reference = as_mapping(spec.get("claimRef"))
    held_by = as_text(reference.get("uid"))
    same = all(reference.get(key) == metadata.get(key) for key in ("namespace", "name"))
    kept = spec.get("persistentVolumeReclaimPolicy") == "Retain"
    going = as_mapping(volume.get("metadata")).get("deletionTimestamp")
    if not (held_by and same and kept) or going or held_by == metadata.get("uid"):
        return []
    place = "/spec/claimRef"
    own: Inputs = {key: value for key, value in reference.items() if key not in ("uid", "resourceVersion")}
    return [
        {"op": "test", "path": f"{place}/uid", "value": held_by},
        {"op": "replace", "path": place, "value": own},
    ]


def give_volume_back(place: Place, live: Inputs, context: Context) -> None:
    """Let a claim that was just applied have the volume it names, where that was kept for a claim of the same name."""
    spec = as_mapping(live.get("spec"))
    name = as_text(spec.get("volumeName"))
    if place.target.kind != "PersistentVolumeClaim" or not name:
        return
    if as_mapping(live.get("status")).get("phase") == "Bound":
        return
    target = Target("v1", "PersistentVolume", name, "")
    resource = place.cluster.resource_of(target)
    volume = place.cluster.get(resource, target) if resource else None
    operations = release_patch(live, volume) if volume is not None else []
    if resource is None or not operations:
        return
    context.report(f"volume {name} was kept when an earlier claim of this name went: given to this one")
    try:
        place.cluster.patch_json(resource, target, operations)
    except ApiError as error:
        if error.status not in SUPERSEDED:
            raise
