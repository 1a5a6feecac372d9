"""Profiles by group: what the spawn page offers to whom, and what nobody else may start."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .objects import HubConfiguration, Spawner, Step

__all__ = [
    "NoProfileError",
    "NoSuchChoiceError",
    "NoSuchProfileError",
    "offer_by_group",
    "offers",
    "refuse_forged",
    "visible_profiles",
]

MOST_REMEMBERED = 1024
"""Combinations of groups whose lists are kept: 300 profiles take some 3 KiB a list, since profiles are shared."""
UNLISTED = "--unlisted-choice"
"""Ends the name of an option's free text in a form (``KubeSpawner._options_from_form``); nothing of ours has one."""


class NoProfileError(Exception):
    """A user none of whose groups may start anything."""

    def __init__(self) -> None:
        self.jupyterhub_message = (
            "None of your groups may start a server here. Ask whoever runs the lab to add you to one."
        )
        super().__init__(self.jupyterhub_message)


class NoSuchProfileError(Exception):
    """A start that names a profile which is not among its user's: forged, or no longer theirs."""

    def __init__(self) -> None:
        self.jupyterhub_message = (
            "That profile is not among yours: it may have been withdrawn, or your groups may have changed. "
            "Choose one from the list on the start page."
        )
        super().__init__(self.jupyterhub_message)


class NoSuchChoiceError(Exception):
    """A start that names a choice its profile does not offer: forged, or no longer offered."""

    def __init__(self, option: str) -> None:
        self.jupyterhub_message = (
            f"The profile does not offer what was asked for as its {option}: the choices may have changed. "
            "Choose again on the start page."
        )
        super().__init__(self.jupyterhub_message)


def visible_profiles(
    profiles: Sequence[Mapping[str, object]], groups: Mapping[str, Sequence[str]], member_of: Iterable[str]
) -> list[Mapping[str, object]]:
    """Return the profiles a member of some groups may see and start, in their order."""
    own = set(member_of)
    return [
        profile
        for profile in profiles
        if (allowed := groups.get(str(profile["slug"]))) is None or not own.isdisjoint(allowed)
    ]


def offers(
    profiles: Sequence[Mapping[str, object]], groups: Mapping[str, Sequence[str]]
) -> Callable[[Iterable[str]], list[Mapping[str, object]]]:
    """Return what answers for a user's groups with their profiles, each combination of groups worked out once.

    Parameters
    ----------
    profiles
        Every profile, in KubeSpawner's terms.
    groups
        Groups that may see a profile, by its slug; a profile that is missing is for everybody.
    """
    named = frozenset(name for names in groups.values() for name in names)

    @lru_cache(maxsize=MOST_REMEMBERED)
    def remembered(member_of: frozenset[str]) -> tuple[Mapping[str, object], ...]:
        return tuple(visible_profiles(profiles, groups, member_of))

    # A directory's groups that no profile names make no difference, and would make every user a case of their own.
    return lambda member_of: list(remembered(named.intersection(member_of)))


def refuse_forged(profiles: Sequence[Mapping[str, object]], chosen: Mapping[str, object]) -> None:
    """Pass over what the spawn page of these profiles could have asked for, and refuse everything else.

    KubeSpawner refuses another profile, but takes an unlisted choice for a failure of its own, and the choices of a
    start that names no profile for those of the default one.

    Parameters
    ----------
    profiles
        The user's.
    chosen
        What a start asks for (``Spawner.user_options``), from a form or from the hub's API.

    Raises
    ------
    NoSuchProfileError
        If the profile is not among them.
    NoSuchChoiceError
        If the profile does not offer a choice.
    """
    slug = chosen.get("profile")
    if slug:
        profile = next((each for each in profiles if each["slug"] == slug), None)
    else:
        profile = next((each for each in profiles if each.get("default")), None)
    if profile is None:
        raise NoSuchProfileError
    options = cast("Mapping[str, Mapping[str, Mapping[str, object]]]", profile.get("profile_options", {}))
    for option, offered in options.items():
        choice = chosen.get(option)
        if chosen.get(f"{option}{UNLISTED}"):
            raise NoSuchChoiceError(option)
        # Without a choice the default counts.
        if choice and not (isinstance(choice, str) and choice in offered["choices"]):
            raise NoSuchChoiceError(option)


def offer_by_group(c: HubConfiguration, groups: Mapping[str, Sequence[str]]) -> Step:
    """Have the spawn page offer the profiles of a user's groups; return what refuses a start of anything else."""
    mine = offers(cast("Sequence[Mapping[str, object]]", c.KubeSpawner.profile_list), groups)

    def offered(spawner: Spawner) -> list[Mapping[str, object]]:
        return mine(group.name for group in spawner.user.groups)

    async def step(spawner: Spawner) -> None:
        profiles = offered(spawner)
        if not profiles:
            raise NoProfileError
        try:
            refuse_forged(profiles, spawner.user_options)
        except (NoSuchProfileError, NoSuchChoiceError):
            asked = spawner.user_options
            spawner.log.warning("%s asked for %r, which is not offered to them", spawner.user.name, asked)
            raise

    # KubeSpawner offers what the function returns, and refuses a start that names another profile once more.
    c.KubeSpawner.profile_list = offered
    return step
