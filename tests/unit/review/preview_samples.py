"""Previews by hand, in the official shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labctl.graph.values import Plain
from labctl.review import Permission, Policies, StackReview, named_in, read_preview, review_preview

PROJECT = "research-compute"
VOLUME = "kubernetes:core/v1:PersistentVolume"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
SEALED: Plain = {
    "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
    "ciphertext": "v1:CANARYNONCE:CANARYCIPHERTEXT",
}


def urn(type_: str, name: str, stack: str = "prod", parent: str = "lab:index:Hub") -> str:
    return f"urn:pulumi:{stack}::{PROJECT}::{parent}${type_}::{name}"


def state(type_: str, name: str, inputs: Mapping[str, Plain], **more: Plain) -> dict[str, Plain]:
    return {"urn": urn(type_, name), "custom": True, "type": type_, "id": name, "inputs": dict(inputs), **more}


def step(
    op: str, type_: str, name: str, old: Mapping[str, Plain] | None, new: Mapping[str, Plain] | None, **more: Plain
) -> dict[str, Plain]:
    """Return one step; `more` is about the step, except for ``protect`` of the old state."""
    made: dict[str, Plain] = {"op": op, "urn": urn(type_, name), "detailedDiff": None}
    protect = more.pop("protect", False)
    if old is not None:
        made["oldState"] = state(type_, name, old, **({"protect": True} if protect else {}))
    if new is not None:
        made["newState"] = state(type_, name, new)
    return made | more


def preview(*steps: Mapping[str, Plain], same: int = 0, **more: Plain) -> dict[str, Plain]:
    return {"steps": [dict(each) for each in steps], "changeSummary": {"same": same}, **more}


def reviewed(
    *steps: Mapping[str, Plain],
    stack: str = "prod",
    description: str = "",
    policies: Policies | None = None,
    diagnostics: Sequence[Mapping[str, Plain]] = (),
) -> StackReview:
    document = preview(*steps, diagnostics=[dict(each) for each in diagnostics])
    permission = Permission(stack=stack, named=named_in(description), everything=stack in ("dev", "next"))
    return review_preview(read_preview(document), permission, policies or Policies())
