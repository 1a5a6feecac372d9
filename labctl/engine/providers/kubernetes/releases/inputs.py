"""A release's inputs with every default, as the official provider stores them.

Source: the struct ``Release`` and ``setDefaults`` in pulumi-kubernetes ``provider/pkg/provider/helm_release.go``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from labctl.engine.providers.kubernetes.exceptions import MissingNameError
from labctl.engine.providers.kubernetes.manifests import lists_sealed
from labctl.graph.values import Secret, Unknown, as_mapping, as_text, contains_unknown

from .charts import ChartKind, ChartReference, local_version
from .exceptions import FloatingVersionError, UnknownChartSourceError, UnsupportedReleaseInputError

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.engine.providers.base import Resource
    from labctl.graph.values import Inputs, Value

__all__ = ["checked_release"]

FLAGS: Final = (
    "allowNullValues",
    "atomic",
    "cleanupOnFail",
    "createNamespace",
    "dependencyUpdate",
    "devel",
    "disableCRDHooks",
    "disableOpenapiValidation",
    "disableWebhooks",
    "forceUpdate",
    "lint",
    "recreatePods",
    "renderSubchartNotes",
    "replace",
    "resetValues",
    "reuseValues",
    "skipAwait",
    "skipCrds",
    "verify",
    "waitForJobs",
)
"""Stored as false where the program does not set them."""
TEXTS: Final = ("chart", "description", "keyring", "name", "namespace", "postrender", "version")
"""Stored as an empty text where the program does not set them."""
REPOSITORY_TEXTS: Final = ("caFile", "certFile", "keyFile", "password", "repo", "username")
OPTIONAL: Final = ("maxHistory", "repositoryOpts")
"""Stored only where the program sets them."""

DEFAULT_TIMEOUT_SECONDS: Final = 300
"""Helm's own, and the official provider's; stored as 0 where nothing is waited for."""

REFUSED: Final = {
    "devel": "name the exact version",
    "lint": "run helm lint on the chart where it is made",
    "postrender": "say it in values",
    "recreatePods": "let the chart restart what has to (a checksum annotation)",
    "replace": "uninstall the old release",
    "takeOwnership": "let one release own an object",
    "valueYamlFiles": "give values as data",
}
"""Inputs that are not carried out, and what to do instead; only a value that asks for something is refused."""
DROPPED: Final = frozenset({"compat", "manifest", "resourceNames", "status"})
"""Not inputs of a release: the SDK's marker, and outputs."""

EXACT_VERSION: Final = re.compile(r"^v?\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]+)?$")
"""A semantic version, with the ``v`` that some charts put before it."""


def checked_release(resource: Resource, default_namespace: str, project: Path) -> Inputs:
    """Return the release's inputs with all defaults; a local chart also gives its version.

    Raises
    ------
    MissingNameError, UnsupportedReleaseInputError, FloatingVersionError, UnknownChartSourceError, UnreadableChartError
        For what can be refused without asking anybody.
    """
    given = {key: lists_sealed(value) for key, value in resource.inputs.items() if value is not None}
    for name, remedy in REFUSED.items():
        if given.get(name):
            raise UnsupportedReleaseInputError(resource.name, name, remedy)
    for name in given:
        if name not in {*FLAGS, *TEXTS, *OPTIONAL, *REFUSED, *DROPPED, "timeout", "values"}:
            raise UnsupportedReleaseInputError(resource.name, name, "leave it out")
    if not given.get("name"):
        raise MissingNameError(resource.name, "Release", "name")
    checked: Inputs = {name: given.get(name, False) for name in FLAGS}
    checked |= {name: given.get(name, "") for name in TEXTS}
    checked |= {name: given[name] for name in OPTIONAL if name in given}
    checked["namespace"] = given.get("namespace") or default_namespace
    checked["timeout"] = given.get("timeout", 0 if checked["skipAwait"] else DEFAULT_TIMEOUT_SECONDS)
    checked["values"] = given.get("values", {})
    if "repositoryOpts" in checked:
        checked["repositoryOpts"] = _checked_repository(checked["repositoryOpts"])
    checked["version"] = _checked_version(checked, resource.name, project)
    return checked


def _checked_repository(options: Value) -> Value:
    opened = options.value if isinstance(options, Secret) else options
    if isinstance(opened, Unknown):
        return options
    filled: Inputs = {name: as_mapping(opened).get(name) or "" for name in REPOSITORY_TEXTS}
    return Secret(filled) if isinstance(options, Secret) else filled


def _checked_version(checked: Inputs, logical_name: str, project: Path) -> Value:
    version = checked["version"]
    if any(contains_unknown(checked[key]) for key in ("chart", "version")) or contains_unknown(
        checked.get("repositoryOpts")
    ):
        return version
    reference = ChartReference.of(checked)
    if reference.kind is ChartKind.LOCAL:
        found = local_version(project / reference.chart)
        if found:
            return found
        if not as_text(version):
            raise UnknownChartSourceError(logical_name, reference.chart)
    if not EXACT_VERSION.match(as_text(version)):
        raise FloatingVersionError(logical_name, reference.chart, as_text(version))
    return version
