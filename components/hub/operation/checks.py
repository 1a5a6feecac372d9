"""What is wrong with the hub's operation that no single field shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.hub.config import HubConfig

__all__ = ["check_operation"]


def check_operation(config: HubConfig) -> Iterator[Problem]:
    """Yield everything wrong with how the hub is operated; paths within the hub section.

    Parameters
    ----------
    config
        The section.
    """
    check = config.health_check
    if check is None:
        return
    yield from _profile(config, check.profile)
    authentication = config.authentication
    users: tuple[str, ...] = getattr(authentication, "users", ())
    named = (*authentication.admins, *users)
    if check.user in named:
        yield Problem(
            path=("healthCheck", "user"),
            what=f"{check.user} is somebody who may sign in",
            remedy="name a user that nobody is: its server is stopped with every check",
        )


def _profile(config: HubConfig, slug: str | None) -> Iterator[Problem]:
    profiles = {profile.slug: profile for profile in config.profiles}
    open_to_all = [profile.slug for profile in config.profiles if not profile.groups]
    if slug is None:
        return
    if slug not in profiles:
        what, remedy = f"there is no profile {slug}", f"choose one of {', '.join(open_to_all)}"
    elif profiles[slug].groups:
        what = f"the profile {slug} is for {', '.join(profiles[slug].groups)}, and the test user is in no group"
        remedy = f"choose one of {', '.join(open_to_all)}" if open_to_all else "make a profile for everybody"
    else:
        return
    yield Problem(path=("healthCheck", "profile"), what=what, remedy=remedy)
