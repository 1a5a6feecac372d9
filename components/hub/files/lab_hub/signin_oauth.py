"""Sign-in at a provider: oauthenticator's classes, asked again and clear about what went wrong."""

# JupyterHub and its authenticators have no types, and their classes' methods differ between each other.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportIncompatibleMethodOverride=false, reportUnknownParameterType=false

from __future__ import annotations

import json
import tempfile
import time
from typing import TYPE_CHECKING, Protocol, cast

from oauthenticator.auth0 import Auth0OAuthenticator
from oauthenticator.generic import GenericOAuthenticator
from oauthenticator.github import GitHubOAuthenticator
from oauthenticator.google import GoogleOAuthenticator
from tornado.httpclient import HTTPClientError
from tornado.web import HTTPError
from traitlets import Unicode

from .access_token import is_good, stamped
from .signin import SERVER_ERRORS, LabSignIn
from .signin_errors import ClientRefusedError, ProviderOutageError, ProviderRefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tornado.httpclient import HTTPResponse

    from .signin import AuthModel, SignedInUser

__all__ = ["LabAuth0", "LabGitHub", "LabGoogle", "LabOAuth", "LabOidc", "oauth_error"]

OWN_FAULTS = frozenset({"invalid_client", "unauthorized_client", "incorrect_client_credentials"})
"""What a provider answers when it does not accept the hub itself (RFC 6749, 5.2; GitHub's own word for it)."""


class _Stock(Protocol):
    """What is used of oauthenticator's ``OAuthenticator``, which comes after `LabOAuth` among the bases."""

    async def get_token_info(self, handler: object, params: Mapping[str, str]) -> dict[str, object]: ...


def oauth_error(response: HTTPResponse | None) -> str:
    """Return the ``error`` of a provider's answer (RFC 6749, 5.2), or nothing where it has none."""
    try:
        answer: object = json.loads(response.body) if response is not None else None
    except ValueError:
        return ""
    return str(cast("Mapping[str, object]", answer).get("error", "")) if isinstance(answer, dict) else ""


class LabOAuth(LabSignIn):
    """What all providers have in common."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self._to_renew: dict[str, Mapping[str, object]] = {}

    async def renewed(self, user: SignedInUser, handler: object) -> bool | AuthModel:
        """Return what is known now of somebody who is signed in, with an access token that lasts for a while.

        False sends them to sign in again; True says that nobody could be asked. Without a refresh token the access
        token stays the one of the sign-in. Requests that come at once share one answer, and one use of a refresh token.

        Raises
        ------
        SignInRefusedError
            If they may not stay.
        """
        model = await self.refresh_user(user, handler)
        if isinstance(model, bool) or is_good(model.get("auth_state"), time.time()):
            return model
        # What was kept last, not what the database has: the answer that is to be written there may be on its way, and
        # a refresh token must not be used twice. From here to the new question nothing else of this user begins.
        kept = self._recent.get(user.name)
        state = None if kept is None else kept[1].get("auth_state")
        if state is not None and user.name not in self._underway and not is_good(state, time.time()):
            self._recent.pop(user.name)
            self._to_renew[user.name] = state
        try:
            return await self.refresh_user(user, handler)
        finally:
            # Whatever came between: never used later, when it may have been used up.
            self._to_renew.pop(user.name, None)

    async def get_token_info(self, handler: object, params: Mapping[str, str]) -> dict[str, object]:
        """Return the provider's answer with when its access token ends."""
        stock = cast("_Stock", super())
        return stamped(await stock.get_token_info(handler, params), time.time())

    async def _known_still(self, user: SignedInUser, _handler: object) -> bool | AuthModel:
        state = self._to_renew.pop(user.name, None)
        refresh = None if state is None else state.get("refresh_token")
        if not refresh:
            return await super()._known_still(user, _handler)
        ask = self.build_refresh_token_request_params(refresh)
        try:
            answer = await self.get_token_info(_handler, ask)
        except HTTPClientError as failure:
            if failure.code >= SERVER_ERRORS:
                raise
            self.log.info("%s has to sign in again: no new access token: %s", user.name, failure)
            return False
        except HTTPError as failure:
            self.log.info("%s has to sign in again: no new access token: %s", user.name, failure)
            return False
        # A provider that does not change it does not repeat it (RFC 6749, 6).
        answer["refresh_token"] = answer.get("refresh_token") or refresh
        return await self._token_to_auth_model(answer)

    if TYPE_CHECKING:
        # The stock class's, which comes after this one among the bases.
        def build_refresh_token_request_params(self, refresh_token: object) -> Mapping[str, str]:
            """Return what asks the provider for a new access token (RFC 6749, 6)."""
            ...

        async def _token_to_auth_model(self, token_info: Mapping[str, object]) -> AuthModel: ...

    async def _known(self, _handler: object, data: Mapping[str, str] | None, **more: object) -> AuthModel | None:
        try:
            return await super()._known(_handler, data, **more)
        except HTTPClientError as failure:
            error = oauth_error(failure.response)
            if error in OWN_FAULTS:
                raise ClientRefusedError(error, self.contact) from failure
            if failure.code >= SERVER_ERRORS:
                raise ProviderOutageError(failure, self.contact) from failure
            raise ProviderRefusalError(failure.code, error, self.contact) from failure
        except OSError as failure:
            raise ProviderOutageError(failure, self.contact) from failure


class LabGitHub(LabOAuth, GitHubOAuthenticator):
    """GitHub; groups are ``organization`` and ``organization:team``, in lower case."""

    async def update_auth_model(self, auth_model: AuthModel) -> AuthModel:
        """Add the user's organizations, as far as the stack file names them or a team of theirs."""
        model = cast("AuthModel", await super().update_auth_model(auth_model))
        state = model.get("auth_state")
        if self.manage_groups and state is not None:
            token = cast("Mapping[str, str]", state["token_response"])
            found = await self._paginated_fetch(
                f"{self.github_api}/user/orgs?per_page=100", token["access_token"], token["token_type"]
            )
            state["organizations"] = [str(each["login"]) for each in cast("list[Mapping[str, object]]", found)]
        return model

    async def get_user_groups(self, auth_state: Mapping[str, object]) -> set[str]:
        """Return organizations and teams of the organizations that the stack file names."""
        named = {str(each).partition(":")[0].lower() for each in self.allowed_organizations}
        organizations = {name.lower() for name in cast("list[str]", auth_state.get("organizations", []))} & named
        teams: set[str] = set()
        for team in cast("list[Mapping[str, object]]", auth_state.get("teams", [])):
            owner = str(cast("Mapping[str, object]", team["organization"])["login"]).lower()
            if owner in named:
                teams.add(f"{owner}:{team['slug']}")
        return organizations | teams


class LabGoogle(LabOAuth, GoogleOAuthenticator):
    """Google; groups are those of the stack file."""

    async def get_user_groups(self, auth_state: Mapping[str, object]) -> set[str]:
        """Return the groups that the stack file has the user in."""
        answer = cast("dict[str, object]", auth_state[self.user_auth_state_key])
        return set(self.declared_groups(self.normalize_username(self.user_info_to_username(answer))))


class LabAuth0(LabOAuth, Auth0OAuthenticator):
    """Auth0."""


class LabOidc(LabOAuth, GenericOAuthenticator):
    """Any OpenID Connect provider."""

    provider_authority = Unicode(config=True, help="Certificates, as PEM, of who signed the provider's.")

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        if self.provider_authority:
            # libcurl wants a file; nothing in it is secret.
            with tempfile.NamedTemporaryFile("w", prefix="authority-", suffix=".pem", delete=False) as file:
                file.write(self.provider_authority)
            said = cast("Mapping[str, object]", self.http_request_kwargs)
            self.http_request_kwargs = {**said, "ca_certs": file.name}
