"""The lab's directory (LDAP): how it is reached, and where in it people and groups stand.

One model for whoever asks it: sign-in (`components.hub.signin.config`) and identities
(`components.hub.identity.config`). What is asked beyond names, each of them says.
"""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from components.addresses import Cidr, DnsName
from components.hub.errors import DirectoryPasswordError
from components.model import Model
from components.secrets import SecretRef

__all__ = [
    "DirectoryConfig",
    "DirectoryGroups",
    "DirectoryTls",
    "DirectoryUsers",
    "DistinguishedName",
    "LdapAttribute",
    "LdapFilter",
    "MemberKind",
]

LdapAttribute = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]*(;[A-Za-z0-9-]+)*$", max_length=128)]
"""Name of an attribute (RFC 4512, 2.5: a key string and options)."""

LdapFilter = Annotated[str, Field(pattern=r"^\(.+\)$", max_length=1000)]
"""A search filter in parentheses (RFC 4515)."""

DistinguishedName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]*\s*=[^\x00\r\n]+$", max_length=1000, examples=["dc=lab,dc=example"])
]
"""Name of an entry (RFC 4514), such as ``ou=people,dc=lab,dc=example``."""


class DirectoryTls(StrEnum):
    """How a connection to the directory is sealed."""

    LDAPS = "ldaps"
    """TLS from the first byte, usually at port 636."""
    START_TLS = "startTls"
    """TLS by the StartTLS operation at the plain port, usually 389 (RFC 4513, 3)."""
    NONE = "none"
    """Not at all: passwords and ids pass in the clear. Refused on clusters that are real."""

    @property
    def port(self) -> int:
        """Port by the registry of port numbers (IANA: ldaps 636, ldap 389)."""
        return 636 if self is DirectoryTls.LDAPS else 389


class MemberKind(StrEnum):
    """What a group names its members by."""

    NAME = "name"
    """Their user names (RFC 2307's ``memberUid``)."""
    DN = "dn"
    """Their entries' distinguished names (``member``, ``uniqueMember``: RFC 2307bis, Active Directory, FreeIPA)."""


class DirectoryUsers(Model):
    """People in the directory."""

    base: DistinguishedName = Field(description="Entry below which people are: ou=people,dc=lab,dc=example.")
    filter: LdapFilter = Field(
        default="(objectClass=posixAccount)", description="Which entries below it are people of the lab."
    )
    name: LdapAttribute = Field(default="uid", description="Attribute with the user name; sAMAccountName in a domain.")


class DirectoryGroups(Model):
    """Groups in the directory."""

    base: DistinguishedName = Field(description="Entry below which groups are: ou=groups,dc=lab,dc=example.")
    filter: LdapFilter = Field(
        default="(objectClass=posixGroup)", description="Which entries below it are groups of the lab."
    )
    name: LdapAttribute = Field(default="cn", description="Attribute with the group's name.")
    member: LdapAttribute = Field(
        default="memberUid", description="Attribute that lists members: memberUid, member or uniqueMember."
    )
    members_by: MemberKind = Field(
        default=MemberKind.NAME,
        description="What it lists them by: `name` (memberUid) or `dn` (member, uniqueMember).",
    )


class DirectoryConfig(Model):
    """A directory that speaks LDAP: OpenLDAP, 389 Directory Server, FreeIPA, Active Directory."""

    server: DnsName = Field(description="DNS name of its server, which its certificate is checked against.")
    tls: DirectoryTls = Field(
        default=DirectoryTls.LDAPS, title="TLS", description="How connections are sealed: `ldaps` or `startTls`."
    )
    port: int | None = Field(
        default=None, ge=1, le=65535, description="TCP port; without one 636 for ldaps, 389 otherwise."
    )
    authority: str | None = Field(
        default=None,
        pattern=r"^-----BEGIN CERTIFICATE-----\n[\s\S]+\n-----END CERTIFICATE-----\n?$",
        title="Certificate authority",
        description="Certificates, as PEM, of the authority that signed the server's, where it is the lab's own; "
        "without any, the authorities the hub's image trusts.",
    )
    networks: tuple[Cidr, ...] = Field(
        min_length=1, description="Networks with the directory's servers: the only ones it is looked for in."
    )
    bind_dn: DistinguishedName | None = Field(
        default=None, title="Bind DN", description="Entry that looks people up, read-only; without one, anonymously."
    )
    bind_password: SecretRef | None = Field(
        default=None, description="Configuration key of that entry's password: {secret: directoryPassword}."
    )
    users: DirectoryUsers = Field(description="Where people are.")
    groups: DirectoryGroups | None = Field(default=None, description="Where groups are; without it nobody is in any.")

    @property
    def tcp_port(self) -> int:
        """The port it listens at, given or usual."""
        return self.tls.port if self.port is None else self.port

    @model_validator(mode="after")
    def _password_with_a_name(self) -> Self:
        if (self.bind_dn is None) != (self.bind_password is None):
            raise DirectoryPasswordError(has_name=self.bind_dn is not None)
        return self
