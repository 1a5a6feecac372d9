"""Structural facts of upstream charts and custom resources, read from a folder of JSON files.

``values/<chart>.json`` holds the tree of value keys that a chart's defaults declare and, where the chart ships one, its
JSON Schema; ``crds/<group>.json`` the OpenAPI schemas of the kinds of an API group.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from .errors import MalformedFactsError, UnknownChartError, UnknownKindError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ChartFacts", "JsonSchema", "KeyTree", "KindFacts", "UpstreamFacts", "facts_folder"]

FACTS_VARIABLE: Final = "LAB_UPSTREAM_FACTS"
"""Names the folder of facts where it is not in its usual place."""
USUAL_PLACE: Final = Path("..") / "shared" / "upstream"
"""The folder of facts, seen from the project: a folder ``upstream/`` beside it."""

KeyTree: TypeAlias = "Mapping[str, KeyTree] | str"
"""Value keys by name; a leaf is ``boolean``, ``number``, ``string``, ``list``, ``map`` (of any keys) or ``any``."""
JsonSchema: TypeAlias = "Mapping[str, object]"


@dataclass(frozen=True, kw_only=True)
class ChartFacts:
    """What a chart takes."""

    chart: str
    version: str
    keys: KeyTree
    schema: JsonSchema | None
    """The chart's own JSON Schema of its values."""


@dataclass(frozen=True, kw_only=True)
class KindFacts:
    """What a custom resource of one kind and version may hold."""

    group: str
    kind: str
    plural: str
    scope: str
    """``Namespaced`` or ``Cluster``."""
    version: str
    served: bool
    chart: str
    schema: JsonSchema
    """OpenAPI v3 structural schema of the whole object."""


class UpstreamFacts:
    """All facts of one folder.

    Parameters
    ----------
    folder
        Holds ``values/`` and ``crds/``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._charts: dict[str, ChartFacts] = {}
        for path in sorted((folder / "values").glob("*.json")):
            facts = _chart(path)
            self._charts[facts.chart] = facts
        self._groups: dict[str, Mapping[str, object]] = {}

    @property
    def charts(self) -> tuple[str, ...]:
        """Names of the charts there are facts of."""
        return tuple(self._charts)

    def chart(self, name: str) -> ChartFacts:
        """Return the facts of a chart.

        Raises
        ------
        UnknownChartError
            If there are none.
        """
        try:
            return self._charts[name]
        except KeyError:
            raise UnknownChartError(name) from None

    def kind(self, api_version: str, kind: str) -> KindFacts:
        """Return the facts of a kind, as served under one ``apiVersion``.

        Raises
        ------
        UnknownKindError
            If there are none of the group, the kind or its version.
        """
        group, _, version = api_version.rpartition("/")
        entry = self._group(group).get(kind)
        if entry is None:
            raise UnknownKindError(api_version, kind)
        definition = cast("Mapping[str, object]", entry)
        for known in cast("list[Mapping[str, object]]", definition["versions"]):
            if known["name"] == version:
                return KindFacts(
                    group=group,
                    kind=kind,
                    plural=str(definition["plural"]),
                    scope=str(definition["scope"]),
                    version=version,
                    served=bool(known["served"]),
                    chart=str(definition["chart"]),
                    schema=cast("JsonSchema", known["schema"]),
                )
        raise UnknownKindError(api_version, kind)

    def _group(self, group: str) -> Mapping[str, object]:
        if group not in self._groups:
            path = self._folder / "crds" / f"{group}.json"
            self._groups[group] = _object(path) if path.is_file() else {}
        return self._groups[group]


def facts_folder(project: Path) -> Path | None:
    """Return the folder of facts, or None where there is none.

    Parameters
    ----------
    project
        The project's own folder.
    """
    named = os.environ.get(FACTS_VARIABLE)
    folder = Path(named) if named else project / USUAL_PLACE
    return folder if (folder / "values").is_dir() and (folder / "crds").is_dir() else None


def _chart(path: Path) -> ChartFacts:
    document = _object(path)
    keys = document.get("keys")
    if not isinstance(keys, dict | str):
        raise MalformedFactsError(path, "there is no tree of keys")
    return ChartFacts(
        chart=str(document["chart"]),
        version=str(document["version"]),
        keys=cast("KeyTree", keys),
        schema=cast("JsonSchema | None", document.get("schema")),
    )


def _object(path: Path) -> Mapping[str, object]:
    document: object = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise MalformedFactsError(path, "it holds no object")
    return cast("Mapping[str, object]", document)
