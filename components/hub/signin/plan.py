"""Sign-in of the hub as its configuration classes take it; secrets come by environment, never in here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never
from urllib.parse import urlsplit

from components.hub.parts import HubPart

from .config import (
    Auth0Authentication,
    DummyAuthentication,
    GitHubAuthentication,
    GoogleAuthentication,
    LdapAuthentication,
    NativeAuthentication,
    OidcAuthentication,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.hub.config import HubConfig
    from components.hub.facts import HubFacts
    from components.hub.identity.directory_config import DirectoryConfig
    from components.model import Value
    from components.secrets import SecretRef

    from .config import Authentication, OAuthAuthentication

__all__ = [
    "AccountKey",
    "SignInSecret",
    "account_key",
    "authenticator_config",
    "provider_ports",
    "sign_in_secret",
    "signin_part",
]

HTTPS_PORT = 443
"""Port of an https address that names none (RFC 9110, 4.2.2)."""
FAILED_SIGN_INS = 10
"""Wrong passwords in a row before a native account has to wait. Ten let people mistype."""
PAUSE_SECONDS = 600
"""How long it waits then, after each further one: 144 guesses a day (NativeAuthenticator's default)."""


@dataclass(frozen=True, kw_only=True)
class AccountKey:
    """Where an account's unchanging identifier stands in the authenticator's ``auth_state``."""

    issuer: str
    user_info: str
    claims: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SignInSecret:
    """The one secret a kind of sign-in takes, on its way from the stack's configuration to the hub's process."""

    reference: SecretRef
    """Configuration key of the stack that holds it."""
    path: str
    """Where the stack file names that key, for messages."""
    key: str
    """Its key in the Secret of the hub's namespace."""
    variable: str
    """Environment variable the hub's class reads it from."""


def sign_in_secret(authentication: Authentication) -> SignInSecret | None:
    """Return the secret that signing in takes, or None where it takes none.

    Every OAuthenticator falls back to ``OAUTH_CLIENT_SECRET`` (oauthenticator 17, ``oauth2.py``); the other two
    variables are those of ``files/lab_hub``.
    """
    match authentication:
        case LdapAuthentication():
            if (reference := authentication.directory.bind_password) is None:
                return None
            path = "hub.authentication.directory.bindPassword"
            return SignInSecret(reference=reference, path=path, key="bind-password", variable="LAB_BIND_PASSWORD")
        case NativeAuthentication():
            return SignInSecret(
                reference=authentication.admin_password,
                path="hub.authentication.adminPassword",
                key="admin-password",
                variable="LAB_ADMIN_PASSWORD",
            )
        case DummyAuthentication():
            return None
        case _:
            return SignInSecret(
                reference=authentication.client_secret,
                path="hub.authentication.clientSecret",
                key="client-secret",
                variable="OAUTH_CLIENT_SECRET",
            )


def account_key(authentication: Authentication) -> AccountKey | None:  # noqa: PLR0911 - one line for each kind
    """Return where the account's identifier is found, or None where there are no accounts.

    Keys are the ``user_auth_state_key`` of the authenticator's class (oauthenticator 17; ours for ``ldap`` and
    ``native``) and the identifier of its provider: GitHub's numeric ``id``, Google's ``id`` (``sub`` of the ID token),
    OpenID Connect's ``sub``, the directory's attribute, the identifier drawn when a native account was made.
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
        case LdapAuthentication():
            # Not its server's name nor a base, either of which a lab may change: homes would change with them.
            return AccountKey(issuer="ldap", user_info="ldap_user", claims=("account",))
        case NativeAuthentication():
            return AccountKey(issuer="native", user_info="native_user", claims=("account",))
        case DummyAuthentication():
            return None
        case _:
            assert_never(authentication)


def authenticator_config(
    authentication: Authentication, hostname: str, contact: str = ""
) -> Mapping[str, Mapping[str, Value]]:
    """Return the sections of ``hub.config`` that sign people in.

    The classes are those of ``files/lab_hub``, each a stock one with what `lab_hub.signin.LabSignIn` adds.

    Parameters
    ----------
    authentication
        Who may sign in, and how.
    hostname
        Public DNS name of the hub, which the provider sends people back to.
    contact
        Whom a refused person is to ask.
    """
    ours: dict[str, Value] = {
        "contact": contact,
        "open_to": _open_to(authentication),
        "account_claims": _account_claims(authentication),
    }
    match authentication:
        case DummyAuthentication():
            settings: dict[str, Value] = {"allow_all": True, "admin_users": list(authentication.admins)}
            ours["members"] = _members(authentication.groups)
            return _sections("signin_local.LabDummy", ours, "DummyAuthenticator", settings)
        case LdapAuthentication():
            settings = _allowed(authentication) | _directory(authentication)
            return _sections("signin_ldap.LabLdap", ours | _refresh(authentication), "LabLdap", settings)
        case NativeAuthentication():
            ours |= _refresh(authentication) | {"members": _members(authentication.groups)}
            return _sections("signin_native.LabNative", ours, "NativeAuthenticator", _native(authentication))
        case _:
            ours |= _refresh(authentication)
            if isinstance(authentication, GoogleAuthentication):
                ours["members"] = _members(authentication.groups)
            return _oauth_sections(authentication, hostname, ours)


def signin_part(config: HubConfig, facts: HubFacts) -> HubPart:
    """Return what signs people in: the authenticator and, by environment, its secret.

    Parameters
    ----------
    config
        Hub section; checked.
    facts
        What is around the hub.
    """
    sections = authenticator_config(config.authentication, facts.hostname or "localhost", facts.contact)
    secret = sign_in_secret(config.authentication)
    if facts.client_secret is None or secret is None:
        return HubPart(sections=sections)
    reference: Value = {"name": facts.client_secret, "key": secret.key}
    environment: dict[str, Value] = {secret.variable: {"valueFrom": {"secretKeyRef": reference}}}
    return HubPart(sections=sections, environment=environment)


def provider_ports(authentication: Authentication) -> tuple[int, ...]:
    """Return the TCP ports at which the hub itself asks who people are, in order; browsers go on their own."""
    match authentication:
        case OidcAuthentication():
            addresses = (authentication.token_url, authentication.userinfo_url)
            return tuple(sorted({urlsplit(address).port or HTTPS_PORT for address in addresses}))
        case LdapAuthentication():
            return (authentication.directory.tcp_port,)
        case NativeAuthentication() | DummyAuthentication():
            return ()
        case _:
            return (HTTPS_PORT,)


def _sections(
    class_path: str, ours: Mapping[str, Value], section: str, settings: Mapping[str, Value]
) -> Mapping[str, Mapping[str, Value]]:
    kind: dict[str, Value] = {"authenticator_class": f"lab_hub.{class_path}"}
    return {"JupyterHub": kind, "LabSignIn": ours, section: settings}


def _open_to(authentication: Authentication) -> str:
    """Return who may enter, as a refused person reads it; never anybody's name."""
    groups: tuple[str, ...] = ()
    match authentication:
        case Auth0Authentication() | OidcAuthentication() | LdapAuthentication():
            groups = (*authentication.groups, *authentication.admin_groups)
        case GitHubAuthentication():
            groups = authentication.organizations
        case GoogleAuthentication():
            groups = authentication.hosted_domains
        case _:
            pass
    return f"members of {', '.join(dict.fromkeys(groups))}" if groups else "people whom the lab has named"


def _account_claims(authentication: Authentication) -> list[Value]:
    """Return the way to the account's identifier in ``auth_state``: its key, then the identifier's names."""
    key = account_key(authentication)
    return [] if key is None else [key.user_info, *key.claims]


def _members(groups: Mapping[str, tuple[str, ...]]) -> dict[str, Value]:
    return {name: list(users) for name, users in groups.items()}


def _refresh(authentication: OAuthAuthentication | LdapAuthentication | NativeAuthentication) -> dict[str, Value]:
    return {
        "auth_refresh_age": authentication.refresh_every.seconds,
        # Whoever lost a right a minute ago starts nothing any more.
        "refresh_pre_spawn": True,
    }


def _allowed(authentication: OAuthAuthentication | LdapAuthentication) -> dict[str, Value]:
    return {
        "allow_all": authentication.everyone,
        "allowed_users": list(authentication.users),
        "admin_users": list(authentication.admins),
        # Else whoever is in the hub's database goes on being admitted, and striking a user from a list does nothing.
        "allow_existing_users": False,
        # The account's identifier is kept here, sealed by CryptKeeper's key.
        "enable_auth_state": True,
    }


def _oauth_sections(
    authentication: OAuthAuthentication, hostname: str, ours: Mapping[str, Value]
) -> Mapping[str, Mapping[str, Value]]:
    common: dict[str, Value] = {
        "client_id": authentication.client_id,
        "oauth_callback_url": f"https://{hostname}/hub/oauth_callback",
        **_allowed(authentication),
        # Proof Key for Code Exchange: a code caught on its way is of no use (RFC 7636).
        "enable_pkce": True,
    }
    match authentication:
        case GitHubAuthentication():
            own = _github(authentication)
            return _sections("signin_oauth.LabGitHub", ours, "GitHubOAuthenticator", common | own)
        case GoogleAuthentication():
            own = {
                "hosted_domain": list(authentication.hosted_domains),
                "manage_groups": True,
                # The token of an hour is renewed by a second one, given at the first consent alone.
                "extra_authorize_params": {"access_type": "offline"},
            }
            return _sections("signin_oauth.LabGoogle", ours, "GoogleOAuthenticator", common | own)
        case Auth0Authentication():
            # Without a token to renew it by, the access token's end is the end of the session.
            scope: list[Value] = ["openid", "profile", "email", "offline_access"]
            own = {"auth0_domain": authentication.domain, "scope": scope} | _groups(authentication, "auth0_user")
            return _sections("signin_oauth.LabAuth0", ours, "Auth0OAuthenticator", common | own)
        case OidcAuthentication():
            own = _oidc(authentication) | _groups(authentication, "oauth_user")
            sections = _sections("signin_oauth.LabOidc", ours, "GenericOAuthenticator", common | own)
            if authentication.authority is None:
                return sections
            return {**sections, "LabOidc": {"provider_authority": authentication.authority}}
        case _:
            assert_never(authentication)


def _github(authentication: GitHubAuthentication) -> dict[str, Value]:
    if not authentication.organizations:
        return {"allowed_organizations": [], "scope": []}
    return {
        "allowed_organizations": list(authentication.organizations),
        # Membership of a private organization, and teams, are told only with this scope.
        "scope": ["read:org"],
        # Teams become the groups by which profiles are offered.
        "populate_teams_in_auth_state": True,
        "manage_groups": True,
    }


def _oidc(authentication: OidcAuthentication) -> dict[str, Value]:
    scope: list[Value] = ["openid", "profile", "email"]
    settings: dict[str, Value] = {
        "authorize_url": authentication.authorize_url,
        "token_url": authentication.token_url,
        "userdata_url": authentication.userinfo_url,
        "username_claim": authentication.username_claim,
        "login_service": authentication.login_service,
        "scope": scope,
    }
    if authentication.offline_access:
        scope.append("offline_access")
        # Else the scope is ignored (OpenID Connect Core 1.0, 11).
        settings["extra_authorize_params"] = {"prompt": "consent"}
    return settings


def _groups(authentication: Auth0Authentication | OidcAuthentication, user_info: str) -> dict[str, Value]:
    if authentication.groups_claim is None:
        return {}
    return {
        "manage_groups": True,
        "auth_state_groups_key": f"{user_info}.{authentication.groups_claim}",
        "allowed_groups": list(authentication.groups),
        "admin_groups": list(authentication.admin_groups),
    }


def _directory(authentication: LdapAuthentication) -> dict[str, Value]:
    directory = authentication.directory
    return {
        "manage_groups": True,
        "allowed_groups": list(authentication.groups),
        "admin_groups": list(authentication.admin_groups),
        "directory": _directory_settings(directory, authentication.account),
    }


def _directory_settings(directory: DirectoryConfig, account: str) -> dict[str, Value]:
    """Return the `DirectorySettings` of ``files/lab_hub/directory.py``; the password is not among them."""
    settings: dict[str, Value] = {
        "server": directory.server,
        "port": directory.tcp_port,
        "tls": str(directory.tls),
        "authority": directory.authority,
        "bindDn": directory.bind_dn,
        "users": {
            "base": directory.users.base,
            "filter": directory.users.filter,
            "name": directory.users.name,
            "account": account,
        },
        "groups": None,
    }
    if (groups := directory.groups) is not None:
        settings["groups"] = {
            "base": groups.base,
            "filter": groups.filter,
            "name": groups.name,
            "member": groups.member,
            "membersBy": str(groups.members_by),
        }
    return settings


def _native(authentication: NativeAuthentication) -> dict[str, Value]:
    return {
        # An admin's approval is the permission (``/hub/authorize``).
        "allow_all": True,
        "admin_users": list(authentication.admins),
        "enable_auth_state": True,
        "manage_groups": True,
        "enable_signup": authentication.sign_up,
        "open_signup": False,
        "minimum_password_length": authentication.password_length,
        "check_common_password": True,
        "allowed_failed_logins": FAILED_SIGN_INS,
        "seconds_before_next_try": PAUSE_SECONDS,
    }
