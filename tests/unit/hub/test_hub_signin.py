"""Sign-in as the hub's configuration classes take it."""

from __future__ import annotations

import pytest
from hub_labs import hub

from components.hub.signin import AccountKey, account_key, authenticator_config

SECRET = {"secret": "oauthClientSecret"}
OAUTH = {"clientId": "public-id", "clientSecret": SECRET}
GITHUB = {"kind": "github", **OAUTH, "organizations": ["lab", "partners:guests"], "admins": ["boss"]}
GOOGLE = {"kind": "google", **OAUTH, "hostedDomains": ["lab.org"]}
OIDC = {
    "kind": "oidc",
    **OAUTH,
    "authorizeUrl": "https://sso.lab.org/authorize",
    "tokenUrl": "https://sso.lab.org/token",
    "userinfoUrl": "https://sso.lab.org/realms/lab/userinfo",
    "groupsClaim": "realm_access.roles",
    "groups": ["students"],
    "loginService": "Lab account",
}


def common(**more: object) -> dict[str, object]:
    return {
        "client_id": "public-id",
        "oauth_callback_url": "https://hub.lab.org/hub/oauth_callback",
        "allow_all": False,
        "allowed_users": [],
        "admin_users": [],
        "allow_existing_users": False,
        "enable_auth_state": True,
        "enable_pkce": True,
        **more,
    }


@pytest.mark.parametrize(
    ("authentication", "expected"),
    [
        (
            GITHUB,
            {
                "JupyterHub": {"authenticator_class": "github"},
                "GitHubOAuthenticator": common(
                    admin_users=["boss"], allowed_organizations=["lab", "partners:guests"], scope=["read:org"]
                ),
            },
        ),
        (
            GOOGLE,
            {
                "JupyterHub": {"authenticator_class": "google"},
                "GoogleOAuthenticator": common(hosted_domain=["lab.org"]),
            },
        ),
        (
            {"kind": "auth0", **OAUTH, "domain": "lab.eu.auth0.com", "users": ["a@lab.org"]},
            {
                "JupyterHub": {"authenticator_class": "auth0"},
                "Auth0OAuthenticator": common(
                    allowed_users=["a@lab.org"], auth0_domain="lab.eu.auth0.com", scope=["openid", "profile", "email"]
                ),
            },
        ),
        (
            OIDC,
            {
                "JupyterHub": {"authenticator_class": "generic-oauth"},
                "GenericOAuthenticator": common(
                    authorize_url="https://sso.lab.org/authorize",
                    token_url="https://sso.lab.org/token",
                    userdata_url="https://sso.lab.org/realms/lab/userinfo",
                    username_claim="preferred_username",
                    login_service="Lab account",
                    scope=["openid", "profile", "email"],
                    manage_groups=True,
                    auth_state_groups_key="oauth_user.realm_access.roles",
                    allowed_groups=["students"],
                ),
            },
        ),
        (
            {"kind": "dummy", "admins": ["boss"]},
            {
                "JupyterHub": {"authenticator_class": "dummy"},
                "DummyAuthenticator": {"allow_all": True, "admin_users": ["boss"]},
            },
        ),
    ],
)
def test_sections(authentication: object, expected: object) -> None:
    assert authenticator_config(hub(authentication=authentication).authentication, "hub.lab.org") == expected


@pytest.mark.parametrize(
    ("authentication", "expected"),
    [
        (GITHUB, AccountKey(issuer="github.com", user_info="github_user", claims=("id",))),
        (GOOGLE, AccountKey(issuer="accounts.google.com", user_info="google_user", claims=("sub", "id"))),
        (OIDC, AccountKey(issuer="sso.lab.org", user_info="oauth_user", claims=("sub",))),
        ({"kind": "dummy"}, None),
    ],
)
def test_where_the_account_is_known(authentication: object, expected: AccountKey | None) -> None:
    assert account_key(hub(authentication=authentication).authentication) == expected
