"""The two forms of an object: the program's inputs as the state keeps them, and what the API server reads."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from labctl.graph.values import (
    REDACTED,
    Secret,
    Unknown,
    Value,
    as_mapping,
    as_text,
    contains_secret,
    reveal,
    secret_texts,
)

from .annotations import refuse_unsupported_annotations
from .exceptions import IncompleteObjectError, MissingNameError, UnsupportedTypeError
from .vocabulary import is_namespaced, refuse_unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labctl.engine.providers.base import Resource
    from labctl.graph.values import Inputs

__all__ = [
    "FIELD_MANAGER_KEY",
    "checked_inputs",
    "checkpoint",
    "lists_sealed",
    "object_id",
    "scrubbed",
    "sealed_like",
    "server_form",
]

INPUTS_KEY: Final = "__inputs"
INITIAL_API_VERSION_KEY: Final = "__initialApiVersion"
FIELD_MANAGER_KEY: Final = "__fieldManager"
"""What the official provider keeps in a resource's outputs beside the live object (``checkpointObject``)."""

READ_ONLY_METADATA: Final = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "uid",
    }
)
"""Metadata that only the server writes; the official provider drops it from inputs (``normalizeInputs``)."""

DASHED: Final = {
    "x_kubernetes_embedded_resource": "x-kubernetes-embedded-resource",
    "x_kubernetes_int_or_string": "x-kubernetes-int-or-string",
    "x_kubernetes_list_map_keys": "x-kubernetes-list-map-keys",
    "x_kubernetes_list_type": "x-kubernetes-list-type",
    "x_kubernetes_map_type": "x-kubernetes-map-type",
    "x_kubernetes_preserve_unknown_fields": "x-kubernetes-preserve-unknown-fields",
    "x_kubernetes_validations": "x-kubernetes-validations",
}
"""Schema keys that no programming language can spell (official: ``underscoreToDashMap``)."""
UNDERSCORED: Final = {dashed: underscored for underscored, dashed in DASHED.items()}

SHORTEST_SECRET: Final = 4
"""Characters; anything shorter in an error message cannot be told from ordinary text."""


def checked_inputs(resource: Resource, default_namespace: str) -> Inputs:
    """Return the program's inputs of `resource` as the state stores them.

    A Secret's ``stringData`` becomes sealed base64 ``data``; server-written metadata is dropped; a list that holds a
    secret is sealed whole; a built-in namespaced object without a namespace gets `default_namespace`, as the official
    provider takes it from the kubeconfig's context, else ``default``.

    Raises
    ------
    IncompleteObjectError, MissingNameError, UnsupportedTypeError, UnsupportedAnnotationError
        For what can be refused without asking the server.
    """
    inputs = {key: lists_sealed(value) for key, value in resource.inputs.items() if value is not None}
    for field in ("apiVersion", "kind"):
        if not as_text(inputs.get(field)):
            raise IncompleteObjectError(resource.name, field)
    kind = as_text(inputs["kind"])
    refuse_unsupported(resource.type, kind)
    refuse_unsupported_annotations(f"{kind} {resource.name!r}", inputs)
    inputs["metadata"] = _checked_metadata(inputs, resource.name, default_namespace)
    if kind == "Secret" and inputs["apiVersion"] == "v1":
        data = _sealed_data(inputs.pop("data", None), inputs.pop("stringData", None))
        if data is not None:
            inputs["data"] = data
    if kind == "CustomResourceDefinition":
        inputs = _renamed(inputs, DASHED)
    return inputs


def _checked_metadata(inputs: Inputs, logical_name: str, default_namespace: str) -> Value:
    metadata = inputs.get("metadata")
    if isinstance(metadata, Unknown) or (isinstance(metadata, Secret) and isinstance(metadata.value, Unknown)):
        return metadata
    kind = as_text(inputs["kind"])
    fields = {key: value for key, value in as_mapping(metadata).items() if key not in READ_ONLY_METADATA}
    if "generateName" in fields:
        raise UnsupportedTypeError(
            token=f"{kind} {logical_name!r} with metadata.generateName", remedy="give it a metadata.name"
        )
    name = fields.get("name")
    if not isinstance(name, Unknown | Secret) and not as_text(name):
        raise MissingNameError(logical_name, kind, "metadata.name")
    if not fields.get("namespace"):
        fields.pop("namespace", None)
        if is_namespaced(as_text(inputs["apiVersion"]), kind):
            fields["namespace"] = default_namespace
    return Secret(fields) if isinstance(metadata, Secret) else fields


def lists_sealed(value: Value) -> Value:
    """Seal a list with a secret in it as a whole: its order may change on the server (``annotateSecrets``)."""
    if isinstance(value, Secret):
        return Secret(reveal(value.value))
    if isinstance(value, dict):
        return {key: lists_sealed(item) for key, item in value.items()}
    if isinstance(value, list) and contains_secret(value):
        return Secret(reveal(value))
    return value


def _sealed_data(data: Value, string_data: Value) -> Secret | None:
    if data is None and string_data is None:
        return None
    encoded, plain = reveal(data), reveal(string_data)
    if isinstance(encoded, Unknown) or isinstance(plain, Unknown):
        return Secret(encoded if isinstance(encoded, Unknown) else plain)
    merged = dict(as_mapping(encoded))
    for key, value in as_mapping(plain).items():
        merged[key] = base64.b64encode(value.encode()).decode() if isinstance(value, str) else value
    return Secret(merged)


def _renamed(value: Inputs, names: Mapping[str, str]) -> Inputs:
    return {names.get(key, key): _renamed_value(item, names) for key, item in value.items()}


def _renamed_value(value: Value, names: Mapping[str, str]) -> Value:
    if isinstance(value, dict):
        return _renamed(value, names)
    if isinstance(value, list):
        return [_renamed_value(item, names) for item in value]
    return Secret(_renamed_value(value.value, names)) if isinstance(value, Secret) else value


def server_form(inputs: Mapping[str, Value]) -> Inputs:
    """Return checked `inputs` as the API server reads them: every secret opened."""
    opened = {key: reveal(value) for key, value in inputs.items()}
    return _renamed(opened, DASHED) if opened.get("kind") == "CustomResourceDefinition" else opened


def object_id(live: Mapping[str, Value]) -> str:
    """Return the Pulumi id of an object: ``<namespace>/<name>``, or the name alone."""
    metadata = as_mapping(live.get("metadata"))
    namespace, name = as_text(metadata.get("namespace")), as_text(metadata.get("name"))
    return f"{namespace}/{name}" if namespace else name


def sealed_like(value: Value, reference: Value) -> Value:
    """Return plain `value` with a secret wherever `reference` has one (official: ``annotateSecrets``).

    Objects are compared key by key; anything else that holds a secret in `reference` is sealed whole.
    """
    if isinstance(value, dict) and isinstance(reference, dict):
        return {key: sealed_like(item, reference[key]) if key in reference else item for key, item in value.items()}
    if value is None or isinstance(value, Secret):
        return value
    return Secret(value) if contains_secret(reference) else value


def sealed_object(live: Mapping[str, Value], inputs: Mapping[str, Value]) -> Inputs:
    """Return the `live` object with secrets where `inputs` has them; a Secret's data always is one."""
    sealed = {key: sealed_like(value, inputs[key]) if key in inputs else value for key, value in live.items()}
    if live.get("kind") == "Secret":
        for key in ("data", "stringData"):
            value = sealed.get(key)
            if value is not None and not isinstance(value, Secret):
                sealed[key] = Secret(value)
    return sealed


def checkpoint(
    live: Mapping[str, Value], inputs: Mapping[str, Value], field_manager: str, initial_api_version: str
) -> Inputs:
    """Return the outputs that the state keeps of a `live` object applied with checked `inputs`.

    The same as the official provider's ``checkpointObject``: the live object, ``__inputs``, ``__fieldManager`` and
    ``__initialApiVersion``, so that either engine goes on from it.
    """
    outputs = sealed_object(live, inputs)
    kept = dict(inputs)
    if live.get("kind") == "CustomResourceDefinition":
        outputs, kept = _renamed(outputs, UNDERSCORED), _renamed(kept, UNDERSCORED)
    outputs[INPUTS_KEY] = kept
    outputs[INITIAL_API_VERSION_KEY] = initial_api_version
    outputs[FIELD_MANAGER_KEY] = field_manager
    return outputs


def previewed(inputs: Mapping[str, Value]) -> Inputs:
    """Return what can be told of an object before it exists: its inputs, in the form the SDK reads."""
    copied = dict(inputs)
    return _renamed(copied, UNDERSCORED) if copied.get("kind") == "CustomResourceDefinition" else copied


def scrubbed(message: str, inputs: Mapping[str, Value]) -> str:
    """Return `message` without any secret of `inputs`, in clear or in base64: a server may quote what it refuses."""
    for value in inputs.values():
        for text in set(_spellings(value)):
            if len(text) >= SHORTEST_SECRET:
                message = message.replace(text, REDACTED)
    return message


def _spellings(value: Value) -> Iterator[str]:
    """Yield every secret text of a value as it is, and as what it is the base64 of."""
    for text in secret_texts(value):
        yield text
        try:
            yield base64.b64decode(text, validate=True).decode()
        except ValueError:
            continue
