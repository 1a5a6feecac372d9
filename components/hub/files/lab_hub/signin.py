"""What every sign-in of the hub adds to its stock class.

JupyterHub asks a class once whether a user may enter, when they sign in. From then on it believes what it has in its
database: somebody who left the last allowed group goes on working, a struck administrator administers, and whoever is
given a freed user name is taken for its former bearer. `LabSignIn` asks again while people are signed in, and ties a
user name to the account that first came with it.
"""

# JupyterHub and its authenticators have no types, and their classes' methods differ between each other.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportIncompatibleMethodOverride=false, reportUnknownParameterType=false

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NotRequired, Protocol, TypedDict, cast

from jupyterhub.auth import Authenticator
from tornado.httpclient import HTTPClientError
from traitlets import Dict, List, Set, Unicode

from .homes import account_in
from .signin_errors import (
    AnotherAccountError,
    BlockedError,
    NotAllowedError,
    RenamedError,
    SignInOutageError,
    SignInRefusedError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

__all__ = [
    "GRACE_SECONDS",
    "AuthModel",
    "LabSignIn",
    "SignedInUser",
]

GRACE_SECONDS = 3600
"""How long somebody who is signed in stays so while whoever knows them does not answer. An hour bridges a restart of a
directory; a right taken away during the outage lives that long at most."""
SHARED_SECONDS = 5.0
"""How long a refresh's outcome serves other requests of the same user. One page asks for several things at once, and a
provider that renews refresh tokens takes a second use of one for a theft (RFC 9700, 4.14.2)."""
CHECKED_KEY = "lab_checked"
"""Key in ``auth_state`` of when the account was last confirmed, in seconds since 1970."""
SERVER_ERRORS = 500
"""Status from which on a provider says that the fault is its own (RFC 9110, 15.6)."""


class AuthModel(TypedDict):
    """What an authenticator tells the hub of a user."""

    name: str
    admin: NotRequired[bool | None]
    groups: NotRequired[list[str]]
    auth_state: NotRequired[dict[str, object] | None]


class SignedInUser(Protocol):
    """What is used of a user of the hub."""

    name: str

    async def get_auth_state(self) -> dict[str, object] | None:
        """Return what the authenticator has kept, or None."""
        ...


class _Users(Protocol):
    """What is used of a request's handler."""

    def find_user(self, name: str) -> SignedInUser | None:
        """Return the user of that name, or None."""
        ...


class LabSignIn(Authenticator):
    """Sign-in that is asked again; comes before a stock class among the bases."""

    contact = Unicode(config=True, help="Whom a refused person is to ask.")
    open_to = Unicode("people whom the lab has named", config=True, help="Who may enter, for a refused person.")
    account_claims = List(Unicode(), config=True, help="Where auth_state has the account's identifier.")
    members = Dict(config=True, help="Users of each group, where the stack file says who is in which.")
    admin_groups = Set(Unicode(), config=True, help="Groups whose members administer the hub.")
    own_users = Set(Unicode(), config=True, help="The hub's own users, such as the health check's: nobody signs in.")

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self._underway: dict[str, asyncio.Task[bool | AuthModel]] = {}
        self._recent: dict[str, tuple[float, AuthModel]] = {}

    async def authenticate(self, handler: object, data: Mapping[str, str] | None = None, **more: object) -> object:
        """Return who signs in, with what the hub keeps of them, or None if they are not known.

        Raises
        ------
        SignInRefusedError
            If their user name is another account's here, or they may not enter.
        SignInOutageError
            If nobody could be asked.
        """
        model = await self._known(handler, data, **more)
        if model is None:
            return None
        name = model["name"] = self.normalize_username(model["name"])
        if name in self.own_users:
            raise BlockedError(name, self.contact)
        self._recent.pop(name, None)
        user = cast("_Users", handler).find_user(name) if handler is not None else None
        before = None if user is None else await user.get_auth_state()
        self._same_account(name, before, model)
        return self._settled(before, model)

    async def check_allowed(self, username: str, authentication: AuthModel | None = None) -> bool:
        """Return whether somebody who is known may enter.

        Raises
        ------
        NotAllowedError
            If they may not.
        """
        model: AuthModel = authentication or {"name": username}
        if self.allow_all or model.get("admin") or await self._is_allowed(username, authentication):
            return True
        raise NotAllowedError(username, self.open_to, model.get("groups"), self.contact)

    async def refresh_user(self, user: SignedInUser, handler: object = None, **_more: object) -> bool | AuthModel:
        """Return what is known now of somebody who is signed in; False sends them to sign in again.

        Requests of one user that come at once share one answer.

        Raises
        ------
        SignInRefusedError
            If they may not stay and ask for something of their own, such as a server: they read why. Else they are
            sent to sign in, where they read it.
        """
        if user.name in self.own_users:
            return True
        recent = self._recent.get(user.name)
        if recent is not None and time.monotonic() - recent[0] < SHARED_SECONDS:
            return _copy(recent[1])
        task = self._underway.get(user.name)
        if task is None:
            task = asyncio.ensure_future(self._refresh(user, handler))
            self._underway[user.name] = task
            task.add_done_callback(lambda _: self._underway.pop(user.name, None))
        # Shielded: a browser that goes away must not end the others' answer.
        try:
            found = await asyncio.shield(task)
        except SignInRefusedError as refused:
            self.log.warning("%s is signed out: %s", user.name, refused.logged)
            if _is_past_sign_in(handler):
                raise
            return False
        return found if isinstance(found, bool) else _copy(found)

    def declared_groups(self, name: str) -> list[str]:
        """Return the groups that the stack file has a user in, sorted."""
        declared = cast("Mapping[str, Sequence[str]]", self.members)
        return sorted(group for group, users in declared.items() if name in users)

    async def _known(self, _handler: object, data: Mapping[str, str] | None, **more: object) -> AuthModel | None:
        """Return who signs in by the stock class's own account."""
        stock = cast("Callable[..., Awaitable[AuthModel | None]]", super().authenticate)
        return await stock(_handler, data, **more)

    async def _known_still(self, user: SignedInUser, _handler: object) -> bool | AuthModel:
        """Return what the stock class knows of a signed-in user now."""
        stock = cast("Callable[..., Awaitable[bool | AuthModel]]", super().refresh_user)
        return await stock(user, _handler)

    async def _is_allowed(self, username: str, authentication: AuthModel | None) -> bool:
        """Return whether the stock class lets somebody in."""
        verdict = cast("Callable[..., bool | Awaitable[bool]]", super().check_allowed)(username, authentication)
        return verdict if isinstance(verdict, bool) else bool(await verdict)

    async def _refresh(self, user: SignedInUser, handler: object) -> bool | AuthModel:
        before = await user.get_auth_state()
        try:
            model = await self._known_still(user, handler)
        except (OSError, SignInOutageError) as outage:
            return self._stays_for_now(user.name, before, outage)
        except HTTPClientError as outage:
            if outage.code < SERVER_ERRORS:
                raise
            return self._stays_for_now(user.name, before, outage)
        if isinstance(model, bool):
            return model
        now_called = self.normalize_username(model["name"])
        if now_called != user.name:
            raise RenamedError(user.name, now_called)
        self._same_account(user.name, before, model)
        model = self._settled(before, model)
        blocked = cast("Callable[..., bool | Awaitable[bool]]", self.check_blocked_users)(user.name, model)
        if not (blocked if isinstance(blocked, bool) else await blocked):
            raise BlockedError(user.name, self.contact)
        await self.check_allowed(user.name, model)
        self._recent[user.name] = (time.monotonic(), _copy(model))
        return model

    def _stays_for_now(self, name: str, before: Mapping[str, object] | None, outage: Exception) -> bool:
        """Return whether somebody stays signed in although nobody can be asked about them."""
        checked = (before or {}).get(CHECKED_KEY)
        age = time.time() - checked if isinstance(checked, int | float) else GRACE_SECONDS + 1
        stays = age <= GRACE_SECONDS
        what = "stays signed in" if stays else "has to sign in again"
        self.log.warning("%s was last confirmed %d s ago and %s: %s", name, age, what, outage)
        return stays

    def _settled(self, before: Mapping[str, object] | None, model: AuthModel) -> AuthModel:
        """Complete what is kept of a user: whether they administer, when they were asked for, how to ask again."""
        groups = set(model.get("groups") or ())
        # Said each time, yes or no: unsaid, the hub keeps whoever was an administrator once.
        model["admin"] = model["name"] in self.admin_users or bool(groups & set(self.admin_groups))
        if (state := model.get("auth_state")) is not None:
            state[CHECKED_KEY] = time.time()
            if "refresh_token" in state and not state["refresh_token"] and (before or {}).get("refresh_token"):
                # Google gives one only at the first consent. It is this account's: `_same_account` has seen to that.
                state["refresh_token"] = (before or {})["refresh_token"]
        return model

    def _same_account(self, name: str, before: Mapping[str, object] | None, model: AuthModel) -> None:
        known, now = account_in(before, self.account_claims), account_in(model.get("auth_state"), self.account_claims)
        if known is not None and known != now:
            raise AnotherAccountError(name, now, known, self.contact)


def _is_past_sign_in(handler: object) -> bool:
    """Return whether a request's user is known already, so that this is about what they ask for."""
    try:
        return getattr(handler, "current_user", None) is not None
    except RuntimeError:
        # JupyterHub's own, while it is still finding out.
        return False


def _copy(model: AuthModel) -> AuthModel:
    """Return a copy the hub may write to: it does (`BaseHandler.refresh_auth`)."""
    return cast("AuthModel", {**model})
