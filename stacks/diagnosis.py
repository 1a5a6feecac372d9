"""What pydantic found, in the words of whoever wrote the file: place, what is wrong, what would be right."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, cast

from components.errors import ConfigurationError
from components.problems import Path, Problem, render_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from components.model import Value

__all__ = ["diagnose", "nearest"]

_WANTED = {
    "bool": ("true or false", "write true or false, without quotes"),
    "int": ("a whole number", "write it without quotes, such as 3"),
    "float": ("a number", "write it without quotes, such as 0.5"),
    "string": ("a text", "put it into quotes if it looks like a number"),
    "dict": ("a mapping of keys to values", "write `key: value` lines below it"),
    "model": ("a mapping of keys to values", "write `key: value` lines below it"),
    "model_attributes": ("a mapping of keys to values", "write `key: value` lines below it"),
    "tuple": ("a list", "write `- item` lines below it, or [item, item]"),
    "list": ("a list", "write `- item` lines below it, or [item, item]"),
}
"""What pydantic's ``<kind>_type`` errors want, in words, and how it is written."""


def diagnose(error: ValidationError, data: Value, schema: Callable[[], Mapping[str, object]]) -> list[Problem]:
    """Return one problem per place that a validation error names.

    Parameters
    ----------
    error
        What pydantic raised while validating `data`.
    data
        What was validated: tells the path apart from the names of union members pydantic puts among it.
    schema
        Returns the JSON Schema of the model, asked only where the known keys of a place are wanted.
    """
    found: dict[Path, ErrorDetails] = {}
    for details in error.errors(include_url=False, include_input=True):
        if not _is_echo(details):
            found.setdefault(_path(details, data), details)
    problems: list[Problem] = []
    for path, details in found.items():
        if not (details["type"].endswith("_type") and _goes_deeper(path, found)):
            what, remedy = _words(details, path, schema)
            problems.append(Problem(path=path, what=what, remedy=remedy))
    return problems


def nearest(wrong: str, known: Sequence[str]) -> str | None:
    """Return the known name most like a wrong one, or None where none is alike.

    Examples
    --------
    >>> nearest("adress", ["address", "roles"])
    'address'
    """
    by_lower = {name.lower(): name for name in known}
    plain = wrong.lower().replace("_", "").replace("-", "")
    if plain in by_lower:
        return by_lower[plain]
    matches = difflib.get_close_matches(wrong.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else None


def _is_echo(details: ErrorDetails) -> bool:
    """Tell whether an error only repeats others: a list is too short because pydantic left out its wrong items."""
    value = details["input"]
    if details["type"] != "too_short" or not isinstance(value, list | dict):
        return False
    return len(cast("list[object] | dict[str, object]", value)) >= details.get("ctx", {})["min_length"]


def _goes_deeper(path: Path, found: Mapping[Path, ErrorDetails]) -> bool:
    """Tell whether something below a path is wrong as well: then a member of a union took its kind and got further."""
    return any(len(other) > len(path) and other[: len(path)] == path for other in found)


def _path(details: ErrorDetails, data: Value) -> Path:
    """Return the path in the file: pydantic's without the union members and marks it puts between."""
    path: list[str | int] = []
    here: object = data
    loc = details["loc"]
    for position, step in enumerate(loc):
        last = position == len(loc) - 1 and details["type"] == "missing"
        if isinstance(here, dict) and isinstance(step, str):
            mapping = cast("dict[str, object]", here)
            if step in mapping:
                path.append(step)
                here = mapping[step]
            elif last:
                path.append(step)
        elif isinstance(here, list) and isinstance(step, int):
            items = cast("list[object]", here)
            path.append(step)
            here = items[step] if step < len(items) else None
    return tuple(path)


def _words(details: ErrorDetails, path: Path, schema: Callable[[], Mapping[str, object]]) -> tuple[str, str]:
    """Return what is wrong and what would be right, for one of pydantic's errors."""
    kind = details["type"]
    context = details.get("ctx", {})
    cause = context.get("error")
    shown = _shown(details["input"])
    if isinstance(cause, ConfigurationError):
        return cause.what, cause.remedy
    if kind.endswith("_type") and (words := _WANTED.get(kind.removesuffix("_type"))):
        return f"{words[0]} is wanted here, not {shown}", words[1]
    return (
        _about_keys(kind, context, path, schema)
        or _about_bounds(kind, context, shown)
        or _about_form(kind, context, shown, _description(path, schema))
        or (f"{shown}: {details['msg']}", _description(path, schema) or "correct it")
    )


def _about_keys(
    kind: str, context: Mapping[str, object], path: Path, schema: Callable[[], Mapping[str, object]]
) -> tuple[str, str] | None:
    """Return the words for a key that is unknown or missing, or decides what the others are."""
    if kind == "extra_forbidden":
        return _unknown_key(path, schema)
    if kind == "missing":
        hint = _description(path, schema)
        return f"the key {path[-1] if path else ''} is missing", f"add it: {hint}" if hint else "add it"
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        tag = str(context["discriminator"]).strip("'")
        choices = context.get("expected_tags") or _choices(path, tag, schema)
        wrong = context.get("tag")
        missing = f"the key {tag} is missing, which decides what else is read"
        return f"{wrong!r} is no {tag} there is" if wrong else missing, f"write {tag}: one of {choices}"
    return None


def _about_bounds(kind: str, context: Mapping[str, object], shown: str) -> tuple[str, str] | None:
    """Return the words for a value that is none of the choices, too small or too long."""
    words = None
    match kind:
        case "enum" | "literal_error":
            words = f"{shown} is none of the choices", f"write {context['expected']}"
        case "greater_than_equal":
            words = f"{shown} is too small", f"write {context['ge']} or more"
        case "less_than_equal":
            words = f"{shown} is too large", f"write {context['le']} or less"
        case "string_too_short" | "too_short":
            what = "it is empty" if shown in {"''", "an empty list", "a mapping"} else "it is too short"
            words = what, f"give at least {_count(context['min_length'], kind)}"
        case "string_too_long" | "too_long":
            words = "it is too long", f"give at most {_count(context['max_length'], kind)}"
        case _:
            pass
    return words


def _about_form(
    kind: str, context: Mapping[str, object], shown: str, description: str | None
) -> tuple[str, str] | None:
    """Return the words for a text of the wrong form; what it is about tells people more than a pattern does."""
    if kind != "string_pattern_mismatch":
        return None
    remedy = f"it is to be: {description}" if description else f"write what matches {context['pattern']}"
    return f"{shown} does not have the form it should", remedy


def _count(number: object, kind: str) -> str:
    noun = "character" if kind.startswith("string") else "item"
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _unknown_key(path: Path, schema: Callable[[], Mapping[str, object]]) -> tuple[str, str]:
    known = sorted(_known_keys(path[:-1], schema))
    wrong = str(path[-1])
    what = f"there is no key {wrong!r} in {render_path(path[:-1]) if path[:-1] else 'the cluster section'}"
    if match := nearest(wrong, known):
        return what, f"did you mean {match}?"
    return what, f"the keys there are {', '.join(known)}" if known else "leave it out"


def _shown(value: object) -> str:
    """Return a wrong value for a message, cut short; containers only by their kind."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


_LONGEST_SHOWN = 60
"""Characters of a wrong value that a message repeats."""


def _known_keys(path: Path, schema: Callable[[], Mapping[str, object]]) -> set[str]:
    return {key for place in _places(path, schema()) for key in _mapping(place, "properties")}


def _description(path: Path, schema: Callable[[], Mapping[str, object]]) -> str | None:
    if not path:
        return None
    for place in _places(path[:-1], schema()):
        description = _mapping(_mapping(place, "properties"), str(path[-1])).get("description")
        if isinstance(description, str):
            return description
    return None


def _choices(path: Path, tag: str, schema: Callable[[], Mapping[str, object]]) -> str:
    tags: list[str] = []
    for place in _places(path, schema()):
        choice = _mapping(_mapping(place, "properties"), tag)
        tags += [repr(value) for value in [choice.get("const")] if value is not None]
    return ", ".join(tags) or "those of the schema"


def _places(path: Path, schema: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Return the subschemas that may govern a path: several where unions are on the way."""
    places = _branches(schema, schema)
    for step in path:
        following: list[Mapping[str, object]] = []
        for place in places:
            if isinstance(step, int):
                candidates = [place.get("items")]
            else:
                properties = _mapping(place, "properties")
                others = [place.get("additionalProperties"), *_mapping(place, "patternProperties").values()]
                candidates = [properties[step]] if step in properties else others
            for candidate in candidates:
                if isinstance(candidate, dict):
                    following += _branches(cast("dict[str, object]", candidate), schema)
        places = following
    return places


def _branches(place: Mapping[str, object], schema: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Return a subschema with its references followed and its unions spread out."""
    reference = place.get("$ref")
    if isinstance(reference, str):
        return _branches(_mapping(_mapping(schema, "$defs"), reference.rsplit("/", 1)[-1]), schema)
    spread: list[Mapping[str, object]] = [place]
    for union in ("anyOf", "oneOf", "allOf"):
        members = place.get(union)
        if isinstance(members, list):
            for member in cast("list[dict[str, object]]", members):
                spread += _branches(member, schema)
    return spread


def _mapping(place: Mapping[str, object], key: str) -> dict[str, object]:
    value = place.get(key)
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}
