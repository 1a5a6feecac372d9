"""The environments, as data: what each protects, what may be destroyed in it, and where its versions come from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from .errors import UnknownEnvironmentError

__all__ = ["ENVIRONMENTS", "PROMOTIONS", "Change", "Environment", "EnvironmentName", "environment_of", "promoted_from"]


class EnvironmentName(StrEnum):
    """The environments, from the freest to the most guarded."""

    DEV = "dev"
    """A laptop or a CI run: simulated nodes on an embedded control plane."""
    NEXT = "next"
    """Where major versions are developed."""
    TEST = "test"
    """Where every change is tried before production."""
    PROD = "prod"
    """Where people work."""


class Change(StrEnum):
    """How far versions move."""

    MINOR = "minor"
    MAJOR = "major"


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What the program and its verbs do differently in one environment."""

    name: EnvironmentName
    protects_data: bool
    """Whether resources that hold data are protected: neither engine deletes them until somebody unprotects them."""
    destroyable: bool
    """Whether a whole stack may be destroyed without naming each thing that goes."""


ENVIRONMENTS = MappingProxyType(
    {
        environment.name: environment
        for environment in (
            Environment(name=EnvironmentName.DEV, protects_data=False, destroyable=True),
            Environment(name=EnvironmentName.NEXT, protects_data=False, destroyable=True),
            Environment(name=EnvironmentName.TEST, protects_data=True, destroyable=False),
            Environment(name=EnvironmentName.PROD, protects_data=True, destroyable=False),
        )
    }
)

PROMOTIONS = MappingProxyType(
    {
        Change.MINOR: (EnvironmentName.TEST, EnvironmentName.PROD),
        Change.MAJOR: (EnvironmentName.NEXT, EnvironmentName.TEST, EnvironmentName.PROD),
    }
)
"""The way versions take, by how far they move. MAX IV's practice: minor updates are tried on test, major ones grow on
next."""


def environment_of(stack: str) -> Environment:
    """Return the environment of a stack, by its name: ``prod``, or ``prod-lund`` where a site has one of its own.

    Raises
    ------
    UnknownEnvironmentError
        If the name begins with no environment's.
    """
    try:
        return ENVIRONMENTS[EnvironmentName(stack.partition("-")[0])]
    except ValueError:
        raise UnknownEnvironmentError(stack=stack, known=[str(name) for name in EnvironmentName]) from None


def promoted_from(environment: EnvironmentName, change: Change) -> EnvironmentName | None:
    """Return the environment whose versions come next to this one, or None where they are chosen here."""
    way = PROMOTIONS[change]
    if environment not in way or way.index(environment) == 0:
        return None
    return way[way.index(environment) - 1]
