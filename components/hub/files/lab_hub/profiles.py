"""Profiles by group: what the spawn page offers to whom, and what nobody else may start."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .objects import HubConfiguration, Spawner, Step

__all__ = ["NoProfileError", "offer_by_group", "visible_profiles"]


class NoProfileError(Exception):
    """A user none of whose groups may start anything."""

    def __init__(self) -> None:
        self.jupyterhub_message = (
            "None of your groups may start a server here. Ask whoever runs the lab to add you to one."
        )
        super().__init__(self.jupyterhub_message)


def visible_profiles(
    profiles: Sequence[Mapping[str, object]], groups: Mapping[str, Sequence[str]], member_of: set[str]
) -> list[Mapping[str, object]]:
    """Return the profiles a member of some groups may see and start, in their order."""
    return [
        profile
        for profile in profiles
        if (allowed := groups.get(str(profile["slug"]))) is None or member_of.intersection(allowed)
    ]


def offer_by_group(c: HubConfiguration, groups: Mapping[str, Sequence[str]]) -> Step:
    """Have the spawn page offer the profiles of a user's groups; return what refuses a user who has none."""
    profiles = cast("Sequence[Mapping[str, object]]", c.KubeSpawner.profile_list)

    def mine(spawner: Spawner) -> list[Mapping[str, object]]:
        return visible_profiles(profiles, groups, {group.name for group in spawner.user.groups})

    async def step(spawner: Spawner) -> None:
        if not mine(spawner):
            raise NoProfileError

    # KubeSpawner offers what the function returns, and refuses a start that names anything else.
    c.KubeSpawner.profile_list = mine
    return step
