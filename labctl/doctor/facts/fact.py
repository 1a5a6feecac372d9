"""A fact that may not be there: known, not to be had, or about something the stack does not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Fact", "Inapplicable", "Known", "MissingFactError", "Unknown", "value_of"]

Held = TypeVar("Held")


@dataclass(frozen=True)
class Known(Generic[Held]):
    """A fact."""

    value: Held


@dataclass(frozen=True)
class Unknown:
    """Nobody could be asked, or nobody answered."""

    why: str
    remedy: str
    is_down: bool = False
    """Whether what should have answered does not: for those who ask about just that."""


@dataclass(frozen=True)
class Inapplicable:
    """The stack has nothing that could be asked about."""

    why: str


Fact = Known[Held] | Unknown | Inapplicable


class MissingFactError(Exception):
    """A check needs what is not known; it ends there."""

    def __init__(self, fact: Unknown | Inapplicable) -> None:
        super().__init__(fact.why)
        self.fact = fact


def value_of(fact: Fact[Held]) -> Held:
    """Return what is known.

    Raises
    ------
    MissingFactError
        It is not; whoever runs the check makes a finding of it.
    """
    if isinstance(fact, Known):
        return fact.value
    raise MissingFactError(fact)
