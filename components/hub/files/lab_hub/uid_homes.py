"""A home per user id: its claim is ``home-uid-<uid>``, which the admission policy can work out by itself.

A directory may give the id of somebody who left to somebody new. So the claim says whose it is: the user name, and the
account at the identity provider where there is one, written down when it is made. It goes on to a new name only with
the same account (somebody was renamed); otherwise the server is refused, until a person has looked and written the new
name onto the claim. The hub itself may read, make and delete claims, not change them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NotRequired, Protocol, TypedDict, cast

from .homes import account_of, claim_name
from .wear_identity import literally

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .homes import HomeSettings
    from .objects import Spawner, Step

__all__ = [
    "ACCOUNT_ANNOTATION",
    "OWNER_ANNOTATION",
    "ClaimAwayError",
    "OthersHomeError",
    "UidHomesSettings",
    "name_claim_by_uid",
    "uid_claim",
]

CLAIM_PREFIX = "home-uid-"
OWNER_ANNOTATION = "lab.internal/home-owner"
"""User name of a home's owner; changed by a person alone."""
ACCOUNT_ANNOTATION = "lab.internal/home-account"
"""Digest of the account the home was first made for."""
READ_SECONDS = 10.0
"""For one read of a claim."""
NOT_FOUND = 404


class UidHomesSettings(TypedDict):
    """What the stack file decides, handed over in the chart's ``custom`` values."""

    account: NotRequired[HomeSettings | None]
    """Where the account's identifier stands; None where the sign-in knows none."""


class OthersHomeError(Exception):
    """A home that was made for somebody else, who had the same user id."""

    def __init__(self, claim: str, namespace: str, username: str, owner: str) -> None:
        self.jupyterhub_message = (
            "The home folder of your user id was made for somebody else, or for you under another name. Nothing of it "
            f"was opened. Tell whoever runs the lab about {claim}."
        )
        super().__init__(
            f"{claim} is {owner}'s, but {username} has its user id now. If both are one person: kubectl annotate "
            f"--overwrite --namespace {namespace} persistentvolumeclaim {claim} {OWNER_ANNOTATION}={username}"
        )


class ClaimAwayError(Exception):
    """A home whose owner cannot be looked up."""

    def __init__(self, claim: str, problem: Exception) -> None:
        self.jupyterhub_message = (
            f"The hub cannot look up whose home folder {claim} is at the moment. Try again in a minute."
        )
        super().__init__(f"{claim}: {type(problem).__name__}: {problem}"[:300])


class _Metadata(Protocol):
    annotations: Mapping[str, str] | None


class _Claim(Protocol):
    metadata: _Metadata


class _CoreApi(Protocol):
    async def read_namespaced_persistent_volume_claim(
        self, name: str, namespace: str, *, _request_timeout: float
    ) -> _Claim: ...


class _Housed(Protocol):
    """What is used of KubeSpawner."""

    uid: object
    api: _CoreApi
    pvc_name: str
    storage_extra_annotations: Mapping[str, str]


def uid_claim(uid: int) -> str:
    """Return the name of the claim a user id's home is on."""
    return f"{CLAIM_PREFIX}{uid}"


def name_claim_by_uid(settings: UidHomesSettings) -> Step:
    """Return what gives a server the home of the user id it runs with; refuses it where the home is another's.

    Parameters
    ----------
    settings
        The chart's ``custom.lab.uidHomes``.
    """
    account_settings = settings.get("account")

    async def step(spawner: Spawner) -> None:
        server, username = cast("_Housed", spawner), spawner.user.name
        # What `wear_identity` gave it just before, and what the pod will say.
        claim = uid_claim(cast("int", server.uid))
        account = ""
        if account_settings is not None:
            known = account_of(await spawner.user.get_auth_state(), account_settings)
            account = "" if known is None else claim_name(known, account_settings["issuer"])
        annotations = await _annotations(server.api, claim, spawner.namespace)
        if annotations is not None:
            owner = annotations.get(OWNER_ANNOTATION, "")
            is_same_account = account != "" and annotations.get(ACCOUNT_ANNOTATION) == account
            if owner != username and not is_same_account:
                refusal = OthersHomeError(claim, spawner.namespace, username, owner or "unknown")
                spawner.log.warning("home refused: %s", refusal)
                raise refusal
        server.pvc_name = claim
        written = {OWNER_ANNOTATION: literally(username), **({ACCOUNT_ANNOTATION: account} if account else {})}
        server.storage_extra_annotations = {**server.storage_extra_annotations, **written}

    return step


async def _annotations(api: _CoreApi, claim: str, namespace: str) -> Mapping[str, str] | None:
    """Return what is written on a claim; None where there is no such claim yet."""
    failures = import_module("kubernetes_asyncio.client.exceptions")
    transport = import_module("aiohttp")
    try:
        found = await api.read_namespaced_persistent_volume_claim(claim, namespace, _request_timeout=READ_SECONDS)
    except failures.ApiException as problem:
        if problem.status == NOT_FOUND:
            return None
        raise ClaimAwayError(claim, cast("Exception", problem)) from problem
    except (transport.ClientError, OSError, TimeoutError) as problem:
        raise ClaimAwayError(claim, cast("Exception", problem)) from problem
    return found.metadata.annotations or {}
