"""What can go wrong between a resource, the rules and their exceptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["ExceptionsFileError", "NoResourceError", "RulesError"]


class RulesError(Exception):
    """The rules cannot be asked."""


class ExceptionsFileError(RulesError):
    """The file of named exceptions is not one."""

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        super().__init__(f"{path.name}: " + "; ".join(problems))


class NoResourceError(RulesError):
    """A piece of JSON is not the state of a resource."""

    def __init__(self, missing: str) -> None:
        super().__init__(f"not the state of a resource: it has no {missing}")
