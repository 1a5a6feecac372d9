"""Hub section of ``Pulumi.<stack>.yaml``: sign-in, profiles, homes, culling and outgoing network."""

from enum import StrEnum
from typing import cast

from pydantic import Field, model_validator

from components.hub.identity.config import IdentityConfig
from components.hub.limits.config import CullingConfig, LimitsConfig, ServersConfig
from components.hub.operation.config import DatabaseConfig, HealthCheckConfig, VolumeDatabase
from components.hub.pages.config import PagesConfig
from components.hub.profiles.config import ProfileConfig
from components.hub.signin.config import Authentication
from components.model import Model
from components.quantities import Size

from .network_config import EgressRule, Internet, NetworkAccess, NetworkClass, WebProxy

__all__ = [
    "EgressRule",
    "HomeKey",
    "HomesConfig",
    "HubConfig",
    "Internet",
    "NetworkAccess",
    "NetworkClass",
    "ResourcePolicy",
    "WebProxy",
]


class ResourcePolicy(StrEnum):
    """What a server may use beyond its guarantee."""

    LAX = "lax"
    """All cores and all memory of its node; under memory pressure the server that is furthest beyond its guarantee dies
    and the others live: the largest, where guarantees are alike (docs/scheduling.md)."""
    STRICT = "strict"
    """At most its profile's limit; a server beyond it dies alone, whatever room its node has."""


class HomeKey(StrEnum):
    """What a home folder belongs to."""

    ACCOUNT = "account"
    """The provider's own unchanging identifier of the account (OpenID Connect's ``sub``)."""
    UID = "uid"
    """The user id of the lab's directory or stack file (`components.hub.identity.config`)."""
    USERNAME = "username"
    """The user name: only where names are never given to somebody else."""


class HomesConfig(Model):
    """Users' home folders: one claim each, which outlives the server and the user's entry in the hub."""

    key: HomeKey = Field(
        default=HomeKey.ACCOUNT,
        description="What a home belongs to: `account` survives a renamed user name and never passes to somebody else; "
        "`uid`, the default with identities of the stack file or a directory, is the user id there.",
    )
    capacity: Size = Field(description="Capacity a home's claim asks for.")
    mount_path: str = Field(
        default="/home/jovyan", pattern=r"^/[\w/.-]+$", description="Where the home appears in the server."
    )


class HubConfig(Model):
    """The lab's JupyterHub."""

    authentication: Authentication = Field(description="How users sign in, and who may.")
    profiles: tuple[ProfileConfig, ...] = Field(min_length=1, description="Choices of the spawn page, in its order.")
    resource_policy: ResourcePolicy = Field(
        default=ResourcePolicy.LAX,
        description="`lax`: every server may use the whole node, and the one furthest beyond its guarantee dies when "
        "memory runs out; `strict`: at most its profile's limit.",
    )
    homes: HomesConfig = Field(description="Users' home folders.")
    identity: IdentityConfig | None = Field(
        default=None,
        description="Users' own user and group ids: `static`, `ldap` or `claims`; without it every server runs as "
        "1000:100.",
    )
    culling: CullingConfig = Field(default=CullingConfig(), description="When idle servers are stopped.")
    network: NetworkAccess = Field(default=NetworkAccess(), description="Outgoing connections of user servers.")
    database: DatabaseConfig = Field(default=VolumeDatabase(), description="The hub's own database.")
    health_check: HealthCheckConfig | None = Field(
        default=None, description="A test user, whose server `labctl hub check --spawn` starts; without it, none."
    )
    limits: LimitsConfig = Field(default=LimitsConfig(), description="How much may run at once per user and group.")
    servers: ServersConfig = Field(default=ServersConfig(), description="Bounds on user servers altogether.")
    lxcfs: bool = Field(
        default=False,
        title="LXCFS",
        description="Whether a server sees its own CPUs, memory and load in /proc instead of its node's. It mounts "
        "seven files of its node for that, so the namespace's Pod Security label is relaxed (docs/isolation.md).",
    )
    pages: PagesConfig = Field(default=PagesConfig(), description="What the hub's pages say beside what they are for.")
    announcement: str | None = Field(
        default=None, max_length=500, description="A sentence on top of every page of the hub, plain text."
    )

    @model_validator(mode="before")
    @classmethod
    def _homes_by_user_id(cls, section: object) -> object:
        """Return the section with ``homes.key: uid`` where users have proven ids and no key is given."""
        if not isinstance(section, dict):
            return section
        given = cast("dict[str, object]", section)
        identity, homes = given.get("identity"), given.get("homes")
        has_ids = isinstance(identity, dict) and cast("dict[str, object]", identity).get("kind") in {"static", "ldap"}
        if not has_ids or not isinstance(homes, dict) or "key" in homes:
            return given
        return {**given, "homes": {**cast("dict[str, object]", homes), "key": HomeKey.UID.value}}
