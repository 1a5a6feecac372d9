"""StorageClasses, volumes and claims. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from labctl.doctor.facts.fact import Inapplicable, MissingFactError, value_of
from labctl.doctor.findings import Verdict, problem, warning

from .cluster import cluster_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from labctl.doctor.declared import Declared
    from labctl.doctor.facts.cluster import ClusterFacts
    from labctl.doctor.facts.everything import Facts
    from labctl.doctor.facts.objects import ClaimFacts, ClassFacts
    from labctl.doctor.findings import Finding

__all__ = ["GRACE", "own_namespaces", "storage"]

CLASS: Final = "kubernetes:storage.k8s.io/v1:StorageClass"
VOLUME: Final = "kubernetes:core/v1:PersistentVolume"
CLAIM: Final = "kubernetes:core/v1:PersistentVolumeClaim"
NAMESPACE: Final = "kubernetes:core/v1:Namespace"
BOUND: Final = "Bound"
GRACE: Final = timedelta(minutes=2)
"""For a claim to be bound and a pod to be ready before anybody is told: an image that is there starts in seconds."""


def own_namespaces(facts: Facts) -> frozenset[str]:
    """Return the namespaces that the stack has made."""
    return frozenset(name for _, name in facts.state.objects(NAMESPACE))


def storage(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge whether the stack's classes and volumes are there, and its claims bound."""
    section = declared.cluster.storage
    if section is None:
        raise MissingFactError(Inapplicable("the stack has no storage section"))
    cluster = cluster_of(facts)
    classes = {found.name: found for found in value_of(cluster.classes)}
    meant = {name for _, name in facts.state.objects(CLASS)}
    used = () if section.use is None else (section.use.home_class, section.use.scratch_class)
    findings = [
        problem(f"StorageClass {name}", "it is in the state and not in the cluster", declared.refresh)
        for name in sorted(meant - classes.keys())
    ]
    findings += [
        problem(f"StorageClass {name}", "storage.use names it, and the cluster does not have it", _owner(declared))
        for name in used
        if name is not None and name not in classes
    ]
    findings += _volumes(facts, cluster, declared)
    claims = [claim for claim in value_of(cluster.claims) if claim.namespace in own_namespaces(facts)]
    findings += _missing_claims(facts, claims, declared)
    for claim in claims:
        findings += _claim(claim, classes, declared, now)
    volumes = len(facts.state.objects(VOLUME))
    return Verdict(
        said=f"{len(meant)} classes and {volumes} volumes are there, {len(claims)} claims are bound",
        findings=tuple(findings),
    )


def _owner(declared: Declared) -> str:
    return f"bring the stack up that owns it, or correct storage.use in Pulumi.{declared.stack}.yaml"


def _volumes(facts: Facts, cluster: ClusterFacts, declared: Declared) -> Iterator[Finding]:
    there = {volume.name: volume for volume in value_of(cluster.volumes)}
    for _, name in facts.state.objects(VOLUME):
        subject = f"PersistentVolume {name}"
        if name not in there:
            yield problem(subject, "it is in the state and not in the cluster", declared.refresh)
        elif (volume := there[name]).phase != BOUND and volume.claim:
            look = declared.kubectl(f"describe pv {name}")
            yield problem(subject, f"it is {volume.phase or 'of no phase'}, and meant for {volume.claim}", look)


def _missing_claims(facts: Facts, claims: list[ClaimFacts], declared: Declared) -> Iterator[Finding]:
    there = {(claim.namespace, claim.name) for claim in claims}
    for namespace, name in facts.state.objects(CLAIM):
        if (namespace, name) not in there:
            subject = f"PersistentVolumeClaim {namespace}/{name}"
            yield problem(subject, "it is in the state and not in the cluster", declared.refresh)


def _claim(
    claim: ClaimFacts, classes: Mapping[str, ClassFacts], declared: Declared, now: datetime
) -> Iterator[Finding]:
    if claim.phase == BOUND:
        return
    subject = f"PersistentVolumeClaim {claim.namespace}/{claim.name}"
    look = declared.kubectl(f"describe pvc -n {claim.namespace} {claim.name}")
    known = classes.get(claim.class_name)
    if claim.phase == "Lost":
        yield problem(subject, "it is Lost: its volume is gone", f"{look}; docs/storage.md has the way back")
    elif claim.class_name and known is None:
        yield problem(subject, f"it is {claim.phase}, for there is no class {claim.class_name}", look)
    elif known is not None and known.waits_for_pods:
        return
    elif claim.created is not None and now - claim.created < GRACE:
        yield warning(subject, "it is Pending, since less than two minutes", f"wait, then {look}")
    else:
        yield problem(subject, f"it is {claim.phase or 'of no phase'}: nobody has bound it", look)
