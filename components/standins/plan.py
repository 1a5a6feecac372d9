"""Stand-in definitions as data: ``files/<group>.yaml``, one file per API group.

A simulated cluster has to take the program's custom resources though the charts that bring their kinds may not be
reachable. A stand-in has the real kind's names, scope and version, and a schema of the fields this program sets, in
our own words: with strict field validation a typo is refused there as it would be by the real one. Tests hold each
against the facts of the real definition.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HelmOwner", "Scope", "StandInKind", "StandInSchema", "stand_in_kinds"]

FILES = Path(__file__).parent / "files"


class Scope(StrEnum):
    """Where objects of a kind live."""

    NAMESPACED = "Namespaced"
    CLUSTER = "Cluster"


class _Document(BaseModel):
    """Base of what the files hold: frozen and closed."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, defer_build=True)


class StandInSchema(_Document):
    """The part of an OpenAPI v3 structural schema that stand-ins are made of."""

    type: Literal["object", "array", "string", "integer", "boolean"] = Field(description="JSON type.")
    properties: dict[str, StandInSchema] = Field(default={}, description="Fields of an object; no others are taken.")
    additional_properties: StandInSchema | None = Field(default=None, description="Values of an object of any keys.")
    items: StandInSchema | None = Field(default=None, description="Items of an array.")
    required: tuple[str, ...] = Field(default=(), description="Fields an object has to have.")
    enum: tuple[str | int, ...] = Field(default=(), description="The only values taken.")
    minimum: int | None = Field(default=None, description="Smallest integer taken.")
    maximum: int | None = Field(default=None, description="Largest integer taken.")
    pattern: str | None = Field(default=None, description="Regular expression a string has to match.")


class _Kind(_Document):
    """One kind of a group, as its file has it."""

    kind: str = Field(description="Kind.")
    plural: str = Field(description="Name in paths of the API.")
    scope: Scope = Field(description="Where objects live.")
    version: str = Field(description="The one version it is served in.")
    spec: StandInSchema = Field(description="Schema of the spec.")


class _Group(_Document):
    """One file."""

    chart: str = Field(description="Pin of the chart that brings the real definitions.")
    group: str = Field(description="API group.")
    kinds: tuple[_Kind, ...] = Field(description="Its kinds.")


@dataclass(frozen=True, kw_only=True)
class StandInKind:
    """One stand-in definition."""

    chart: str
    """Pin of the chart that brings the real one."""
    group: str
    kind: str
    plural: str
    scope: Scope
    version: str
    spec: StandInSchema = field(repr=False)

    @property
    def name(self) -> str:
        """Name of the definition, as the API server asks for it."""
        return f"{self.plural}.{self.group}"

    @property
    def api_version(self) -> str:
        """``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}"


@dataclass(frozen=True, kw_only=True)
class HelmOwner:
    """The release that takes a stand-in over once its chart is reachable after all."""

    release_name: str
    namespace: str

    def annotations(self) -> Mapping[str, str]:
        """Return the annotations by which Helm knows an object as the release's own."""
        return {
            "meta.helm.sh/release-name": self.release_name,
            "meta.helm.sh/release-namespace": self.namespace,
        }


@cache
def stand_in_kinds() -> tuple[StandInKind, ...]:
    """Return every stand-in there is, by name."""
    groups = [_Group.model_validate(_document(path)) for path in sorted(FILES.glob("*.yaml"))]
    kinds = [
        StandInKind(
            chart=group.chart,
            group=group.group,
            kind=entry.kind,
            plural=entry.plural,
            scope=entry.scope,
            version=entry.version,
            spec=entry.spec,
        )
        for group in groups
        for entry in group.kinds
    ]
    return tuple(sorted(kinds, key=lambda kind: kind.name))


def _document(path: Path) -> object:
    return yaml.safe_load(path.read_text(encoding="utf-8"))
