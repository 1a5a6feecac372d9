"""CPU, memory and GPU slices of one server, as the stack file says them."""

from typing import Self

from pydantic import Field, model_validator

from components.gpu.models import GpuModelName
from components.hub.errors import GuaranteeAboveLimitError
from components.model import Model
from components.quantities import Millicores, Size

__all__ = ["CpuAmount", "GpuRequest", "MemoryAmount", "ProfileResources", "ResourceAmounts"]


class ResourceAmounts(Model):
    """CPU and memory."""

    cpu: Millicores | None = Field(default=None, title="CPU", description="Cores, such as 2 or 500m.")
    memory: Size | None = Field(default=None, description="Memory, such as 4Gi.")


class ProfileResources(Model):
    """What a server is promised, and what it may use at most."""

    guarantee: ResourceAmounts = Field(
        default=ResourceAmounts(), description="Reserved for the server; decides which node has room for it."
    )
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

    def with_cpu(self, amount: "CpuAmount") -> "ProfileResources":
        """Return the same memory with another amount of CPU."""
        return ProfileResources(
            guarantee=ResourceAmounts(cpu=amount.guarantee, memory=self.guarantee.memory),
            limit=ResourceAmounts(cpu=amount.limit, memory=self.limit.memory),
        )

    def with_memory(self, amount: "MemoryAmount") -> "ProfileResources":
        """Return the same CPU with another amount of memory."""
        return ProfileResources(
            guarantee=ResourceAmounts(cpu=self.guarantee.cpu, memory=amount.guarantee),
            limit=ResourceAmounts(cpu=self.limit.cpu, memory=amount.limit),
        )


class CpuAmount(Model):
    """CPU that a server is promised, and may use at most."""

    guarantee: Millicores = Field(description="Cores reserved for the server, such as 2 or 500m.")
    limit: Millicores | None = Field(
        default=None, description="Cores it may use at most; only with resourcePolicy: strict."
    )

    @model_validator(mode="after")
    def _guarantee_within_limit(self) -> Self:
        if self.limit is not None and self.guarantee > self.limit:
            raise GuaranteeAboveLimitError(quantity="CPU", guarantee=self.guarantee, limit=self.limit)
        return self


class MemoryAmount(Model):
    """Memory that a server is promised, and may use at most."""

    guarantee: Size = Field(description="Memory reserved for the server, such as 4Gi.")
    limit: Size | None = Field(default=None, description="Memory it may use at most; only with resourcePolicy: strict.")

    @model_validator(mode="after")
    def _guarantee_within_limit(self) -> Self:
        if self.limit is not None and self.guarantee > self.limit:
            raise GuaranteeAboveLimitError(quantity="memory", guarantee=self.guarantee, limit=self.limit)
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
