"""Homes: what the hub is told so that each account gets its own, and asks for it where it has to be made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.hub.config import HomeKey
from components.hub.ids import SERVER_GID, SERVER_UID
from components.hub.parts import HubPart
from components.hub.signin.plan import account_key

from . import requests as home_requests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.hub.config import HubConfig
    from components.hub.facts import HubFacts
    from components.hub.signin.config import Authentication
    from components.model import Value

__all__ = ["account_settings", "homes_part"]


def homes_part(config: HubConfig, facts: HubFacts) -> HubPart:
    """Return what names a home's claim (``files/lab_hub/homes.py``) and asks for it (``home_requests.py`` beside it).

    Parameters
    ----------
    config
        Hub section; checked.
    facts
        What is around the hub.
    """
    by_account = config.homes.key is HomeKey.ACCOUNT
    settings: dict[str, Value] = {"home": account_settings(config.authentication) if by_account else None}
    if facts.home_requests is None:
        return HubPart(settings=settings)
    return HubPart(
        settings={**settings, "homeRequests": home_requests.request_settings(SERVER_UID, SERVER_GID)},
        volumes={home_requests.VOLUME: home_requests.request_volume(facts.home_requests)},
        mounts={home_requests.VOLUME: home_requests.request_volume_mount()},
    )


def account_settings(authentication: Authentication) -> Mapping[str, Value] | None:
    """Return the `HomeSettings` of ``files/lab_hub/homes.py``; None where the sign-in knows no accounts."""
    key = account_key(authentication)
    if key is None:
        return None
    return {"issuer": key.issuer, "userInfo": key.user_info, "claims": list(key.claims)}
