"""Where the hub finds whom a server runs as: the table of identities, or what the identity provider said.

The table (`identity`) is a ConfigMap in a namespace of its own. It is read again when it is older than some seconds;
while the API server is away, what it said last holds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypedDict, cast

from .identity import (
    GROUPS_KEY,
    Identity,
    IdentityKeyError,
    IdentityRowError,
    group_names,
    identity_key,
    is_persons_gid,
    is_persons_uid,
)

if TYPE_CHECKING:
    from .objects import Logger

__all__ = [
    "ClaimSettings",
    "ClaimSource",
    "ForeignIdsError",
    "Found",
    "IdentitiesAwayError",
    "IdentitySettings",
    "IdentitySource",
    "NoIdentityError",
    "Table",
    "TableSource",
    "TableUnreadableError",
    "UnusableClaimsError",
    "cluster_table",
    "source_of",
    "within",
]

FRESH_SECONDS = 15.0
"""How old the table may be: a person struck from it gets no server after that."""
ASK_AGAIN_SECONDS = 2.0
"""Between two reads for somebody who is not in it, or after one that failed: a crowd at the door reads it once."""
STALE_SECONDS = 3600.0
"""How long the last table holds while the API server is away. Nothing starts without it anyway; people can sign in."""
READ_SECONDS = 10.0
"""For one read; the table has a megabyte at most."""

Table: TypeAlias = Mapping[str, str]
"""Rows by key (`identity.identity_key`), and one with the names of groups (`identity.GROUPS_KEY`)."""


class ClaimSettings(TypedDict):
    """Where ids stand in what the authenticator keeps (``auth_state``)."""

    userInfo: str
    """Key of the provider's answer."""
    uid: str
    gid: str
    groups: str | None
    """Claim that lists supplementary groups with their ids; None where there is none."""


class IdentitySettings(TypedDict):
    """What the stack file decides, handed over in the chart's ``custom`` values."""

    namespace: str | None
    """Of the table; None where ids come from claims."""
    configMap: str
    claims: ClaimSettings | None
    uids: list[int]
    gids: list[int]
    """Smallest and largest id that a server may run with."""
    home: str
    """Home folder in the server."""
    shell: str
    required: bool
    """Whether nobody may sign in without an identity."""


class IdentitiesAwayError(Exception):
    """Nobody's ids can be looked up."""

    def __init__(self, problem: Exception) -> None:
        self.jupyterhub_message = (
            "The hub cannot look up your user id at the moment. Try again in a minute; if it stays like this, tell "
            "whoever runs the lab."
        )
        super().__init__(f"{self.jupyterhub_message} ({problem})")


class NoIdentityError(Exception):
    """Somebody who has no ids."""

    def __init__(self, username: str, why: str = "") -> None:
        self.jupyterhub_message = (
            f"You are signed in as {username}, but the lab has no user id for that name{f' ({why})' if why else ''}, "
            "so no files could be yours. Ask whoever runs the lab to give you one; then sign in again."
        )
        super().__init__(self.jupyterhub_message)


class ForeignIdsError(Exception):
    """Ids that are no person's here."""

    def __init__(self, identity: Identity, what: str) -> None:
        self.jupyterhub_message = (
            f"The lab's directory gives {identity.username} the {what}, which is not among those of people here. "
            "Tell whoever runs the lab."
        )
        super().__init__(self.jupyterhub_message)


class UnusableClaimsError(Exception):
    """Claims that say no ids, though they are there."""

    def __init__(self, claim: str, value: object) -> None:
        self.jupyterhub_message = (
            f"Your sign-in says {str(value)[:64]!r} as {claim}, which is no id. Tell whoever runs the lab."
        )
        super().__init__(self.jupyterhub_message)


class TableUnreadableError(Exception):
    """The table could not be read."""

    def __init__(self, namespace: str, name: str, problem: BaseException) -> None:
        super().__init__(f"ConfigMap {namespace}/{name}: {type(problem).__name__}: {problem}"[:300])


@dataclass(frozen=True)
class Found:
    """Somebody's ids, and what their primary group is called, where that is known."""

    identity: Identity
    primary: str | None = None


class IdentitySource(Protocol):
    """Where ids are looked up."""

    async def find(self, username: str, auth_state: Mapping[str, object] | None, log: Logger) -> Found | None:
        """Return a user's ids, or None if they have none.

        Raises
        ------
        IdentitiesAwayError
            If they cannot be looked up now.
        """
        ...


class TableSource:
    """The table, read when it is needed and no more often than it can have changed.

    Parameters
    ----------
    read
        Reads all of it, or raises `TableUnreadableError`.
    clock
        Seconds that only grow.
    """

    def __init__(self, read: Callable[[], Awaitable[Table]], clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._table: Table | None = None
        self._read_at = self._tried_at = float("-inf")
        self._problem: Exception | None = None
        self._lock = asyncio.Lock()

    async def find(self, username: str, auth_state: Mapping[str, object] | None, log: Logger) -> Found | None:  # noqa: ARG002 - the directory says, not the sign-in
        """Return a user's ids, or None if they have none.

        Raises
        ------
        IdentitiesAwayError
            If the table was not read for an hour, or never.
        """
        try:
            key = identity_key(username)
        except IdentityKeyError as problem:
            log.warning("no identity: %s", problem)
            return None
        if self._is_due(key):
            async with self._lock:
                if self._is_due(key):
                    await self._refresh(log)
        table = self._table
        if table is None or self._clock() - self._read_at > STALE_SECONDS:
            raise IdentitiesAwayError(self._problem or TimeoutError("never read"))
        if (row := table.get(key)) is None:
            return None
        try:
            identity = Identity.parse(row)
            names = group_names(table.get(GROUPS_KEY, ""))
        except IdentityRowError as problem:
            log.warning("identity of %s: %s", username, problem)
            return None
        if identity.username != username:
            log.warning("identity of %s: its row is %s's", username, identity.username)
            return None
        return Found(identity, names.get(identity.gid))

    def _is_due(self, key: str) -> bool:
        now = self._clock()
        wanted = now - self._read_at > FRESH_SECONDS or key not in (self._table or {})
        return wanted and now - self._tried_at > ASK_AGAIN_SECONDS

    async def _refresh(self, log: Logger) -> None:
        try:
            self._table = await self._read()
            self._read_at = self._clock()
        except TableUnreadableError as problem:
            self._problem = problem
            log.warning("identities: %s; what they were holds on", problem)
        finally:
            self._tried_at = self._clock()


class ClaimSource:
    """What the identity provider said at sign-in. Only as true as the provider keeps it from its users."""

    def __init__(self, settings: ClaimSettings) -> None:
        self._settings = settings

    async def find(self, username: str, auth_state: Mapping[str, object] | None, log: Logger) -> Found | None:  # noqa: ARG002 - as every source is asked
        """Return a user's ids out of their claims, or None if these name no user or no group id.

        Raises
        ------
        UnusableClaimsError
            If a claim is there and says no id.
        """
        answer = (auth_state or {}).get(self._settings["userInfo"])
        if not isinstance(answer, dict):
            return None
        claims = cast("dict[str, object]", answer)
        uid = _id_of(claims, self._settings["uid"])
        gid = _id_of(claims, self._settings["gid"])
        if uid is None or gid is None:
            return None
        claim = self._settings["groups"]
        try:
            return Found(Identity.of(username, uid, gid, {} if claim is None else _groups_of(claims.get(claim), claim)))
        except IdentityRowError as problem:
            raise UnusableClaimsError(claim or self._settings["uid"], problem) from problem


def within(identity: Identity, settings: IdentitySettings) -> Identity:
    """Return the identity if all of its ids may be a person's here.

    Raises
    ------
    ForeignIdsError
        If one is outside the stack's ranges, and so perhaps root's or a service's.
    """
    first, last = settings["uids"]
    if not is_persons_uid(identity.uid, first, last):
        raise ForeignIdsError(identity, f"user id {identity.uid}")
    first, last = settings["gids"]
    for gid in (identity.gid, *identity.gids):
        if not is_persons_gid(gid, first, last):
            raise ForeignIdsError(identity, f"group id {gid}")
    return identity


def source_of(settings: IdentitySettings) -> IdentitySource:
    """Return where ids are looked up, as the stack file says."""
    claims, namespace = settings["claims"], settings["namespace"]
    if claims is not None:
        return ClaimSource(claims)
    return TableSource(cluster_table(namespace or "", settings["configMap"]))


class _ConfigMap(Protocol):
    data: Mapping[str, str] | None


class _CoreApi(Protocol):
    async def read_namespaced_config_map(self, name: str, namespace: str, *, _request_timeout: float) -> _ConfigMap: ...


class _Clients(Protocol):
    """KubeSpawner's module of clients; one of each kind is shared by the whole hub."""

    def load_config(self) -> None: ...
    def shared_client(self, kind: str) -> _CoreApi: ...


def cluster_table(namespace: str, name: str) -> Callable[[], Awaitable[Table]]:
    """Return what reads the table from the API server, by the hub's own account.

    Parameters
    ----------
    namespace, name
        Of the ConfigMap.
    """

    async def read() -> Table:
        clients = cast("_Clients", import_module("kubespawner.clients"))
        failures = import_module("kubernetes_asyncio.client.exceptions")
        transport = import_module("aiohttp")
        try:
            clients.load_config()
            api = clients.shared_client("CoreV1Api")
            found = await api.read_namespaced_config_map(name, namespace, _request_timeout=READ_SECONDS)
        except (failures.ApiException, transport.ClientError, OSError, TimeoutError) as problem:
            raise TableUnreadableError(namespace, name, cast("Exception", problem)) from problem
        return found.data or {}

    return read


def _id_of(claims: Mapping[str, object], claim: str) -> int | None:
    value = claims.get(claim)
    if value is None or value == "":
        return None
    return _number(value, claim)


def _number(value: object, claim: str) -> int:
    # Truth is no id, although Python counts it among the integers; a provider may give numbers as text.
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    raise UnusableClaimsError(claim, value)


def _groups_of(value: object, claim: str) -> dict[str, int]:
    """Return groups out of a claim: ids, texts ``name=gid``, or a mapping of names to ids."""
    if value is None:
        return {}
    if isinstance(value, dict):
        named = cast("dict[str, object]", value)
        return {name: _number(number, claim) for name, number in named.items()}
    if not isinstance(value, list):
        raise UnusableClaimsError(claim, value)
    groups: dict[str, int] = {}
    for each in cast("list[object]", value):
        name, separator, number = each.rpartition("=") if isinstance(each, str) else ("", "", each)
        gid = _number(number, claim)
        groups[name if separator else f"group{gid}"] = gid
    return groups
