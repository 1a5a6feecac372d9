"""What the hub does beyond the chart: a home per account, profiles by group.

Runs inside the hub, imported by one line of the chart's ``hub.extraConfig``. It needs nothing but the standard library
and the hub's own objects, of which it names the few attributes it uses.

KubeSpawner fills a claim's name from the user's name or from ``{userid}``, a row number of the hub's database. A name
can pass to another person at the provider, and a row number passes to the next user once freed, or to anybody when the
database is restored: a home would silently become another one. So the claim is named after the identity provider and
its unchanging identifier of the account, on every start anew.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol, TypedDict, cast

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

__all__ = [
    "HomeSettings",
    "LabSettings",
    "NoAccountError",
    "NoProfileError",
    "account_of",
    "claim_name",
    "configure",
    "visible_profiles",
]

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


class LabSettings(TypedDict):
    """What the stack file decides, handed over in the chart's ``custom`` values."""

    home: HomeSettings | None
    """None where homes belong to user names, which KubeSpawner's template does by itself."""
    groups: dict[str, list[str]]
    """Groups that may see a profile, by its slug; a profile that is missing is for everybody."""


class Group(Protocol):
    """A group of the hub."""

    name: str


class User(Protocol):
    """A user of the hub."""

    name: str
    groups: Sequence[Group]

    async def get_auth_state(self) -> Mapping[str, object] | None:
        """Return what the authenticator has kept, or None."""
        ...


class Spawner(Protocol):
    """What is used of KubeSpawner."""

    user: User
    pvc_name: str


class Section(Protocol):
    """A section of the hub's configuration."""

    pre_spawn_hook: Callable[[Spawner], Awaitable[None]]
    profile_list: object


class HubConfiguration(Protocol):
    """The hub's configuration object, ``c``."""

    KubeSpawner: Section


class NoAccountError(Exception):
    """A server without a known account: it is not started, because it would get a home that is not its own."""

    def __init__(self) -> None:
        self.jupyterhub_message = (
            "Your home folder belongs to your account, and the hub does not know it at the moment. "
            "Sign out, sign in again, and start the server once more."
        )
        super().__init__(self.jupyterhub_message)


class NoProfileError(Exception):
    """A user none of whose groups may start anything."""

    def __init__(self) -> None:
        self.jupyterhub_message = (
            "None of your groups may start a server here. Ask whoever runs the lab to add you to one."
        )
        super().__init__(self.jupyterhub_message)


def account_of(auth_state: Mapping[str, object] | None, settings: HomeSettings) -> str | None:
    """Return the provider's identifier of an account, or None where the authenticator has kept none."""
    answer = (auth_state or {}).get(settings["userInfo"])
    if not isinstance(answer, dict):
        return None
    known = cast("dict[str, object]", answer)
    for claim in settings["claims"]:
        value = known.get(claim)
        # Truth is no identifier, although Python counts it among the integers.
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    return None


def claim_name(account: str, issuer: str) -> str:
    """Return the name of the claim an account's home is on: the same for the same account, for nobody else."""
    digest = hashlib.sha256(f"{issuer}\0{account}".encode()).hexdigest()
    return f"{CLAIM_PREFIX}{digest[:DIGEST_LENGTH]}"


def visible_profiles(
    profiles: Sequence[Mapping[str, object]], groups: Mapping[str, Sequence[str]], member_of: set[str]
) -> list[Mapping[str, object]]:
    """Return the profiles a member of some groups may see and start, in their order."""
    return [
        profile
        for profile in profiles
        if (allowed := groups.get(str(profile["slug"]))) is None or member_of.intersection(allowed)
    ]


def configure(c: HubConfiguration, settings: LabSettings) -> None:
    """Set the hub's hooks; called once, while the hub loads its configuration.

    Parameters
    ----------
    c
        The hub's configuration, the chart's part already in it.
    settings
        The chart's ``custom.lab``.
    """
    home, groups = settings["home"], settings["groups"]
    profiles = cast("Sequence[Mapping[str, object]]", c.KubeSpawner.profile_list)

    def mine(spawner: Spawner) -> list[Mapping[str, object]]:
        return visible_profiles(profiles, groups, {group.name for group in spawner.user.groups})

    async def before_start(spawner: Spawner) -> None:
        """Give the server its account's home; refuse it where there is none, or nothing to start."""
        if groups and not mine(spawner):
            raise NoProfileError
        if home is not None:
            account = account_of(await spawner.user.get_auth_state(), home)
            if account is None:
                raise NoAccountError
            spawner.pvc_name = claim_name(account, home["issuer"])

    c.KubeSpawner.pre_spawn_hook = before_start
    if groups:
        # KubeSpawner offers what the function returns, and refuses a start that names anything else.
        c.KubeSpawner.profile_list = mine
