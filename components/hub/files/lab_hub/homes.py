"""A home per account.

KubeSpawner fills a claim's name from the user's name or from ``{userid}``, a row number of the hub's database. A name
can pass to another person at the provider, and a row number passes to the next user once freed, or to anybody when the
database is restored: a home would silently become another one. So the claim is named after the identity provider and
its unchanging identifier of the account, on every start anew.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypedDict, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .objects import Spawner, Step

__all__ = ["HomeSettings", "NoAccountError", "account_in", "account_of", "claim_name", "name_claim"]

CLAIM_PREFIX = "home-"
DIGEST_LENGTH = 32
"""Hexadecimal digits of the account's digest in a claim's name: 128 bits, far beyond chance or malice."""


class HomeSettings(TypedDict):
    """Where the account's identifier stands in what the authenticator keeps (``auth_state``)."""

    issuer: str
    """Who gives the identifiers out; two issuers' accounts never share a home."""
    userInfo: str
    """Key of the provider's answer in ``auth_state``."""
    claims: list[str]
    """Keys of the identifier in that answer, the first present counts."""


class NoAccountError(Exception):
    """A server without a known account: it is not started, because it would get a home that is not its own."""

    def __init__(self) -> None:
        self.jupyterhub_message = (
            "Your home folder belongs to your account, and the hub does not know it at the moment. "
            "Sign out, sign in again, and start the server once more."
        )
        super().__init__(self.jupyterhub_message)


def account_in(auth_state: Mapping[str, object] | None, way: Sequence[str]) -> str | None:
    """Return the account's identifier out of what an authenticator keeps, or None where there is none.

    Parameters
    ----------
    auth_state
        What it keeps.
    way
        Key of the provider's answer, then the identifier's names in it, of which the first present counts.
    """
    if not way:
        return None
    answer = (auth_state or {}).get(way[0])
    if not isinstance(answer, dict):
        return None
    known = cast("Mapping[str, object]", answer)
    for name in way[1:]:
        value = known.get(name)
        # Truth is no identifier, although Python counts it among the integers.
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    return None


def account_of(auth_state: Mapping[str, object] | None, settings: HomeSettings) -> str | None:
    """Return the provider's identifier of an account, or None where the authenticator has kept none."""
    return account_in(auth_state, [settings["userInfo"], *settings["claims"]])


def claim_name(account: str, issuer: str) -> str:
    """Return the name of the claim an account's home is on: the same for the same account, for nobody else."""
    digest = hashlib.sha256(f"{issuer}\0{account}".encode()).hexdigest()
    return f"{CLAIM_PREFIX}{digest[:DIGEST_LENGTH]}"


def name_claim(home: HomeSettings) -> Step:
    """Return what gives a server its account's home, and refuses it where the account is not known."""

    async def step(spawner: Spawner) -> None:
        account = account_of(await spawner.user.get_auth_state(), home)
        if account is None:
            raise NoAccountError
        spawner.pvc_name = claim_name(account, home["issuer"])

    return step
