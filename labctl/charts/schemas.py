"""JSON Schema with what Kubernetes' structural schemas mean by it: closed objects, quantities, ints or strings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, cast

from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from .findings import Finding, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from jsonschema.exceptions import ValidationError

    from .facts import JsonSchema

__all__ = ["closed", "schema_findings"]

_Json: TypeAlias = "Mapping[str, _Json] | Sequence[_Json] | str | int | float | bool | None"

PRESERVES: Final = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING: Final = "x-kubernetes-int-or-string"
EMBEDDED: Final = "x-kubernetes-embedded-resource"
KEPT: Final = frozenset(
    {
        "enum", "exclusiveMaximum", "exclusiveMinimum", "maxItems", "maxLength", "maxProperties", "maximum", "minItems",
        "minLength", "minProperties", "minimum", "multipleOf", "pattern", "required", "uniqueItems",
    }
)  # fmt: skip
"""Keywords that mean the same in a structural schema and in JSON Schema."""

LACKING: Final = frozenset({"required", "dependentRequired", "dependencies", "minProperties"})
"""Keywords that find fault with what is not there."""


def closed(schema: JsonSchema) -> dict[str, object]:
    """Return a structural schema as the API server applies it with strict field validation, in JSON Schema.

    An object takes the fields it declares and no others, unless the schema says that it preserves them; ``nullable``
    and ``x-kubernetes-int-or-string`` become types. Alternatives (``anyOf`` and the like) only ever constrain values in
    a structural schema, and stay as they are.
    """
    made: dict[str, object] = {key: value for key, value in schema.items() if key in KEPT}
    for key in ("anyOf", "oneOf", "allOf", "not"):
        if key in schema and not schema.get(INT_OR_STRING):
            made[key] = schema[key]
    if schema.get(INT_OR_STRING):
        made["type"] = ["integer", "string"]
    elif isinstance(kind := schema.get("type"), str):
        made["type"] = [kind, "null"] if schema.get("nullable") else kind
    if isinstance(items := schema.get("items"), dict):
        made["items"] = closed(cast("JsonSchema", items))
    properties = cast("Mapping[str, JsonSchema]", schema.get("properties") or {})
    made["properties"] = {name: closed(inner) for name, inner in properties.items()}
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        made["additionalProperties"] = closed(cast("JsonSchema", additional))
    elif additional is not True and not schema.get(PRESERVES) and not schema.get(EMBEDDED):
        made["additionalProperties"] = False
    return made


def schema_findings(
    instance: object,
    schema: JsonSchema,
    unknown: Callable[[object], bool] = lambda _: False,
    *,
    partial: bool = False,
) -> Iterator[Finding]:
    """Yield what a JSON Schema says against some data.

    Parameters
    ----------
    instance
        Plain data.
    schema
        The schema.
    unknown
        Tells placeholders for values that only exist after applying; nothing is said against them.
    partial
        Whether the data is laid over defaults that are not here, so that what it lacks is no fault.
    """
    for error in _errors(instance, schema):
        if not unknown(cast("object", error.instance)) and not (partial and error.validator in LACKING):
            yield from _findings(error)


def _errors(instance: object, schema: JsonSchema) -> Iterator[ValidationError]:
    made = cast("type[Draft202012Validator]", validator_for(cast("Mapping[str, _Json]", schema), Draft202012Validator))
    # The stubs leave the second, deprecated parameter of `iter_errors` without a type.
    validate = cast(
        "Callable[[object], Iterator[ValidationError]]",
        made(cast("Mapping[str, _Json]", schema)).iter_errors,  # pyright: ignore[reportUnknownMemberType]
    )
    return validate(instance)


def _findings(error: ValidationError) -> Iterator[Finding]:
    place = tuple(error.absolute_path)
    instance = cast("object", error.instance)
    if error.validator != "additionalProperties" or not isinstance(instance, dict):
        yield Finding(place, error.message)
        return
    declared = cast("Mapping[str, object]", cast("JsonSchema", error.schema).get("properties") or {})
    for key in cast("dict[str, object]", instance):
        if key not in declared:
            yield Finding((*place, key), f"there is no such field{nearest(key, declared)}")
