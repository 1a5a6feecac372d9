"""What a profile lets its user choose: image, CPU and memory, GPU; each a list of named choices with one default."""

from collections import Counter
from collections.abc import Sequence
from typing import Self

from pydantic import Field, model_validator

from components.addresses import DnsLabel
from components.hub.errors import ChoiceTwiceError, DefaultChoicesError, SizeTwiceError
from components.images import Interface
from components.model import Model

from .resources_config import CpuAmount, GpuRequest, MemoryAmount, ProfileResources

__all__ = ["Choice", "CpuChoice", "GpuChoice", "ImageChoice", "MemoryChoice", "ProfileOptions", "SizeChoice"]

FEWEST_CHOICES = 2
"""One is no choice: then it belongs to the profile itself."""


class Choice(Model):
    """One of several, under a name of its own."""

    key: DnsLabel = Field(description="Identifier of the choice in the hub's API.")
    name: str = Field(min_length=1, max_length=80, description="What users read.")
    default: bool = Field(default=False, description="Whether it is chosen unless the user chooses.")


class ImageChoice(Choice):
    """An image to choose."""

    image: DnsLabel = Field(description="Name of the image among the environment's pins.")
    kind: Interface | None = Field(
        default=None, description="What opens in the browser; without it, what the profile says."
    )


class SizeChoice(Choice):
    """CPU and memory to choose together."""

    resources: ProfileResources = Field(description="CPU and memory.")


class CpuChoice(Choice):
    """An amount of CPU to choose."""

    cpu: CpuAmount = Field(title="CPU", description="CPU of the server.")


class MemoryChoice(Choice):
    """An amount of memory to choose."""

    memory: MemoryAmount = Field(description="Memory of the server.")


class GpuChoice(Choice):
    """GPU slices to choose, or none."""

    gpu: GpuRequest | None = Field(default=None, title="GPU", description="GPU slices; none without it.")


class ProfileOptions(Model):
    """What the user chooses within a profile. What is chosen here, the profile itself does not say."""

    image: tuple[ImageChoice, ...] = Field(default=(), description="Images; empty where the profile names its image.")
    size: tuple[SizeChoice, ...] = Field(default=(), description="Sizes: CPU and memory together.")
    cpu: tuple[CpuChoice, ...] = Field(default=(), title="CPU", description="Amounts of CPU; not beside sizes.")
    memory: tuple[MemoryChoice, ...] = Field(default=(), description="Amounts of memory; not beside sizes.")
    gpu: tuple[GpuChoice, ...] = Field(default=(), title="GPU", description="GPU slices, by type and size.")

    @model_validator(mode="after")
    def _each_has_one_default(self) -> Self:
        for option, choices in self.offered().items():
            if len(choices) < FEWEST_CHOICES or sum(choice.default for choice in choices) != 1:
                raise DefaultChoicesError(option, [choice.key for choice in choices if choice.default], len(choices))
            key, times = Counter(choice.key for choice in choices).most_common(1)[0]
            if times > 1:
                raise ChoiceTwiceError(option, key)
        if self.size and (self.cpu or self.memory):
            raise SizeTwiceError
        return self

    def offered(self) -> dict[str, Sequence[Choice]]:
        """Return the choices by option, without options that offer none."""
        every: dict[str, Sequence[Choice]] = {
            "image": self.image,
            "size": self.size,
            "cpu": self.cpu,
            "memory": self.memory,
            "gpu": self.gpu,
        }
        return {option: choices for option, choices in every.items() if choices}
