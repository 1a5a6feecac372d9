"""Kubernetes labels: keys and values as the API server accepts them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from .errors import MalformedValueError

__all__ = ["LabelKey", "LabelValue"]

_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_PREFIX = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_KEY_PATTERN = rf"^({_PREFIX}/)?{_NAME}$"
_VALUE_PATTERN = rf"^({_NAME})?$"


def _label_key(text: str) -> str:
    if re.fullmatch(_KEY_PATTERN, text) is None:
        raise MalformedValueError(text, "a label key", "write name or prefix/name, such as example.org/rack")
    return text


def _label_value(text: str) -> str:
    if re.fullmatch(_VALUE_PATTERN, text) is None:
        raise MalformedValueError(
            text, "a label value", "write at most 63 of letters, digits, '-', '_' and '.', alphanumeric at both ends"
        )
    return text


LabelKey = Annotated[str, AfterValidator(_label_key), WithJsonSchema({"type": "string", "pattern": _KEY_PATTERN})]
"""A label's or taint's key: an optional DNS prefix and a name of at most 63 characters."""

LabelValue = Annotated[str, AfterValidator(_label_value), WithJsonSchema({"type": "string", "pattern": _VALUE_PATTERN})]
"""A label's or taint's value: empty, or at most 63 characters."""
