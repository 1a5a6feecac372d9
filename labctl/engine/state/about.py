"""What the history says of an update beside what it did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .wire import PlainObject

__all__ = ["UpdateAbout"]


@dataclass(frozen=True, kw_only=True)
class UpdateAbout:
    """Why, by whom, from which revision and with which configuration (Pulumi: ``backend.UpdateInfo``)."""

    message: str = ""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """``git.head``, ``exec.kind`` and the like."""
    config: PlainObject = field(default_factory=dict)  # pyright: ignore[reportUnknownVariableType] - an empty one
    """By full key; a sealed value is ``{"secure": ciphertext}``, as in the stack file."""
