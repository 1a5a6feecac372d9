"""Hub section of ``Pulumi.<stack>.yaml``: sign-in, profiles, homes, culling and outgoing network."""

from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated, Self

from pydantic import Field, model_validator

from components.addresses import Address, AnyNetwork, Cidr, DnsLabel
from components.gpu.models import GpuModelName
from components.model import Model
from components.networks import IPV6
from components.quantities import Duration, Millicores, Size

from .authentication import Authentication
from .errors import CullingIntervalError, GuaranteeAboveLimitError, WebProxyError

__all__ = [
    "CullingConfig",
    "DatabaseConfig",
    "EgressRule",
    "GpuRequest",
    "HomeKey",
    "HomesConfig",
    "HubConfig",
    "Internet",
    "NetworkAccess",
    "ProfileConfig",
    "ProfileResources",
    "ResourceAmounts",
    "ResourcePolicy",
    "ServersConfig",
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


class ResourceAmounts(Model):
    """CPU and memory."""

    cpu: Millicores | None = Field(default=None, title="CPU", description="Cores, such as 2 or 500m.")
    memory: Size | None = Field(default=None, description="Memory, such as 4Gi.")


class ProfileResources(Model):
    """What a server is promised, and what it may use at most."""

    guarantee: ResourceAmounts = Field(description="Reserved for the server; decides which node has room for it.")
    limit: ResourceAmounts = Field(
        default=ResourceAmounts(), description="The most it may use; only with resourcePolicy: strict."
    )

    @model_validator(mode="after")
    def _guarantee_within_limit(self) -> Self:
        cpu, memory = self.guarantee.cpu, self.guarantee.memory
        if cpu is not None and self.limit.cpu is not None and cpu > self.limit.cpu:
            raise GuaranteeAboveLimitError(quantity="CPU", guarantee=cpu, limit=self.limit.cpu)
        if memory is not None and self.limit.memory is not None and memory > self.limit.memory:
            raise GuaranteeAboveLimitError(quantity="memory", guarantee=memory, limit=self.limit.memory)
        return self


class GpuRequest(Model):
    """GPU slices of one server."""

    slice: str = Field(
        description="A slice the gpu section offers: a MIG profile such as 1g.10gb, or whole, either with .shared, or "
        "whole.mps."
    )
    count: int = Field(default=1, ge=1, le=16, description="How many.")
    model: GpuModelName | None = Field(
        default=None, description="Only on this GPU model, where several offer slices of that name."
    )


class ProfileConfig(Model):
    """One choice of the spawn page."""

    slug: DnsLabel = Field(description="Identifier in addresses and in the hub's API.")
    name: str = Field(min_length=1, max_length=80, description="What users read.")
    description: str = Field(default="", max_length=500, description="One or two sentences under the name.")
    image: DnsLabel = Field(description="Name of the image among the environment's pins.")
    default: bool = Field(default=False, description="Whether it is chosen unless the user chooses.")
    resources: ProfileResources = Field(description="CPU and memory.")
    gpu: GpuRequest | None = Field(default=None, title="GPU", description="GPU slices; none without it.")
    groups: tuple[str, ...] = Field(default=(), description="Groups that see and may start it; empty means everybody.")


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


class CullingConfig(Model):
    """When servers are stopped without being asked."""

    idle: Duration = Field(default=Duration.parse("2h"), description="How long a server may be idle.")
    every: Duration = Field(default=Duration.parse("10m"), description="How often idle servers are looked for.")
    max_age: Duration | None = Field(default=None, description="How long any server may run, busy or not.")

    @model_validator(mode="after")
    def _looks_often_enough(self) -> Self:
        if self.every > self.idle:
            raise CullingIntervalError(self.every, self.idle)
        return self


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


class DatabaseConfig(Model):
    """The hub's database: SQLite on a volume of its own."""

    capacity: Size = Field(default=Size.gibibytes(1), description="Capacity of its claim.")


class ServersConfig(Model):
    """Bounds on user servers altogether."""

    start_timeout: Duration = Field(
        default=Duration.parse("10m"), description="How long a server may take to start; a large image is pulled first."
    )
    concurrent_spawns: int = Field(
        default=64, ge=1, le=1024, description="Servers that may be starting at once; more are asked to try again."
    )
    most: int | None = Field(default=None, ge=1, description="Servers that may run at once; without it, no bound.")


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
