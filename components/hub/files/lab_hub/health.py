"""The health check's user: an account of its own, which no provider knows.

It never signs in, so nothing is kept of it that could name a home or be renewed before a start. Where homes belong to
accounts it has one of its own; no sign-in of it is asked for (`signin.LabSignIn.own_users`). Everything else it goes
through as people do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from .objects import Spawner, Step

__all__ = ["HEALTH_CLAIM", "HealthSettings", "own_home"]

HEALTH_CLAIM = "home-health-check"
"""Its home's claim; an account's has 32 digits after ``home-`` (`homes.claim_name`)."""


class HealthSettings(TypedDict):
    """Who it is."""

    user: str


def own_home(health: HealthSettings, name_claim: Step) -> Step:
    """Return `name_claim`, but for the check's user, who has no account and gets a home of its own."""

    async def step(spawner: Spawner) -> None:
        if spawner.user.name == health["user"]:
            spawner.pvc_name = HEALTH_CLAIM
        else:
            await name_claim(spawner)

    return step
