"""How long a sign-in's access token lasts: noted when the provider gives it, since the provider says only for how long.

An access token is what command-line tools get (`tokens`); the refresh token beside it never leaves the hub.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONTAINER", "ENDS_KEY", "MARGIN_SECONDS", "end_of", "is_good", "stamped"]

CONTAINER = "token"
"""The container beside a server that keeps its token (`components.hub.profiles.token`, `tokens`)."""
ENDS_KEY = "lab_ends"
"""Key in the provider's answer, as the hub keeps it, of when the access token ends, in seconds since 1970."""
MARGIN_SECONDS = 60.0
"""By which a token is renewed before it ends; half its life for one that lasts less than two minutes."""


def stamped(answer: Mapping[str, object], now: float) -> dict[str, object]:
    """Return a provider's answer (RFC 6749, 5.1) with the end of its access token, where it says how long that lasts.

    Parameters
    ----------
    answer
        What the token endpoint has just said.
    now
        Seconds since 1970.
    """
    lasts = _lasts(answer)
    return {**answer} if lasts is None else {**answer, ENDS_KEY: now + lasts}


def end_of(auth_state: Mapping[str, object] | None) -> float | None:
    """Return when a sign-in's access token ends, in seconds since 1970; None where nobody has said."""
    ends = _answer_in(auth_state).get(ENDS_KEY)
    return float(ends) if isinstance(ends, int | float) else None


def is_good(auth_state: Mapping[str, object] | None, now: float) -> bool:
    """Return whether a sign-in's access token lasts for a while yet.

    Parameters
    ----------
    auth_state
        What the hub keeps of the sign-in (oauthenticator's ``OAuthenticator.build_auth_state_dict``).
    now
        Seconds since 1970.
    """
    ends, lasts = end_of(auth_state), _lasts(_answer_in(auth_state))
    if ends is None:
        return False
    return ends - now > (MARGIN_SECONDS if lasts is None else min(MARGIN_SECONDS, lasts / 2))


def _answer_in(auth_state: Mapping[str, object] | None) -> Mapping[str, object]:
    answer = (auth_state or {}).get("token_response")
    return cast("Mapping[str, object]", answer) if isinstance(answer, dict) else {}


def _lasts(answer: Mapping[str, object]) -> float | None:
    """Return for how many seconds an access token was given; some providers write the number as a text."""
    said = answer.get("expires_in")
    if isinstance(said, bool) or not isinstance(said, int | float | str):
        return None
    try:
        return float(said)
    except ValueError:
        return None
