"""Sign-in of the hub as its configuration classes take it; the client secret comes by environment, never in here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never
from urllib.parse import urlsplit

from .authentication import (
    Auth0Authentication,
    DummyAuthentication,
    GitHubAuthentication,
    GoogleAuthentication,
    OidcAuthentication,
)
from .parts import HubPart

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.model import Value

    from .authentication import Authentication
    from .config import HubConfig
    from .facts import HubFacts

__all__ = [
    "CLIENT_SECRET_KEY",
    "CLIENT_SECRET_VARIABLE",
    "AccountKey",
    "account_key",
    "authenticator_config",
    "provider_ports",
    "signin_part",
]

CLIENT_SECRET_KEY = "client-secret"  # noqa: S105 - the key's name
"""Key of the provider's client secret in its Secret."""

CLIENT_SECRET_VARIABLE = "OAUTH_CLIENT_SECRET"  # noqa: S105 - the variable's name
"""Environment variable every OAuthenticator falls back to for its client secret (oauthenticator 17, ``oauth2.py``)."""


HTTPS_PORT = 443
"""Port of an https address that names none (RFC 9110, 4.2.2)."""


@dataclass(frozen=True, kw_only=True)
class AccountKey:
    """Where a provider's unchanging identifier of an account stands in the authenticator's ``auth_state``."""

    issuer: str
    user_info: str
    claims: tuple[str, ...]


def account_key(authentication: Authentication) -> AccountKey | None:
    """Return where the account's identifier is found, or None where there are no accounts.

    Keys are the ``user_auth_state_key`` of the authenticator's class (oauthenticator 17) and the identifier of its
    provider: GitHub's numeric ``id``, Google's ``id`` (``sub`` of the ID token), OpenID Connect's ``sub``.
    """
    match authentication:
        case GitHubAuthentication():
            return AccountKey(issuer="github.com", user_info="github_user", claims=("id",))
        case GoogleAuthentication():
            return AccountKey(issuer="accounts.google.com", user_info="google_user", claims=("sub", "id"))
        case Auth0Authentication():
            return AccountKey(issuer=authentication.domain, user_info="auth0_user", claims=("sub",))
        case OidcAuthentication():
            host = authentication.userinfo_url.removeprefix("https://").partition("/")[0]
            return AccountKey(issuer=host, user_info="oauth_user", claims=("sub",))
        case DummyAuthentication():
            return None
        case _:
            assert_never(authentication)


def authenticator_config(authentication: Authentication, hostname: str) -> Mapping[str, Mapping[str, Value]]:
    """Return the sections of ``hub.config`` that sign people in.

    Parameters
    ----------
    authentication
        Who may sign in, and how.
    hostname
        Public DNS name of the hub, which the provider sends people back to.
    """
    if isinstance(authentication, DummyAuthentication):
        return {
            "JupyterHub": {"authenticator_class": "dummy"},
            "DummyAuthenticator": {"allow_all": True, "admin_users": list(authentication.admins)},
        }
    common: dict[str, Value] = {
        "client_id": authentication.client_id,
        "oauth_callback_url": f"https://{hostname}/hub/oauth_callback",
        "allow_all": authentication.everyone,
        "allowed_users": list(authentication.users),
        "admin_users": list(authentication.admins),
        # Else whoever is in the hub's database goes on being admitted, and striking a user from a list does nothing.
        "allow_existing_users": False,
        # The account's identifier is kept here, sealed by CryptKeeper's key.
        "enable_auth_state": True,
        # Proof Key for Code Exchange: a code caught on its way is of no use (RFC 7636).
        "enable_pkce": True,
    }
    match authentication:
        case GitHubAuthentication():
            return _sections("github", "GitHubOAuthenticator", common | _github(authentication))
        case GoogleAuthentication():
            hosted: dict[str, Value] = {"hosted_domain": list(authentication.hosted_domains)}
            return _sections("google", "GoogleOAuthenticator", common | hosted)
        case Auth0Authentication():
            own: dict[str, Value] = {"auth0_domain": authentication.domain, "scope": ["openid", "profile", "email"]}
            return _sections("auth0", "Auth0OAuthenticator", common | own | _groups(authentication, "auth0_user"))
        case OidcAuthentication():
            own = _oidc(authentication) | _groups(authentication, "oauth_user")
            return _sections("generic-oauth", "GenericOAuthenticator", common | own)
        case _:
            assert_never(authentication)


def signin_part(config: HubConfig, facts: HubFacts) -> HubPart:
    """Return what signs people in: the authenticator and, by environment, its secret.

    Parameters
    ----------
    config
        Hub section; checked.
    facts
        What is around the hub.
    """
    sections = authenticator_config(config.authentication, facts.hostname or "localhost")
    if facts.client_secret is None:
        return HubPart(sections=sections)
    reference: Value = {"name": facts.client_secret, "key": CLIENT_SECRET_KEY}
    return HubPart(sections=sections, environment={CLIENT_SECRET_VARIABLE: {"valueFrom": {"secretKeyRef": reference}}})


def provider_ports(authentication: Authentication) -> tuple[int, ...]:
    """Return the TCP ports at which the hub itself calls the identity provider, in order; browsers go on their own."""
    if isinstance(authentication, OidcAuthentication):
        addresses = (authentication.token_url, authentication.userinfo_url)
        return tuple(sorted({urlsplit(address).port or HTTPS_PORT for address in addresses}))
    return (HTTPS_PORT,)


def _sections(kind: str, section: str, settings: Mapping[str, Value]) -> Mapping[str, Mapping[str, Value]]:
    return {"JupyterHub": {"authenticator_class": kind}, section: settings}


def _github(authentication: GitHubAuthentication) -> dict[str, Value]:
    # Membership of a private organization is told only with this scope.
    scope: list[str] = ["read:org"] if authentication.organizations else []
    return {"allowed_organizations": list(authentication.organizations), "scope": scope}


def _oidc(authentication: OidcAuthentication) -> dict[str, Value]:
    return {
        "authorize_url": authentication.authorize_url,
        "token_url": authentication.token_url,
        "userdata_url": authentication.userinfo_url,
        "username_claim": authentication.username_claim,
        "login_service": authentication.login_service,
        "scope": ["openid", "profile", "email"],
    }


def _groups(authentication: Auth0Authentication | OidcAuthentication, user_info: str) -> dict[str, Value]:
    if authentication.groups_claim is None:
        return {}
    return {
        "manage_groups": True,
        "auth_state_groups_key": f"{user_info}.{authentication.groups_claim}",
        "allowed_groups": list(authentication.groups),
    }
