"""What is wrong with the limits of the hub section that no single field shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.problems import Problem
from components.quantities import Duration

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from components.hub.config import HubConfig
    from components.problems import Path

    from .config import Amounts

__all__ = ["check_limits"]

SHORTEST_GPU_IDLE = Duration.parse("10m")
"""Below it loading data or thinking looks idle, and Prometheus itself looks back 5 minutes for a measurement
(its ``--query.lookback-delta``)."""
SHORTEST_WALLTIME = Duration.parse("10m")
"""Below it a server may end before it is up: an image of 10 GB is pulled in 5 to 10 minutes."""


def check_limits(config: HubConfig, *, groups: Collection[str] | None = None) -> Iterator[Problem]:
    """Yield what is wrong with walltimes, culling and limits; paths within the section.

    Parameters
    ----------
    config
        The section.
    groups
        Every group there can be, where the stack file itself says so; None where the identity provider does.
    """
    yield from _gpu_culling(config)
    yield from _walltimes(config)
    yield from _limits(config, groups)


def _gpu_culling(config: HubConfig) -> Iterator[Problem]:
    gpu = config.culling.gpu
    if gpu is None:
        return
    if not _has_gpus(config):
        yield Problem(
            path=("culling", "gpu"),
            what="no profile has a GPU that could be idle",
            remedy="drop gpu, or give a profile one",
        )
    if gpu.idle < SHORTEST_GPU_IDLE:
        yield Problem(
            path=("culling", "gpu", "idle"),
            what=f"{gpu.idle} is too short to tell an idle GPU from one that waits for data",
            remedy=f"allow at least {SHORTEST_GPU_IDLE}",
        )


def _walltimes(config: HubConfig) -> Iterator[Problem]:
    for index, profile in enumerate(config.profiles):
        path: Path = ("profiles", index, "walltime")
        if profile.walltime is None:
            continue
        if profile.walltime < SHORTEST_WALLTIME:
            yield Problem(
                path=path,
                what=f"a server that runs {profile.walltime} may end before it has started",
                remedy=f"give it at least {SHORTEST_WALLTIME}",
            )
        elif min(config.culling.warnings) >= profile.walltime:
            yield Problem(
                path=path,
                what=f"its users would never be warned: the last warning comes {min(config.culling.warnings)} before "
                "the end",
                remedy="give it longer, or add a shorter one to culling.warnings",
            )
        if (most := config.culling.max_age) is not None and profile.walltime > most:
            yield Problem(
                path=path,
                what=f"{profile.walltime} is longer than the {most} any server may run",
                remedy=f"give it at most {most}, or raise culling.maxAge",
            )


def _limits(config: HubConfig, groups: Collection[str] | None) -> Iterator[Problem]:
    limits = config.limits
    if limits.per_user is not None:
        yield from _amounts(config, limits.per_user, ("limits", "perUser"))
        possible = config.servers.named + 1
        if limits.per_user.servers is not None and limits.per_user.servers > possible:
            yield Problem(
                path=("limits", "perUser", "servers"),
                what=f"a user has at most {possible} server{'' if possible == 1 else 's'} anyway",
                remedy=f"set servers.named to at least {limits.per_user.servers - 1}, or drop it",
            )
    for group, most in limits.groups.items():
        path: Path = ("limits", "groups", group)
        yield from _amounts(config, most, path)
        if groups is not None and group not in groups:
            yield Problem(
                path=path, what=f"there is no group {group}", remedy=f"choose one of {', '.join(sorted(groups))}"
            )


def _amounts(config: HubConfig, most: Amounts, path: Path) -> Iterator[Problem]:
    if most.gpus is not None and not _has_gpus(config):
        yield Problem(path=(*path, "gpus"), what="no profile has a GPU", remedy="drop it")


def _has_gpus(config: HubConfig) -> bool:
    return any(request is not None for profile in config.profiles for request in profile.gpus())
