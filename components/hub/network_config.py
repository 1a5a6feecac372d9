"""Outgoing network of user servers: what all of them reach, and classes of servers that reach more or less."""

from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated, Self

from pydantic import Field, model_validator

from components.addresses import Address, AnyNetwork, Cidr, DnsLabel
from components.model import Model
from components.networks import IPV6

from .errors import DefaultClassError, WebProxyError

__all__ = ["DEFAULT_CLASS", "EgressRule", "Internet", "NetworkAccess", "NetworkClass", "WebProxy"]

DEFAULT_CLASS = "default"
"""Class of every server whose profile names none: the section's own settings."""


class Internet(StrEnum):
    """How far a server's outgoing connections reach beyond the cluster."""

    NONE = "none"
    WEB = "web"
    """HTTP, HTTPS and SSH to public addresses: packages, data, git."""
    ALL = "all"
    """Any port of any public address."""
    PROXY = "proxy"
    """The lab's web proxy alone, which says what lies beyond it."""


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


class NetworkClass(Model):
    """Outgoing connections of the servers of one class; private addresses stay closed unless a rule opens them."""

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


class NetworkAccess(NetworkClass):
    """Outgoing connections of user servers; private addresses stay closed unless a rule opens them."""

    classes: dict[DnsLabel, NetworkClass] = Field(
        default={},
        description="Other outgoing connections by the name that a profile gives as its `network`; a class says all "
        "its servers reach, and takes nothing over from the settings beside it.",
    )

    @model_validator(mode="after")
    def _default_is_the_section_itself(self) -> Self:
        if DEFAULT_CLASS in self.classes:
            raise DefaultClassError(DEFAULT_CLASS)
        return self

    def by_class(self) -> dict[str, NetworkClass]:
        """Return every class by name, the section's own settings first, as `DEFAULT_CLASS`."""
        return {DEFAULT_CLASS: self, **self.classes}
