"""YAML as Kubernetes and Helm read it, which is also JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import yaml

if TYPE_CHECKING:
    from labctl.graph.values import Value

__all__ = ["MalformedDocumentError", "parsed"]


class MalformedDocumentError(Exception):
    """A text that is no YAML; where it breaks."""

    def __init__(self, text: str, error: yaml.YAMLError) -> None:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        where = f"line {mark.line + 1}" if mark is not None else f"{len(text)} characters"
        super().__init__(f"not YAML ({where})")


def parsed(text: str) -> Value:
    """Return the one document in `text`. Raises `MalformedDocumentError`, which quotes nothing: it may hold a key."""
    try:
        return cast("Value", yaml.load(text, Loader=yaml.CSafeLoader))
    except yaml.YAMLError as error:
        raise MalformedDocumentError(text, error) from None
