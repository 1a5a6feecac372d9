"""Changes of a pod that is admitted, each of one thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cluster_api import Object


@dataclass(frozen=True)
class Forbidden:
    """One row of the isolation matrix."""

    what: str
    says: str
    """Part of the refusal, which names what is wrong."""
    change: Callable[[Object], None]


def put(path: str, value: object) -> Callable[[Object], None]:
    """Return what sets the value at a path, making what is missing on the way."""

    def change(tree: Object) -> None:
        *way, last = path.split(".")
        here: Any = tree
        for step in way:
            # A number is a place in a list, a name a key.
            here = here[int(step)] if step.isdigit() else here.setdefault(step, {})
        here[int(last) if last.isdigit() else last] = value

    return change


def annotate(key: str, value: str) -> Callable[[Object], None]:
    def change(pod: Object) -> None:
        pod["metadata"].setdefault("annotations", {})[key] = value

    return change


def label(key: str, value: str) -> Callable[[Object], None]:
    def change(pod: Object) -> None:
        pod["metadata"].setdefault("labels", {})[key] = value

    return change


def volume(source: Mapping[str, object], **mount: object) -> Callable[[Object], None]:
    """Return what adds a volume of this source and mounts it."""

    def change(pod: Object) -> None:
        pod["spec"].setdefault("volumes", []).append({"name": "added", **source})
        mounts = pod["spec"]["containers"][0].setdefault("volumeMounts", [])
        mounts.append({"name": "added", "mountPath": "/added", **mount})

    return change


def volume_named(name: str, path: str, value: object) -> Callable[[Object], None]:
    """Return what changes the volume of a name."""

    def change(pod: Object) -> None:
        (found,) = [each for each in pod["spec"]["volumes"] if each["name"] == name]
        put(path, value)(found)

    return change


def mount_at(place: str, **changes: object) -> Callable[[Object], None]:
    """Return what changes the mount at a place."""

    def change(pod: Object) -> None:
        (found,) = [each for each in pod["spec"]["containers"][0]["volumeMounts"] if each["mountPath"] == place]
        found.update(changes)

    return change


def beside(
    kind: str = "containers", context: Mapping[str, object] | None = None, **fields: object
) -> Callable[[Object], None]:
    """Return what adds a container like the server's, but for these fields, before it or beside it."""

    def change(pod: Object) -> None:
        first = pod["spec"]["containers"][0]
        added = {"name": "beside", "image": first["image"], "env": first["env"]}
        secured = {**first["securityContext"], **(context or {})}
        pod["spec"].setdefault(kind, []).append({**added, "securityContext": secured, **fields})

    return change


def both(*changes: Callable[[Object], None]) -> Callable[[Object], None]:
    """Return several changes that make sense to the API server only together."""

    def change(pod: Object) -> None:
        for each in changes:
            each(pod)

    return change


def claim(name: str, *, read_only: bool = False) -> Mapping[str, object]:
    return {"persistentVolumeClaim": {"claimName": name, "readOnly": read_only}}
