"""Where users' ids come from: the stack file, the lab's directory, or claims of the identity provider."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from components.hub.errors import IdentityNameError, IdentityRangeError, UnknownGroupsError
from components.hub.files.lab_hub.identity import (
    RESERVED_GROUPS,
    RESERVED_NAMES,
    USERS_GID,
    Identity,
    IdentityKeyError,
    IdentityRowError,
)
from components.model import Model
from components.quantities import Duration

from .directory_config import DirectoryConfig, LdapAttribute

__all__ = [
    "ClaimIdentity",
    "GroupName",
    "Id",
    "IdRange",
    "IdentityConfig",
    "LdapIdentity",
    "StaticIdentity",
    "StaticUser",
    "UserName",
]

FIRST_ID = 1000
"""Smallest user or group id of people (login.defs(5), ``UID_MIN`` and ``GID_MIN``; Debian Policy 9.2.2)."""
LAST_ID = 59999
"""Largest that Debian leaves to people; the next are its own, systemd's (61184 to 65519) and nobody's (65534)."""
LEAST_FIRST_ID = 500
"""No range may begin below: smaller ids are system's everywhere (Red Hat up to 6 began at 500, others at 1000)."""
MOST_ID = 2**31 - 1
"""Largest id Kubernetes takes (``runAsUser``: a non-negative int32)."""

Id = Annotated[int, Field(ge=LEAST_FIRST_ID, le=MOST_ID)]
"""A user id of a person's."""
GroupId = Annotated[int, Field(ge=USERS_GID, le=MOST_ID)]
"""A group id of people's; `USERS_GID` is below every range, and allowed beside it."""


def _user_name(name: str) -> str:
    try:
        Identity(name, 0, 0).key  # noqa: B018 - asked for what it refuses
    except (IdentityKeyError, IdentityRowError) as problem:
        raise IdentityNameError(name, "blanks and colons are not possible") from problem
    if name in RESERVED_NAMES:
        raise IdentityNameError(name, "every image has another user of that name")
    if name != name.lower():
        raise IdentityNameError(name, f"the hub knows users in lower case: {name.lower()}")
    return name


def _group_name(name: str) -> str:
    try:
        Identity("x", 0, 0, ((name, 0),))
    except IdentityRowError as problem:
        raise IdentityNameError(name, "colons, commas and equals signs are not possible") from problem
    if name in RESERVED_GROUPS:
        raise IdentityNameError(name, "every image has another group of that name")
    return name


UserName = Annotated[str, AfterValidator(_user_name), Field(max_length=255)]
"""A user's name as the hub knows it."""
GroupName = Annotated[str, AfterValidator(_group_name), Field(max_length=255)]
"""A group's name as people see it."""


class IdRange(Model):
    """Ids that are people's."""

    first: Id = Field(default=FIRST_ID, description="Smallest id.")
    last: Id = Field(default=LAST_ID, description="Largest id.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first > self.last:
            raise IdentityRangeError(self.first, self.last)
        return self

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last


class _Identities(Model):
    """What every source has."""

    uids: IdRange = Field(
        default=IdRange(),
        title="User ids",
        description="User ids of people; whoever has another gets no server. Directories often begin above the usual "
        "1000 to 59999.",
    )
    gids: IdRange = Field(
        default=IdRange(),
        title="Group ids",
        description="Group ids of people; no server runs with another, but for 100, users.",
    )
    shell: str = Field(
        default="/bin/bash",
        pattern=r"^/[\w/.+-]+$",
        description="Login shell that passwd names; it has to be in every profile's image.",
    )
    required: bool = Field(
        default=True,
        description="Refuse the sign-in of whoever has no identity; false lets them in, administrators say, and "
        "refuses only their servers.",
    )


class StaticUser(Model):
    """One user's ids."""

    uid: Id = Field(title="User id", description="The user's own id, nobody else's.")
    gid: GroupId = Field(title="Group id", description="Id of the user's primary group.")
    groups: tuple[GroupName, ...] = Field(default=(), description="Supplementary groups, by name.")


class StaticIdentity(_Identities):
    """Users and groups written down in the stack file: a lab without a directory."""

    kind: Literal["static"] = Field(description="Users and groups written down here.")
    groups: dict[GroupName, GroupId] = Field(default={}, description="Group ids by name: {imaging: 6001}.")
    users: dict[UserName, StaticUser] = Field(
        min_length=1, description="Users by name: {ada: {uid: 5001, gid: 5001, groups: [imaging]}}."
    )

    @model_validator(mode="after")
    def _groups_are_known(self) -> Self:
        for name, user in self.users.items():
            if unknown := [group for group in user.groups if group not in self.groups]:
                raise UnknownGroupsError(name, unknown)
        return self


class LdapIdentity(_Identities):
    """Users and groups of the lab's directory, kept in step by a small program of their own."""

    kind: Literal["ldap"] = Field(description="Users and groups of the lab's directory, by LDAP.")
    directory: DirectoryConfig = Field(description="The directory, and where people and groups are in it.")
    uid_attribute: LdapAttribute = Field(default="uidNumber", description="Attribute with a person's user id.")
    gid_attribute: LdapAttribute = Field(
        default="gidNumber", description="Attribute with the id of a person's primary group."
    )
    group_gid_attribute: LdapAttribute = Field(default="gidNumber", description="Attribute with a group's id.")
    every: Duration = Field(default=Duration.parse("5m"), description="How often the directory is read.")
    most_lost: int = Field(
        default=50,
        ge=0,
        le=100,
        title="Most users lost",
        description="Percent of the known users that one read may drop or renumber; a read that would lose more "
        "changes nothing. 100 lets every change through.",
    )


class ClaimIdentity(_Identities):
    """Ids out of the identity provider's claims: only a range can be enforced, not that they are the user's own."""

    kind: Literal["claims"] = Field(
        description="Ids out of the sign-in's claims. The hub is believed then: the API server enforces only that ids "
        "are in range and nobody is root."
    )
    uid_claim: str = Field(default="uidNumber", min_length=1, description="Claim with the user id.")
    gid_claim: str = Field(default="gidNumber", min_length=1, description="Claim with the id of the primary group.")
    groups_claim: str | None = Field(
        default=None,
        min_length=1,
        description="Claim with supplementary groups: a list of ids or of name=id, or names with ids; without it none.",
    )


IdentityConfig = Annotated[StaticIdentity | LdapIdentity | ClaimIdentity, Field(discriminator="kind")]
"""Where users' ids come from."""
