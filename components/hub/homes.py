"""Homes: what the hub is told so that each account gets its own, and asks for it where it has to be made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import home_requests
from .config import HomeKey
from .ids import SERVER_GID, SERVER_UID
from .parts import HubPart
from .signin import account_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.model import Value

    from .config import HubConfig
    from .facts import HubFacts

__all__ = ["homes_part"]


def homes_part(config: HubConfig, facts: HubFacts) -> HubPart:
    """Return what names a home's claim (``files/lab_hub/homes.py``) and asks for it (``home_requests.py`` beside it).

    Parameters
    ----------
    config
        Hub section; checked.
    facts
        What is around the hub.
    """
    settings: dict[str, Value] = {"home": _account_settings(config)}
    if facts.home_requests is None:
        return HubPart(settings=settings)
    return HubPart(
        settings={**settings, "homeRequests": home_requests.request_settings(SERVER_UID, SERVER_GID)},
        volumes={home_requests.VOLUME: home_requests.request_volume(facts.home_requests)},
        mounts={home_requests.VOLUME: home_requests.request_volume_mount()},
    )


def _account_settings(config: HubConfig) -> Mapping[str, Value] | None:
    """Return the `HomeSettings` of ``files/lab_hub/homes.py``; None where homes belong to user names."""
    key = account_key(config.authentication) if config.homes.key is HomeKey.ACCOUNT else None
    if key is None:
        return None
    return {"issuer": key.issuer, "userInfo": key.user_info, "claims": list(key.claims)}
