"""What a server gets for each combination of choices: what KubeSpawner makes of an entry of the profile list."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.model import Value

__all__ = ["combinations", "combined"]


def combinations(entry: Mapping[str, Value]) -> Iterator[Mapping[str, str]]:
    """Yield every combination of choices of an entry of the profile list, each as choice by option.

    Parameters
    ----------
    entry
        One entry of `components.hub.profiles.plan.profile_list`.
    """
    options = _options(entry)
    for chosen in product(*(_choices(options, option) for option in options)):
        yield dict(zip(options, chosen, strict=True))


def combined(entry: Mapping[str, Value], chosen: Mapping[str, str] | None = None) -> dict[str, Value]:
    """Return KubeSpawner's settings for an entry and what is chosen, the default where nothing is.

    As ``KubeSpawner._load_profile`` does it: the entry's own settings, then those of each option in their order;
    dictionaries are merged, everything else is replaced.

    Parameters
    ----------
    entry
        One entry of `components.hub.profiles.plan.profile_list`.
    chosen
        Choice by option.

    Raises
    ------
    KeyError
        If there is no such choice.
    """
    found = dict(cast("Mapping[str, Value]", entry["kubespawner_override"]))
    options = _options(entry)
    for option in options:
        choices = _choices(options, option)
        default = next(key for key, choice in choices.items() if choice["default"])
        choice = choices[(chosen or {}).get(option, default)]
        found = _merged(found, cast("Mapping[str, Value]", choice["kubespawner_override"]))
    return found


def _options(entry: Mapping[str, Value]) -> Mapping[str, Mapping[str, Value]]:
    return cast("Mapping[str, Mapping[str, Value]]", entry.get("profile_options", {}))


def _choices(options: Mapping[str, Mapping[str, Value]], option: str) -> Mapping[str, Mapping[str, Value]]:
    return cast("Mapping[str, Mapping[str, Value]]", options[option]["choices"])


def _merged(one: Mapping[str, Value], other: Mapping[str, Value]) -> dict[str, Value]:
    found = dict(one)
    for key, value in other.items():
        held = found.get(key)
        found[key] = _merged(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return found
