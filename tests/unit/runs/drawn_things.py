"""Resources as a picture takes them, made up: small ones by hand, and any number at random."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

STACK = "urn:pulumi:s::lab::pulumi:pulumi:Stack::s"
KINDS = (
    "kubernetes:core/v1:ConfigMap",
    "kubernetes:networking.k8s.io/v1:NetworkPolicy",
    "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding",
    "kubernetes:helm.sh/v3:Release",
    "command:remote:Command",
)
OPERATIONS = ("create", "update", "replace", "delete", "same")


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A resource."""

    urn: str
    type: str
    custom: bool = True
    parent: str = STACK
    provider: str = ""
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


ROOT = Thing(urn=STACK, type="pulumi:pulumi:Stack", custom=False, parent="")


def component(name: str, parent: str = STACK, type_: str = "Part") -> Thing:
    chain = "" if parent == STACK else f"{parent.split('::')[2]}$"
    return Thing(
        urn=f"urn:pulumi:s::lab::{chain}lab:index:{type_}::{name}",
        type=f"lab:index:{type_}",
        custom=False,
        parent=parent,
    )


def resource(name: str, owner: Thing, kind: str = KINDS[0], *, of: Thing | None = None, provider: str = "") -> Thing:
    return Thing(
        urn=f"urn:pulumi:s::lab::{owner.urn.split('::')[2]}${kind}::{name}",
        type=kind,
        parent=owner.urn,
        provider=provider,
        dependencies=(of.urn,) if of else (),
        property_dependencies={"spec": (of.urn,)} if of else {},
    )


def a_lab(seed: int, *, components: int, resources: int, flowing: float) -> tuple[list[Thing], dict[str, str]]:
    """Return so many components, some in others, with so many resources, and what a plan does to each."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    owners = [component(f"part-{number}") for number in range(components)]
    for number in range(components // 2):
        owners.append(component(f"inner-{number}", rng.choice(owners).urn, "Namespace"))
    made: list[Thing] = []
    for number in range(resources):
        of = rng.choice(made) if made and rng.random() < flowing else None
        made.append(resource(f"thing-{number}", rng.choice(owners), rng.choice(KINDS), of=of))
    return [ROOT, *owners, *made], {one.urn: rng.choice(OPERATIONS) for one in made}
