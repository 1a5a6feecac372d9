"""Profiles of the hub section: what users choose from on the spawn page."""

from typing import Self

from pydantic import Field, model_validator

from components.addresses import DnsLabel
from components.gpu.models import GpuModelName
from components.model import Model
from components.quantities import Millicores, Size

from .errors import GuaranteeAboveLimitError

__all__ = ["GpuRequest", "ProfileConfig", "ProfileResources", "ResourceAmounts"]


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
