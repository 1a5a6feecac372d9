"""Protection of what holds data, where the environment protects data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from labctl.graph.values import Unknown

from .model import Finding, Rule, Severity
from .reading import at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .model import RuledResource, Surroundings

__all__ = ["RULES"]

VOLUMES: Final = {"PersistentVolume": "a volume", "PersistentVolumeClaim": "a claim"}
"""Kinds that hold data, in words."""
REMEDY: Final = "set protect in the options of the resource (opts=ResourceOptions(protect=...))"


def _volumes(resource: RuledResource, around: Surroundings) -> Iterator[Finding]:
    """Yield a volume or claim that either engine would delete, and a volume whose data goes with its claim."""
    if not around.environment.protects_data or resource.kind not in VOLUMES or not resource.is_object:
        return
    if not resource.protect:
        what = f"{VOLUMES[resource.kind]} holds data and is not protected in {around.environment.name}"
        yield Finding(path="", what=what, remedy=REMEDY)
    policy = at(resource.inputs, "spec", "persistentVolumeReclaimPolicy")
    if resource.kind == "PersistentVolume" and not isinstance(policy, Unknown) and policy not in (None, "Retain"):
        yield Finding(
            path="spec.persistentVolumeReclaimPolicy",
            what="the data is deleted with its claim",
            remedy="write Retain",
        )


def _namespaces(resource: RuledResource, around: Surroundings) -> Iterator[Finding]:
    """Yield a namespace that is not protected and has claims, which go with it."""
    if not around.environment.protects_data or resource.kind != "Namespace" or resource.protect:
        return
    name = resource.object_name
    if name and any(claim.namespace == name for claim in around.of_kind("PersistentVolumeClaim")):
        what = f"the namespace has claims, which go with it, and is not protected in {around.environment.name}"
        yield Finding(path="", what=what, remedy=REMEDY)


RULES: Final = (
    Rule(
        name="data-protected",
        description="Where the environment protects data, volumes and claims are protected and volumes are retained.",
        severity=Severity.MANDATORY,
        check=_volumes,
    ),
    Rule(
        name="data-namespace-protected",
        description="Where the environment protects data, a namespace with claims is protected.",
        severity=Severity.MANDATORY,
        check=_namespaces,
        needs_stack=True,
    ),
)
