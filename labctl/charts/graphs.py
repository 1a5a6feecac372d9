"""Releases and custom resources of a recorded graph, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from labctl.graph.values import UNKNOWN, Secret

from .resources import is_custom

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labctl.graph.record import Graph

__all__ = ["RecordedRelease", "RecordedResource", "is_placeholder", "recorded_releases", "recorded_resources"]

RELEASE_TYPE: Final = "kubernetes:helm.sh/v3:Release"
KUBERNETES_PREFIX: Final = "kubernetes:"


@dataclass(frozen=True, kw_only=True)
class RecordedRelease:
    """One Helm release that a program asks for."""

    urn: str
    name: str
    """Helm's name of it."""
    namespace: str
    chart: str
    """The chart's own name."""
    reference: str
    """The chart as Helm is told: a name, an OCI address or a file."""
    version: str
    repository: str | None
    values: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class RecordedResource:
    """One custom resource that a program asks for."""

    urn: str
    api_version: str
    kind: str
    body: Mapping[str, object] = field(repr=False)
    """The whole object."""


def is_placeholder(value: object) -> bool:
    """Tell whether a recorded value stands for one that is not known, or not to be shown."""
    return value is UNKNOWN or isinstance(value, Secret)


def recorded_releases(graph: Graph) -> Iterator[RecordedRelease]:
    """Yield the releases of a graph, in its order."""
    for goal in graph.goals:
        if goal.type == RELEASE_TYPE:
            inputs = cast("Mapping[str, object]", goal.inputs)
            reference, version = str(inputs["chart"]), str(inputs["version"])
            options = cast("Mapping[str, object]", inputs.get("repositoryOpts") or {})
            repository = options.get("repo")
            yield RecordedRelease(
                urn=goal.urn,
                name=str(inputs["name"]),
                namespace=str(inputs["namespace"]),
                chart=reference.rsplit("/", 1)[-1].removesuffix(f"-{version}.tgz"),
                reference=reference,
                version=version,
                repository=str(repository) if repository else None,
                values=cast("Mapping[str, object]", inputs.get("values") or {}),
            )


def recorded_resources(graph: Graph) -> Iterator[RecordedResource]:
    """Yield the custom resources of a graph, in its order."""
    for goal in graph.goals:
        body = cast("Mapping[str, object]", goal.inputs)
        api_version, kind = body.get("apiVersion"), body.get("kind")
        if (
            goal.custom
            and goal.type.startswith(KUBERNETES_PREFIX)
            and isinstance(api_version, str)
            and is_custom(api_version)
        ):
            yield RecordedResource(urn=goal.urn, api_version=api_version, kind=str(kind), body=body)
