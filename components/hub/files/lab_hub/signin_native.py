"""Accounts of the hub's own (NativeAuthenticator), tied to a person rather than to a name.

A name in NativeAuthenticator is nobody's once its account is discarded, and the next to ask for it gets it; its row
number is given out again just so. Here an account is known by an identifier that is drawn when it is made and is
deleted with it: the hash of the random text that NativeAuthenticator draws for every account (``otp_secret``). It moves
with a restored database, and outlives changes of the password. A home belongs to it, so a freed name comes with an
empty home, and the former one stays nobody's until an administrator decides.
"""

# JupyterHub and its authenticators have no types, and their classes' methods differ between each other.
# pyright: reportIncompatibleVariableOverride=false, reportOptionalMemberAccess=false, reportArgumentType=false
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportIncompatibleMethodOverride=false, reportUnknownParameterType=false

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import TYPE_CHECKING, cast

import bcrypt
from jupyterhub.handlers import BaseHandler
from nativeauthenticator import NativeAuthenticator
from nativeauthenticator.handlers import (
    AuthorizationAreaHandler,
    DiscardHandler,
    LoginHandler,
    ToggleAuthorizationHandler,
    admin_users_scope,
)
from nativeauthenticator.orm import UserInfo
from tornado.escape import url_escape
from tornado.httputil import url_concat
from tornado.web import HTTPError

from .signin import LabSignIn
from .signin_errors import AccountGoneError, SignInRefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from .signin import AuthModel, SignedInUser

__all__ = [
    "PASSWORD_VARIABLE",
    "AccountsHandler",
    "ApprovalHandler",
    "DeletionHandler",
    "LabNative",
    "SignInHandler",
    "account_of_row",
]

PASSWORD_VARIABLE = "LAB_ADMIN_PASSWORD"  # noqa: S105 - the variable's name
"""Environment variable with the password that administrators' accounts are made with."""
MOST_PASSWORD_BYTES = 72
"""Bytes of a password that bcrypt looks at; beyond them it refuses (bcrypt 5.0)."""


def account_of_row(row: UserInfo) -> str:
    """Return the account's identifier: 128 bits that follow from what was drawn for it, and do not tell it."""
    return hashlib.sha256(b"lab-account\0" + str(row.otp_secret).encode()).hexdigest()[:32]


class ApprovalHandler(ToggleAuthorizationHandler):
    """Approves an account or takes the approval back; by a form with the hub's token alone, never by a link."""

    async def get(self, slug: str) -> None:
        """Refuse the stock page's links: one in a letter would approve its sender's account."""
        del slug
        raise HTTPError(405)

    @admin_users_scope
    async def post(self, slug: str) -> None:
        """Approve an account, or take the approval back."""
        if UserInfo.find(self.db, slug) is None:
            raise HTTPError(404)
        UserInfo.change_authorization(self.db, slug)
        self.redirect(f"{self.hub.base_url}authorize")


class DeletionHandler(DiscardHandler):
    """Deletes an account that is not approved; by a form alone, too."""

    async def get(self, user_name: str) -> None:
        """Refuse the stock page's links."""
        del user_name
        raise HTTPError(405)

    @admin_users_scope
    async def post(self, user_name: str) -> None:
        """Delete an account that is not approved, and the hub's user of its name."""
        row = UserInfo.find(self.db, user_name)
        if row is None or row.is_authorized:
            raise HTTPError(404)
        self.db.delete(row)
        self.db.commit()
        self.redirect(f"{self.hub.base_url}authorize")


class AccountsHandler(AuthorizationAreaHandler):
    """The page with all accounts."""

    @admin_users_scope
    async def get(self) -> None:
        """Show all accounts, those that wait first."""
        rows = sorted(self.db.query(UserInfo).all(), key=lambda row: (bool(row.is_authorized), str(row.username)))
        page = self.render_template("accounts.html", accounts=rows, xsrf=self.xsrf_token.decode("ascii"))
        self.finish(await page)


class SignInHandler(LoginHandler):
    """The sign-in page; the stock one fails where a name is refused, or a password is longer than is looked at."""

    def render_template(self, name: str, **values: object) -> object:
        """Return a page; an error gets JupyterHub's own, since the sign-in page cannot be made while handling one."""
        return BaseHandler.render_template(self, name, **values)

    def _render(self, login_error: str | None = None, username: str | None = None) -> Awaitable[str]:
        following = self.get_argument("next", default="")
        made = self.render_template(
            "native-login.html",
            next=url_escape(following),
            username=username,
            login_error=login_error,
            custom_html=self.authenticator.custom_html,
            login_url=self.settings["login_url"],
            enable_signup=self.authenticator.enable_signup,
            two_factor_auth=self.authenticator.allow_2fa,
            authenticator_login_url=url_concat(self.authenticator.login_url(self.hub.base_url), {"next": following}),
            xsrf=self.xsrf_token.decode("ascii"),
        )
        return cast("Awaitable[str]", made)

    async def post(self) -> None:
        """Sign somebody in, or show the page again with the reason."""
        given = {name: self.get_argument(name, strip=False) for name in self.request.arguments}
        why = "Name or password is wrong, or an administrator has not approved the account yet."
        try:
            user = await self.login_user(given)
        except SignInRefusedError as refused:
            self.log.warning("Refused: %s", refused.logged)
            user, why = None, refused.jupyterhub_message
        if user is not None:
            self._jupyterhub_user = user
            self.redirect(self.get_next_url(user))
            return
        self.set_status(403)
        self.finish(await self._render(login_error=why, username=given.get("username", "")))


class LabNative(LabSignIn, NativeAuthenticator):
    """Accounts of the hub's own."""

    manage_groups = True

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self._nobody = bcrypt.hashpw(b"nobody", bcrypt.gensalt())
        self._make_administrators(os.environ.get(PASSWORD_VARIABLE, ""))

    def get_authed_users(self) -> set[str]:
        """Return whose sign-up needs no approval: nobody's. The stock class takes whoever claims an admin's name."""
        return set()

    def is_password_strong(self, password: str) -> bool:
        """Return whether a password is long enough, not common, and no longer than is looked at."""
        return len(password.encode()) <= MOST_PASSWORD_BYTES and super().is_password_strong(password)

    def get_handlers(self, app: object) -> list[tuple[str, type]]:
        """Return the stock pages, with approval by form."""
        ours = {
            r"/login": SignInHandler,
            r"/authorize": AccountsHandler,
            r"/authorize/([^/]*)": ApprovalHandler,
            r"/discard/([^/]*)": DeletionHandler,
        }
        stock = cast("Sequence[tuple[str, type]]", super().get_handlers(app))
        return [(path, ours.get(path, handler)) for path, handler in stock]

    async def _known(self, _handler: object, data: Mapping[str, str] | None, **_more: object) -> AuthModel | None:
        given = data or {}
        name, password = self.normalize_username(given.get("username", "")), given.get("password", "")
        row = self.get_user(name)
        if self.is_blocked(name):
            self.log.warning("%s has to wait: too many wrong passwords", name)
            return None
        kept = self._nobody if row is None else cast("bytes", row.password)
        is_password = await asyncio.to_thread(_is_password, password, kept)
        if row is None or not is_password or not row.is_authorized:
            self.add_login_attempt(name)
            return None
        if row.has_2fa and not row.is_valid_token(given.get("2fa", "")):
            self.add_login_attempt(name)
            return None
        self.successful_login(name)
        return self._model(row)

    async def _known_still(self, user: SignedInUser, _handler: object) -> bool | AuthModel:
        row = self.get_user(user.name)
        if row is None or not row.is_authorized:
            raise AccountGoneError(user.name, self.contact)
        return self._model(row)

    def _model(self, row: UserInfo) -> AuthModel:
        name = str(row.username)
        state: dict[str, object] = {"native_user": {"account": account_of_row(row)}}
        return {"name": name, "groups": self.declared_groups(name), "auth_state": state}

    def _make_administrators(self, password: str) -> None:
        """Make the accounts of administrators who have none, each to change its password at first sign-in."""
        missing = [name for name in sorted(self.admin_users) if not self.user_exists(name)]
        if missing and not password:
            self.log.warning("no password to make the accounts of %s with", ", ".join(missing))
            return
        for name in missing:
            hashed = bcrypt.hashpw(password.encode()[:MOST_PASSWORD_BYTES], bcrypt.gensalt())
            self.db.add(UserInfo(username=self.normalize_username(name), password=hashed, is_authorized=True))
            self.log.info("made the account of the administrator %s", name)
        self.db.commit()


def _is_password(password: str, kept: bytes) -> bool:
    """Return whether a password is the one of a hash; 0.2 s of computing, on purpose."""
    given = password.encode()
    return len(given) <= MOST_PASSWORD_BYTES and bcrypt.checkpw(given, kept)
