"""YAML as this component writes it for others to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["yaml_document"]


def yaml_document(document: Mapping[str, object]) -> str:
    r"""Return one document as YAML, keys in the order given, long lines kept whole.

    Examples
    --------
    >>> yaml_document({"kind": "List", "items": []})
    'kind: List\\nitems: []\\n'
    """
    return yaml.safe_dump(document, sort_keys=False, width=10_000)
