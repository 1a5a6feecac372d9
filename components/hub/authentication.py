"""Who may sign in to the hub, and by which provider."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.addresses import Cidr, DnsName
from components.model import Model
from components.secrets import SecretRef

from .errors import GroupsClaimError, NobodyAllowedError, ProviderFilterError

__all__ = [
    "Auth0Authentication",
    "Authentication",
    "DummyAuthentication",
    "GitHubAuthentication",
    "GoogleAuthentication",
    "OidcAuthentication",
]

Username = Annotated[str, Field(pattern=r"^[^\s,;]+$", max_length=255)]
"""A user name as the hub knows it: the provider's user name or e-mail address, in lower case."""

HttpsUrl = Annotated[str, Field(pattern=r"^https://[^\s]+$")]
"""Address of an endpoint of the identity provider."""


class _Access(Model):
    """Who may enter, whatever the provider."""

    everyone: bool = Field(
        default=False, description="Let in whoever the provider knows. For Google or GitHub that is the whole world."
    )
    users: tuple[Username, ...] = Field(default=(), description="User names that may sign in.")
    admins: tuple[Username, ...] = Field(default=(), description="User names that administer it; they may sign in.")

    def _narrower(self) -> dict[str, bool]:
        """Return the ways to allow some, by their key in the file, and whether each is given."""
        return {"users": bool(self.users)}

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        ways = self._narrower()
        given = [way for way, present in ways.items() if present]
        if self.everyone and given:
            raise ProviderFilterError(*given)
        if not self.everyone and not given and not self.admins:
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

    def _narrower(self) -> dict[str, bool]:
        return {**super()._narrower(), "hostedDomains": bool(self.hosted_domains)}


class _WithGroups(_OAuth):
    """A provider that says in a claim which groups a user is in."""

    groups_claim: str | None = Field(
        default=None,
        pattern=r"^[\w-]+(\.[\w-]+)*$",
        description="Claim that lists a user's groups, dots for nesting: realm_access.roles.",
    )
    groups: tuple[str, ...] = Field(default=(), description="Groups whose members may sign in.")

    def _narrower(self) -> dict[str, bool]:
        return {**super()._narrower(), "groups": bool(self.groups)}

    @model_validator(mode="after")
    def _groups_are_told(self) -> Self:
        if self.groups and self.groups_claim is None:
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
    networks: tuple[Cidr, ...] = Field(
        default=(),
        description="Networks with the provider's servers, where their addresses are private; the hub reaches only "
        "these then. Without any, the provider is on the internet.",
    )


class DummyAuthentication(Model):
    """No sign-in at all: any name, no password. Only for a simulated cluster."""

    kind: Literal["dummy"] = Field(description="Any name and no password; refused outside a simulated cluster.")
    admins: tuple[Username, ...] = Field(default=(), description="User names that administer the hub.")


Authentication = Annotated[
    GitHubAuthentication | GoogleAuthentication | Auth0Authentication | OidcAuthentication | DummyAuthentication,
    Field(discriminator="kind"),
]
"""How users sign in."""
