"""Sign-in as the hub's configuration classes take it."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hub_labs import FACTS, NETWORK, hub
from pydantic import ValidationError

from components.hub.config import HubConfig
from components.hub.flows import hub_flows
from components.hub.signin.checks import check_signin
from components.hub.signin.plan import (
    AccountKey,
    account_key,
    authenticator_config,
    provider_ports,
    sign_in_secret,
    signin_part,
)
from components.namespaces.flows import NetworkPeer

SECRET = {"secret": "oauthClientSecret"}
OAUTH = {"clientId": "public-id", "clientSecret": SECRET}
GITHUB = {"kind": "github", **OAUTH, "organizations": ["lab", "partners:guests"], "admins": ["boss"]}
GOOGLE = {"kind": "google", **OAUTH, "hostedDomains": ["lab.org"], "groups": {"staff": ["ana"]}}
AUTH0 = {"kind": "auth0", **OAUTH, "domain": "lab.eu.auth0.com", "users": ["a@lab.org"]}
OIDC = {
    "kind": "oidc",
    **OAUTH,
    "authorizeUrl": "https://sso.lab.org/authorize",
    "tokenUrl": "https://sso.lab.org/token",
    "userinfoUrl": "https://sso.lab.org/realms/lab/userinfo",
    "groupsClaim": "realm_access.roles",
    "groups": ["students"],
    "adminGroups": ["operators"],
    "loginService": "Lab account",
}
DIRECTORY = {
    "server": "ldap.lab.org",
    "tls": "startTls",
    "networks": ["192.0.2.8/32"],
    "bindDn": "cn=hub,dc=lab,dc=org",
    "bindPassword": {"secret": "directoryPassword"},
    "users": {"base": "ou=people,dc=lab,dc=org"},
    "groups": {"base": "ou=groups,dc=lab,dc=org", "member": "member", "membersBy": "dn"},
}
LDAP = {"kind": "ldap", "directory": DIRECTORY, "groups": ["lab"], "adminGroups": ["operators"]}
NATIVE = {
    "kind": "native",
    "admins": ["boss"],
    "adminPassword": {"secret": "hubAdminPassword"},
    "groups": {"students": ["ana", "bo"]},
}
DUMMY = {"kind": "dummy", "admins": ["boss"], "groups": {"students": ["ana"]}}
NAMED = "people whom the lab has named"


def ours(claims: list[str], open_to: str = NAMED, **more: object) -> dict[str, object]:
    return {
        "contact": "help@lab.org",
        "open_to": open_to,
        "account_claims": claims,
        "auth_refresh_age": 300,
        "refresh_pre_spawn": True,
        **more,
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
                "JupyterHub": {"authenticator_class": "lab_hub.signin_oauth.LabGitHub"},
                "LabSignIn": ours(["github_user", "id"], "members of lab, partners:guests"),
                "GitHubOAuthenticator": common(
                    admin_users=["boss"],
                    allowed_organizations=["lab", "partners:guests"],
                    scope=["read:org"],
                    populate_teams_in_auth_state=True,
                    manage_groups=True,
                ),
            },
        ),
        (
            GOOGLE,
            {
                "JupyterHub": {"authenticator_class": "lab_hub.signin_oauth.LabGoogle"},
                "LabSignIn": ours(["google_user", "sub", "id"], "members of lab.org", members={"staff": ["ana"]}),
                "GoogleOAuthenticator": common(
                    hosted_domain=["lab.org"], manage_groups=True, extra_authorize_params={"access_type": "offline"}
                ),
            },
        ),
        (
            AUTH0,
            {
                "JupyterHub": {"authenticator_class": "lab_hub.signin_oauth.LabAuth0"},
                "LabSignIn": ours(["auth0_user", "sub"]),
                "Auth0OAuthenticator": common(
                    allowed_users=["a@lab.org"],
                    auth0_domain="lab.eu.auth0.com",
                    scope=["openid", "profile", "email", "offline_access"],
                ),
            },
        ),
        (
            OIDC,
            {
                "JupyterHub": {"authenticator_class": "lab_hub.signin_oauth.LabOidc"},
                "LabSignIn": ours(["oauth_user", "sub"], "members of students, operators"),
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
                    admin_groups=["operators"],
                ),
            },
        ),
        (
            LDAP,
            {
                "JupyterHub": {"authenticator_class": "lab_hub.signin_ldap.LabLdap"},
                "LabSignIn": ours(["ldap_user", "account"], "members of lab, operators"),
                "LabLdap": {
                    "allow_all": False,
                    "allowed_users": [],
                    "admin_users": [],
                    "allow_existing_users": False,
                    "enable_auth_state": True,
                    "manage_groups": True,
                    "allowed_groups": ["lab"],
                    "admin_groups": ["operators"],
                    "directory": {
                        "server": "ldap.lab.org",
                        "port": 389,
                        "tls": "startTls",
                        "authority": None,
                        "bindDn": "cn=hub,dc=lab,dc=org",
                        "users": {
                            "base": "ou=people,dc=lab,dc=org",
                            "filter": "(objectClass=posixAccount)",
                            "name": "uid",
                            "account": "entryUUID",
                        },
                        "groups": {
                            "base": "ou=groups,dc=lab,dc=org",
                            "filter": "(objectClass=posixGroup)",
                            "name": "cn",
                            "member": "member",
                            "membersBy": "dn",
                        },
                    },
                },
            },
        ),
        (
            NATIVE,
            {
                "JupyterHub": {"authenticator_class": "lab_hub.signin_native.LabNative"},
                "LabSignIn": ours(["native_user", "account"], members={"students": ["ana", "bo"]}),
                "NativeAuthenticator": {
                    "allow_all": True,
                    "admin_users": ["boss"],
                    "enable_auth_state": True,
                    "manage_groups": True,
                    "enable_signup": True,
                    "open_signup": False,
                    "minimum_password_length": 12,
                    "check_common_password": True,
                    "allowed_failed_logins": 10,
                    "seconds_before_next_try": 600,
                },
            },
        ),
        (
            DUMMY,
            {
                "JupyterHub": {"authenticator_class": "lab_hub.signin_local.LabDummy"},
                "LabSignIn": {
                    "contact": "help@lab.org",
                    "open_to": NAMED,
                    "account_claims": [],
                    "members": {"students": ["ana"]},
                },
                "DummyAuthenticator": {"allow_all": True, "admin_users": ["boss"]},
            },
        ),
    ],
)
def test_sections(authentication: object, expected: object) -> None:
    planned = authenticator_config(hub(authentication=authentication).authentication, "hub.lab.org", "help@lab.org")
    assert planned == expected


def test_a_refresh_token_is_asked_for_where_it_is_needed() -> None:
    section = hub(authentication={**OIDC, "offlineAccess": True}).authentication
    planned = authenticator_config(section, "hub.lab.org")["GenericOAuthenticator"]
    assert planned["scope"] == ["openid", "profile", "email", "offline_access"]
    assert planned["extra_authorize_params"] == {"prompt": "consent"}


def test_a_providers_own_authority_goes_to_the_hub() -> None:
    pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    section = hub(authentication={**OIDC, "authority": pem}).authentication
    assert authenticator_config(section, "hub.lab.org")["LabSignIn"].get("provider_authority") is None
    assert authenticator_config(section, "hub.lab.org")["LabOidc"] == {"provider_authority": pem}


@pytest.mark.parametrize(
    ("authentication", "expected"),
    [
        (GITHUB, AccountKey(issuer="github.com", user_info="github_user", claims=("id",))),
        (GOOGLE, AccountKey(issuer="accounts.google.com", user_info="google_user", claims=("sub", "id"))),
        (AUTH0, AccountKey(issuer="lab.eu.auth0.com", user_info="auth0_user", claims=("sub",))),
        (OIDC, AccountKey(issuer="sso.lab.org", user_info="oauth_user", claims=("sub",))),
        (LDAP, AccountKey(issuer="ldap", user_info="ldap_user", claims=("account",))),
        (NATIVE, AccountKey(issuer="native", user_info="native_user", claims=("account",))),
        (DUMMY, None),
    ],
)
def test_where_the_account_is_known(authentication: object, expected: AccountKey | None) -> None:
    assert account_key(hub(authentication=authentication).authentication) == expected


@pytest.mark.parametrize(
    ("authentication", "expected"),
    [
        (GITHUB, ("oauthClientSecret", "clientSecret", "client-secret", "OAUTH_CLIENT_SECRET")),
        (OIDC, ("oauthClientSecret", "clientSecret", "client-secret", "OAUTH_CLIENT_SECRET")),
        (LDAP, ("directoryPassword", "directory.bindPassword", "bind-password", "LAB_BIND_PASSWORD")),
        (NATIVE, ("hubAdminPassword", "adminPassword", "admin-password", "LAB_ADMIN_PASSWORD")),
    ],
)
def test_the_secret_travels_by_environment(authentication: object, expected: tuple[str, str, str, str]) -> None:
    config = hub(authentication=authentication)
    secret = sign_in_secret(config.authentication)
    assert secret is not None
    reference, path, key, variable = expected
    assert (secret.reference.secret, secret.path) == (reference, f"hub.authentication.{path}")
    told = signin_part(config, FACTS).environment
    assert told == {variable: {"valueFrom": {"secretKeyRef": {"name": "hub-client", "key": key}}}}


@pytest.mark.parametrize(
    "authentication",
    [DUMMY, {**LDAP, "directory": {k: v for k, v in DIRECTORY.items() if not k.startswith("bind")}}],
    ids=["dummy", "anonymous"],
)
def test_who_takes_no_secret_is_given_none(authentication: object) -> None:
    config = hub(authentication=authentication)
    assert sign_in_secret(config.authentication) is None
    assert not signin_part(config, FACTS).environment


def test_the_hub_reaches_the_directory_and_nothing_for_accounts_of_its_own() -> None:
    flows = {flow.name: flow for flow in hub_flows(hub(authentication=LDAP), NETWORK)}
    assert flows["hub-to-directory"].peers == (NetworkPeer(network=ip_network("192.0.2.8/32")),)
    assert [port.number for port in flows["hub-to-directory"].ports] == [389]
    assert "hub-to-identity-provider" not in flows
    names = {flow.name for flow in hub_flows(hub(authentication=NATIVE), NETWORK)}
    assert not names & {"hub-to-directory", "hub-to-identity-provider"}
    assert provider_ports(hub(authentication=NATIVE).authentication) == ()


@pytest.mark.parametrize(
    ("authentication", "message"),
    [
        ({**LDAP, "groups": [], "adminGroups": []}, "nobody is allowed to sign in"),
        ({**LDAP, "everyone": True}, "everyone: true makes groups meaningless"),
        ({**LDAP, "directory": {**DIRECTORY, "groups": None}}, "nothing says where the directory has them"),
        ({**OIDC, "groupsClaim": None, "groups": [], "users": ["a"]}, "no claim tells them"),
        ({**NATIVE, "admins": []}, "nobody could approve an account"),
        ({**NATIVE, "passwordLength": 6}, "greater than or equal to 8"),
        ({**NATIVE, "adminPassword": "hunter2"}, "a secret"),
        ({**GITHUB, "refreshEvery": "0s"}, "would never ask again"),
    ],
)
def test_what_cannot_be_is_refused(authentication: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        hub(authentication=authentication)


def test_everyone_may_enter_beside_groups_that_administer() -> None:
    made = hub(authentication={**LDAP, "groups": [], "everyone": True}).authentication
    assert authenticator_config(made, "hub.lab.org")["LabLdap"]["allow_all"] is True


def problems(config: HubConfig, *, hostname: str | None = "hub.lab.org", simulated: bool = False) -> list[str]:
    return [str(each) for each in check_signin(config, hostname=hostname, is_simulated=simulated)]


def with_group(authentication: object, group: str) -> HubConfig:
    made: dict[str, object] = {
        "slug": "one",
        "name": "One",
        "image": "minimal-notebook",
        "resources": {"guarantee": dict[str, str]()},
        "groups": [group],
    }
    return hub(authentication=authentication, profiles=[made])


@pytest.mark.parametrize(
    ("config", "hostname", "simulated", "expected"),
    [
        (
            hub(authentication={**LDAP, "directory": {**DIRECTORY, "tls": "none"}}),
            "hub.lab.org",
            False,
            [
                (
                    "authentication.directory.tls: passwords would pass in the clear on a cluster that is real; "
                    "choose ldaps or startTls"
                )
            ],
        ),
        (hub(authentication={**LDAP, "directory": {**DIRECTORY, "tls": "none"}}), "hub.lab.org", True, []),
        (hub(authentication=LDAP), None, False, []),
        (hub(authentication=NATIVE), None, False, []),
        (
            hub(authentication=OIDC),
            None,
            False,
            ["authentication: the identity provider has no address to send people back to; give network.hostnames.hub"],
        ),
        (with_group(NATIVE, "students"), "hub.lab.org", False, []),
        (
            with_group(NATIVE, "student"),
            "hub.lab.org",
            False,
            [
                (
                    "profiles[0].groups[0]: nobody is in student: authentication.groups does not name it; "
                    "add student: [...] to authentication.groups"
                )
            ],
        ),
        (
            with_group(AUTH0, "students"),
            "hub.lab.org",
            False,
            ["profiles[0].groups[0]: nobody is in students: no claim tells groups; set authentication.groupsClaim"],
        ),
        (with_group(LDAP, "anything"), "hub.lab.org", False, []),
    ],
)
def test_what_no_single_field_shows(
    config: HubConfig,
    hostname: str | None,
    simulated: bool,  # noqa: FBT001 - a table's column
    expected: list[str],
) -> None:
    assert problems(config, hostname=hostname, simulated=simulated) == expected
