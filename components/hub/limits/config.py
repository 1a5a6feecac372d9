"""Bounds on users' servers: when they are stopped without being asked, how many there may be."""

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from components.addresses import Cidr, DnsLabel
from components.hub.errors import CullingIntervalError, EmptyLimitError, GpuCullingPrometheusError, PrometheusPlaceError
from components.model import Model
from components.quantities import Duration

__all__ = ["Amounts", "CullingConfig", "GpuCulling", "LimitsConfig", "Prometheus", "ServersConfig"]

HTTP_PORT, HTTPS_PORT = 80, 443
"""Ports of an address that names none (RFC 9110)."""


class Prometheus(Model):
    """A Prometheus that collects what DCGM measures on the GPUs."""

    address: str = Field(
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        description="Its address as the hub reaches it, such as http://prometheus.monitoring:9090.",
    )
    namespace: DnsLabel | None = Field(
        default=None, description="Namespace of its pods, where it runs in the cluster; the hub is let out to them."
    )
    networks: tuple[Cidr, ...] = Field(
        default=(), description="Networks it is in, where it runs outside the cluster; the hub is let out to them."
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None,
        description="TCP port of its pods or machine, where a Service maps it to another one.",
    )

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if (self.namespace is None) == (not self.networks):
            raise PrometheusPlaceError(has_both=self.namespace is not None)
        return self

    @property
    def reached_port(self) -> int:
        """The port a network policy has to open: of the pod, not of the Service."""
        if self.port is not None:
            return self.port
        parts = urlsplit(self.address)
        return parts.port or (HTTPS_PORT if parts.scheme == "https" else HTTP_PORT)


class GpuCulling(Model):
    """When servers are stopped whose GPUs do nothing, however busy their CPUs are."""

    idle: Duration = Field(
        default=Duration.parse("1h"), description="How long all GPUs of a server must have done nothing."
    )
    threshold: int = Field(
        default=5, ge=1, le=50, description="Activity in percent that no GPU of the server reached in that time."
    )
    prometheus: Prometheus | None = Field(
        default=None, description="Where DCGM's measurements are collected; without it idle GPUs are not known."
    )

    @model_validator(mode="after")
    def _knows_what_gpus_do(self) -> Self:
        if self.prometheus is None:
            raise GpuCullingPrometheusError
        return self


class CullingConfig(Model):
    """When servers are stopped without being asked."""

    idle: Duration = Field(default=Duration.parse("2h"), description="How long a server may be idle.")
    every: Duration = Field(default=Duration.parse("10m"), description="How often idle servers are looked for.")
    max_age: Duration | None = Field(default=None, description="How long any server may run, busy or not.")
    warnings: tuple[Duration, ...] = Field(
        default=(Duration.parse("30m"), Duration.parse("5m")),
        min_length=1,
        max_length=8,
        description="How long before a server's walltime ends its user is warned in JupyterLab.",
    )
    gpu: GpuCulling | None = Field(
        default=None, title="GPU", description="When servers with idle GPUs are stopped; never without it."
    )

    @model_validator(mode="after")
    def _looks_often_enough(self) -> Self:
        if self.every > self.idle:
            raise CullingIntervalError(self.every, self.idle)
        return self


class ServersConfig(Model):
    """Bounds on user servers altogether."""

    start_timeout: Duration = Field(
        default=Duration.parse("10m"), description="How long a server may take to start; a large image is pulled first."
    )
    concurrent_spawns: int = Field(
        default=64, ge=1, le=1024, description="Servers that may be starting at once; more wait in line."
    )
    most: int | None = Field(default=None, ge=1, description="Servers that may run at once; without it, no bound.")
    named: int = Field(
        default=0, ge=0, le=32, description="Servers with a name a user may have beside the default one; 0 allows none."
    )


class Amounts(Model):
    """The most that may run at once."""

    servers: int | None = Field(default=None, ge=1, description="Servers; without it, no bound.")
    gpus: int | None = Field(
        default=None, ge=0, title="GPUs", description="GPU slices of those servers, of any size; without it, no bound."
    )

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.servers is None and self.gpus is None:
            raise EmptyLimitError
        return self


class LimitsConfig(Model):
    """How much may run at once per user and per group; servers that are starting count."""

    per_user: Amounts | None = Field(default=None, description="Of each user; administrators included.")
    groups: dict[Annotated[str, Field(min_length=1)], Amounts] = Field(
        default={}, description="Of the members of a group together, by the group's name."
    )
