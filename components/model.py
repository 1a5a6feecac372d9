"""The base of every configuration model: frozen, closed, camelCase in the file and snake_case in Python."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias, cast

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import GetCoreSchemaHandler
    from pydantic.fields import ComputedFieldInfo, FieldInfo
    from pydantic_core import CoreSchema

__all__ = ["Model", "Value", "title_of"]

Value: TypeAlias = "Mapping[str, Value] | Sequence[Value] | str | int | float | bool | None"
"""Plain data as JSON has it: Helm values, specs of custom resources."""


def title_of(field: str, _info: FieldInfo | ComputedFieldInfo | None = None) -> str:
    """Return the title of a field that names none: its words, as a sentence begins.

    Examples
    --------
    >>> title_of("bootstrap_host")
    'Bootstrap host'
    """
    words = re.sub(r"_+", " ", field).strip()
    return words[:1].upper() + words[1:]


class Model(BaseModel):
    """Base of all configuration models.

    A field ``host_key`` is the key ``hostKey`` of the stack file; Python code may construct by either name, the loader
    accepts only the file's. Unknown keys are refused and objects are immutable. A field without ``title`` gets one from
    its name; its ``description`` is the author's to write (a test asks for it). Numbers and booleans are strict: a text
    ``"5"`` is no number and ``on`` no boolean, as in YAML 1.2.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        field_title_generator=title_of,
        hide_input_in_errors=True,
        defer_build=True,
    )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler, /) -> CoreSchema:
        schema = handler(source)
        _make_strict(schema)
        return schema


_STRICT_KINDS = frozenset({"bool", "float", "int"})
"""Kinds of core schema that would otherwise take a text for a number. Pydantic's own strict mode is no help: behind a
`BeforeValidator` it no longer knows that its input was JSON, and refuses lists for tuples and texts for enums."""


def _make_strict(schema: object) -> None:
    """Make every number and boolean of a core schema strict, in place."""
    if isinstance(schema, dict):
        node = cast("dict[str, object]", schema)
        if node.get("type") in _STRICT_KINDS:
            node["strict"] = True
        for value in node.values():
            _make_strict(value)
    elif isinstance(schema, list | tuple):
        for item in cast("Sequence[object]", schema):
            _make_strict(item)
