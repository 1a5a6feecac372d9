"""What is recorded of a release: what helm says of it, or that it could not be installed here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from labctl.engine.providers.kubernetes.documents import MalformedDocumentError, parsed
from labctl.engine.providers.kubernetes.manifests import INPUTS_KEY, sealed_like
from labctl.engine.providers.kubernetes.vocabulary import group_of
from labctl.graph.values import UNKNOWN, Secret, Value, as_mapping, as_text, reveal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labctl.graph.values import Inputs

    from .charts import ChartReference

__all__ = [
    "REASON_KEY",
    "SIMULATED_KEY",
    "installed_outputs",
    "installed_revision",
    "is_recorded_only",
    "preview_outputs",
    "recorded_outputs",
    "resource_names",
]

SIMULATED_KEY: Final = "__labSimulated"
"""True in the outputs of a release that was recorded and not installed; such a one is left out of an export."""
REASON_KEY: Final = "__labSimulatedReason"
RECORDED: Final = "recorded"
"""``status.status`` of such a release."""

IDENTIFYING_KEYS: Final = ("apiVersion:", "kind:", "metadata:")


def is_recorded_only(outputs: Mapping[str, Value]) -> bool:
    """Tell whether a release's newest inputs were recorded and not installed."""
    return outputs.get(SIMULATED_KEY) is True


def installed_revision(outputs: Mapping[str, Value]) -> int:
    """Return the revision of a release that is in the cluster, 0 when it never was."""
    revision = as_mapping(outputs.get("status")).get("revision")
    return revision if isinstance(revision, int) else 0


def _with_inputs(outputs: Inputs, inputs: Mapping[str, Value]) -> Inputs:
    """Return `outputs` with the inputs they come from, sealed whole as the official provider does."""
    sealed: Inputs = {
        key: sealed_like(value, inputs[key]) if key in inputs else value for key, value in outputs.items()
    }
    sealed[INPUTS_KEY] = Secret(reveal(dict(inputs)))
    return sealed


def preview_outputs(inputs: Mapping[str, Value]) -> Inputs:
    """Return what can be told of a release before helm ran."""
    return {**_with_inputs(dict(inputs), inputs), "status": UNKNOWN, "resourceNames": UNKNOWN}


def installed_outputs(release: Mapping[str, Value], inputs: Mapping[str, Value]) -> Inputs:
    """Return the outputs of a release from helm's own description of it."""
    metadata = as_mapping(as_mapping(release.get("chart")).get("metadata"))
    plain = as_mapping(reveal(dict(inputs)))
    status: Inputs = {
        "appVersion": as_text(metadata.get("appVersion")),
        "chart": as_text(metadata.get("name")),
        "name": as_text(release.get("name")),
        "namespace": as_text(release.get("namespace")),
        "revision": release.get("version"),
        "status": as_text(as_mapping(release.get("info")).get("status")),
        "version": as_text(metadata.get("version")),
    }
    outputs: Inputs = {
        **plain,
        "version": status["version"],
        "resourceNames": resource_names(as_text(release.get("manifest"))),
        "status": status,
    }
    return _with_inputs(outputs, inputs)


def recorded_outputs(reference: ChartReference, inputs: Mapping[str, Value], reason: str, revision: int) -> Inputs:
    """Return the outputs of a release whose chart cannot be reached; `revision` is what stays installed, 0: nothing."""
    plain = as_mapping(reveal(dict(inputs)))
    status: Inputs = {
        "appVersion": "",
        "chart": reference.name,
        "name": plain["name"],
        "namespace": plain["namespace"],
        "revision": revision,
        "status": RECORDED,
        "version": reference.version,
    }
    outputs = _with_inputs({**plain, "resourceNames": {}, "status": status}, inputs)
    return {**outputs, SIMULATED_KEY: True, REASON_KEY: reason}


def resource_names(manifest: str) -> dict[str, Value]:
    """Return the names of the objects in a rendered `manifest`, by ``<kind>[.<group>]/<apiVersion>``."""
    found: dict[str, set[str]] = {}
    for identity in _identities(manifest):
        api_version, kind = as_text(identity.get("apiVersion")), as_text(identity.get("kind"))
        metadata = as_mapping(identity.get("metadata"))
        namespace, name = as_text(metadata.get("namespace")), as_text(metadata.get("name"))
        if not kind or not name:
            continue
        group = group_of(api_version)
        key = f"{kind}.{group}/{api_version}" if group else f"{kind}/{api_version}"
        found.setdefault(key, set()).add(f"{namespace}/{name}" if namespace else name)
    return {key: list[Value](sorted(names)) for key, names in sorted(found.items())}


def _identities(manifest: str) -> Iterator[Inputs]:
    """Yield the apiVersion, kind and metadata of each document; the rest, which may be long, is not parsed."""
    for document in f"\n{manifest}".split("\n---"):
        lines: list[str] = []
        wanted = False
        for line in document.splitlines():
            if line[:1].strip() and not line.startswith("#"):
                wanted = line.startswith(IDENTIFYING_KEYS)
            if wanted:
                lines.append(line)
        try:
            yield as_mapping(parsed("\n".join(lines)))
        except MalformedDocumentError:
            continue
