"""Hub section of ``Pulumi.<stack>.yaml``: sign-in, profiles, homes, culling and outgoing network."""

from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated, Self

from pydantic import Field, model_validator

from components.addresses import Address, AnyNetwork, Cidr, DnsLabel
from components.model import Model
from components.networks import IPV6
from components.quantities import Size

from .authentication import Authentication
from .errors import WebProxyError
from .limits_config import CullingConfig, ServersConfig
from .operation_config import DatabaseConfig
from .profiles_config import ProfileConfig

__all__ = [
    "EgressRule",
    "HomeKey",
    "HomesConfig",
    "HubConfig",
    "Internet",
    "NetworkAccess",
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
    USERNAME = "username"
    """The user name: only where names are never given to somebody else."""


class Internet(StrEnum):
    """How far a server's outgoing connections reach beyond the cluster."""

    NONE = "none"
    WEB = "web"
    """HTTP, HTTPS and SSH to public addresses: packages, data, git."""
    ALL = "all"
    """Any port of any public address."""
    PROXY = "proxy"
    """The lab's web proxy alone, which says what lies beyond it."""


class HomesConfig(Model):
    """Users' home folders: one claim each, which outlives the server and the user's entry in the hub."""

    key: HomeKey = Field(
        default=HomeKey.ACCOUNT,
        description="What a home belongs to: `account` survives a renamed user name and never passes to somebody else.",
    )
    capacity: Size = Field(description="Capacity a home's claim asks for.")
    mount_path: str = Field(
        default="/home/jovyan", pattern=r"^/[\w/.-]+$", description="Where the home appears in the server."
    )


class EgressRule(Model):
    """Servers inside the lab's own networks that user servers may reach, beside what `internet` allows."""

    name: DnsLabel = Field(description="What it is, for people.")
    networks: tuple[Cidr, ...] = Field(min_length=1, description="Networks in CIDR notation.")
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = Field(min_length=1, description="TCP ports.")


class WebProxy(Model):
    """A proxy of the lab's for HTTP and, by CONNECT, HTTPS."""

    address: Address = Field(description="Its address; a name could not be told to a network policy.")
    port: int = Field(ge=1, le=65535, description="Its TCP port, such as 3128.")

    @property
    def network(self) -> AnyNetwork:
        """The network of its address alone."""
        return ip_network(self.address)

    @property
    def url(self) -> str:
        """What programs are told."""
        host = f"[{self.address}]" if self.address.version == IPV6 else str(self.address)
        return f"http://{host}:{self.port}"


class NetworkAccess(Model):
    """Outgoing connections of user servers; private addresses stay closed unless a rule opens them."""

    internet: Internet = Field(
        default=Internet.WEB,
        description="How far they reach beyond the cluster: `none`, `web` (HTTP, HTTPS, SSH), `all` ports, or only "
        "the lab's `proxy`.",
    )
    proxy: WebProxy | None = Field(
        default=None,
        title="Web proxy",
        description="With `internet: proxy`, what servers reach instead of the internet; their programs are told by "
        "HTTPS_PROXY and NO_PROXY.",
    )
    allow: tuple[EgressRule, ...] = Field(default=(), description="Servers of the lab they may reach besides.")

    @model_validator(mode="after")
    def _proxy_is_there_when_wanted(self) -> Self:
        if (self.internet is Internet.PROXY) != (self.proxy is not None):
            raise WebProxyError(is_wanted=self.internet is Internet.PROXY)
        return self


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
    culling: CullingConfig = Field(default=CullingConfig(), description="When idle servers are stopped.")
    network: NetworkAccess = Field(default=NetworkAccess(), description="Outgoing connections of user servers.")
    database: DatabaseConfig = Field(default=DatabaseConfig(), description="The hub's own database.")
    servers: ServersConfig = Field(default=ServersConfig(), description="Bounds on user servers altogether.")
    announcement: str | None = Field(
        default=None, max_length=500, description="A sentence on top of every page of the hub, plain text."
    )
