"""Who may sign in to the hub, and by which provider."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.addresses import Cidr, DnsName
from components.hub.errors import (
    DirectoryGroupsError,
    GroupsClaimError,
    NoAdminError,
    NobodyAllowedError,
    ProviderFilterError,
    RefreshAgeError,
)
from components.hub.identity.directory_config import DirectoryConfig, LdapAttribute
from components.model import Model
from components.quantities import Duration
from components.secrets import SecretRef

__all__ = [
    "Auth0Authentication",
    "Authentication",
    "DummyAuthentication",
    "GitHubAuthentication",
    "GoogleAuthentication",
    "GroupName",
    "LdapAuthentication",
    "NativeAuthentication",
    "OAuthAuthentication",
    "OidcAuthentication",
    "Username",
]

Username = Annotated[str, Field(pattern=r"^[^\s,;]+$", max_length=255)]
"""A user name as the hub knows it: the provider's user name or e-mail address, in lower case."""

GroupName = Annotated[str, Field(pattern=r"^[^\s,;](?:[^,;\r\n]*[^\s,;])?$", max_length=255)]
"""A group as the provider, the directory or this file names it; profiles name the same."""

Members = dict[GroupName, tuple[Username, ...]]
"""Users of each group, where this file says who is in which."""

Pem = Annotated[str, Field(pattern=r"^-----BEGIN CERTIFICATE-----\n[\s\S]+\n-----END CERTIFICATE-----\n?$")]
"""Certificates as text (RFC 7468)."""

HttpsUrl = Annotated[str, Field(pattern=r"^https://[^\s]+$")]
"""Address of an endpoint of the identity provider."""


class _Refreshed(Model):
    """What every sign-in but the dummy's has: it is asked again while people are signed in."""

    refresh_every: Duration = Field(
        default=Duration.parse("5m"),
        description="How old what is known of a signed-in user may be: then groups, rights and the account itself are "
        "asked for again, with the user's next click. They are also asked for before every start of a server.",
    )

    @model_validator(mode="after")
    def _refreshes(self) -> Self:
        if self.refresh_every.seconds == 0:
            raise RefreshAgeError
        return self


class _Access(_Refreshed):
    """Who may enter, whatever the provider."""

    everyone: bool = Field(
        default=False, description="Let in whoever the provider knows. For Google or GitHub that is the whole world."
    )
    users: tuple[Username, ...] = Field(default=(), description="User names that may sign in.")
    admins: tuple[Username, ...] = Field(default=(), description="User names that administer it; they may sign in.")

    def _narrower(self) -> dict[str, bool]:
        """Return the ways to allow some, by their key in the file, and whether each is given."""
        return {"users": bool(self.users)}

    def _is_administered(self) -> bool:
        """Return whether anybody enters as an administrator."""
        return bool(self.admins)

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        ways = self._narrower()
        given = [way for way, present in ways.items() if present]
        if self.everyone and given:
            raise ProviderFilterError(*given)
        if not self.everyone and not given and not self._is_administered():
            raise NobodyAllowedError(*ways)
        return self


class _OAuth(_Access):
    """What every OAuth provider needs."""

    client_id: str = Field(min_length=1, title="Client ID", description="Public identifier of the hub at the provider.")
    client_secret: SecretRef = Field(
        description="Configuration key of the client secret the provider issued: {secret: oauthClientSecret}."
    )


class GitHubAuthentication(_OAuth):
    """Sign-in with GitHub."""

    kind: Literal["github"] = Field(description="Sign-in with GitHub.")
    organizations: tuple[str, ...] = Field(
        default=(), description="Organizations, or organization:team, whose members may sign in."
    )

    def _narrower(self) -> dict[str, bool]:
        return {**super()._narrower(), "organizations": bool(self.organizations)}


class GoogleAuthentication(_OAuth):
    """Sign-in with Google."""

    kind: Literal["google"] = Field(description="Sign-in with Google.")
    hosted_domains: tuple[DnsName, ...] = Field(
        default=(), description="Google Workspace domains whose members may sign in."
    )
    groups: Members = Field(
        default_factory=dict,
        description="Users of each group, for profiles: Google itself tells no groups without a service account.",
    )

    def _narrower(self) -> dict[str, bool]:
        return {**super()._narrower(), "hostedDomains": bool(self.hosted_domains)}


class _WithGroups(_OAuth):
    """A provider that says in a claim which groups a user is in."""

    groups_claim: str | None = Field(
        default=None,
        pattern=r"^[\w-]+(\.[\w-]+)*$",
        description="Claim that lists a user's groups, dots for nesting: realm_access.roles.",
    )
    groups: tuple[GroupName, ...] = Field(default=(), description="Groups whose members may sign in.")
    admin_groups: tuple[GroupName, ...] = Field(
        default=(), description="Groups whose members administer the hub; they may sign in."
    )

    def _narrower(self) -> dict[str, bool]:
        return {**super()._narrower(), "groups": bool(self.groups)}

    def _is_administered(self) -> bool:
        return super()._is_administered() or bool(self.admin_groups)

    @model_validator(mode="after")
    def _groups_are_told(self) -> Self:
        if (self.groups or self.admin_groups) and self.groups_claim is None:
            raise GroupsClaimError
        return self


class Auth0Authentication(_WithGroups):
    """Sign-in with Auth0, which itself may offer GitHub, Google and others."""

    kind: Literal["auth0"] = Field(description="Sign-in with Auth0.")
    domain: DnsName = Field(description="Domain of the tenant, such as lab.eu.auth0.com.")


class OidcAuthentication(_WithGroups):
    """Sign-in with any OpenID Connect provider: Keycloak, Shibboleth through OIDC, ..."""

    kind: Literal["oidc"] = Field(description="Sign-in with an OpenID Connect provider.")
    authorize_url: HttpsUrl = Field(title="Authorization endpoint", description="Where the browser is sent to sign in.")
    token_url: HttpsUrl = Field(title="Token endpoint", description="Where the hub redeems the code.")
    userinfo_url: HttpsUrl = Field(title="Userinfo endpoint", description="Where the hub asks who it is.")
    username_claim: str = Field(
        default="preferred_username", description="Claim that names the user to the hub and to other users."
    )
    login_service: str = Field(default="the lab's account", description="What the sign-in button names.")
    offline_access: bool = Field(
        default=False,
        description="Ask for a refresh token by the scope offline_access, and for the user's consent to it. Keycloak "
        "gives one without; where a provider gives none, people sign in again whenever their access token ends.",
    )
    authority: Pem | None = Field(
        default=None,
        title="Certificate authority",
        description="Certificates, as PEM, of the authority that signed the provider's, where it is the lab's own.",
    )
    networks: tuple[Cidr, ...] = Field(
        default=(),
        description="Networks with the provider's servers, where their addresses are private; the hub reaches only "
        "these then. Without any, the provider is on the internet.",
    )


class LdapAuthentication(_Access):
    """Sign-in with a name and a password of the lab's directory."""

    kind: Literal["ldap"] = Field(description="Sign-in with a name and password of the lab's directory (LDAP).")
    directory: DirectoryConfig = Field(description="How the directory is reached, and where people and groups are.")
    account: LdapAttribute = Field(
        default="entryUUID",
        description="Attribute that stays the same for a person and is never given to another: entryUUID (OpenLDAP), "
        "nsUniqueId (389), ipaUniqueID (FreeIPA), objectGUID (Active Directory). Homes belong to it.",
    )
    groups: tuple[GroupName, ...] = Field(default=(), description="Groups whose members may sign in.")
    admin_groups: tuple[GroupName, ...] = Field(
        default=(), description="Groups whose members administer the hub; they may sign in."
    )

    def _narrower(self) -> dict[str, bool]:
        return {**super()._narrower(), "groups": bool(self.groups)}

    def _is_administered(self) -> bool:
        return super()._is_administered() or bool(self.admin_groups)

    @model_validator(mode="after")
    def _groups_are_somewhere(self) -> Self:
        if (self.groups or self.admin_groups) and self.directory.groups is None:
            raise DirectoryGroupsError
        return self


class NativeAuthentication(_Refreshed):
    """Accounts of the hub's own, for a lab without a directory: whoever asks for one waits for an admin."""

    kind: Literal["native"] = Field(description="Accounts of the hub's own, each approved by an admin.")
    admins: tuple[Username, ...] = Field(
        description="User names that approve accounts and administer the hub; their accounts are made at its start."
    )
    admin_password: SecretRef = Field(
        description="Configuration key of the password admins' accounts are made with: {secret: hubAdminPassword}."
    )
    sign_up: bool = Field(
        default=True, description="Whether people may ask for an account. None works before an admin has approved it."
    )
    password_length: int = Field(
        default=12, ge=8, le=64, description="Least characters of a password; common ones are refused besides."
    )
    groups: Members = Field(default_factory=dict, description="Users of each group, for profiles.")

    @model_validator(mode="after")
    def _somebody_approves(self) -> Self:
        if not self.admins:
            raise NoAdminError
        return self


class DummyAuthentication(Model):
    """No sign-in at all: any name, no password. Only for a simulated cluster."""

    kind: Literal["dummy"] = Field(description="Any name and no password; refused outside a simulated cluster.")
    admins: tuple[Username, ...] = Field(default=(), description="User names that administer the hub.")
    groups: Members = Field(default_factory=dict, description="Users of each group, for profiles.")


OAuthAuthentication = GitHubAuthentication | GoogleAuthentication | Auth0Authentication | OidcAuthentication
"""Sign-in at a provider that sends people back to the hub."""

Authentication = Annotated[
    OAuthAuthentication | LdapAuthentication | NativeAuthentication | DummyAuthentication,
    Field(discriminator="kind"),
]
"""How users sign in."""
