"""GPU section of ``Pulumi.<stack>.yaml``: which hosts' GPUs are cut how, and where their driver comes from."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from components.addresses import DnsLabel
from components.model import Model

from .errors import GroupsOrUseError, UnsupportedSlicingError

__all__ = [
    "DriverConfig",
    "DriverSource",
    "GpuConfig",
    "GpuGroupConfig",
    "GpuUse",
    "KernelModule",
    "MigLayout",
    "MigSlicing",
    "Slicing",
    "TimeSlicing",
    "UsedSlice",
    "WholeGpus",
]

MOST_REPLICAS = 48
"""Containers that may share one GPU: their CUDA contexts alone, some 0.5 GB each, would fill a GPU of 24 GB."""

MOST_INSTANCES = 7
"""MIG instances of one GPU, over all models (*MIG User Guide*, "Supported GPUs")."""

_SUPPORTED = ("whole", "mig", "timeSlicing")
_KNOWN_ELSEWHERE = {"mps": "MPS", "vgpu": "vGPU", "hami": "HAMi", "dra": "dynamic resource allocation"}


GroupName = Annotated[DnsLabel, Field(max_length=40)]
"""Name of a group; with a digest or suffix behind it it still is a label's value (63 characters)."""


class DriverSource(StrEnum):
    """Where the NVIDIA driver comes from. Never both: two drivers on one host clash."""

    OPERATOR = "operator"
    """Driver containers of the GPU operator."""
    HOST = "host"
    """Packages the host already has."""


class KernelModule(StrEnum):
    """Which of NVIDIA's kernel modules the operator's driver loads."""

    AUTO = "auto"
    OPEN = "open"
    PROPRIETARY = "proprietary"


class DriverConfig(Model):
    """The driver of all GPU hosts."""

    source: DriverSource = Field(
        default=DriverSource.OPERATOR,
        description="`operator`: the GPU operator's driver containers; `host`: packages already on the hosts.",
    )
    kernel_module: KernelModule = Field(
        default=KernelModule.AUTO,
        description="Kernel module of the operator's driver; `auto` follows the GPU's generation. Volta has only the "
        "proprietary one, Grace Hopper and Blackwell only the open one.",
    )


MigLayout = Annotated[
    dict[str, Annotated[int, Field(ge=1, le=MOST_INSTANCES)]],
    Field(description="Instances per MIG profile on one GPU, such as {1g.10gb: 4, 3g.40gb: 1}; {} leaves it whole."),
]


class WholeGpus(Model):
    """Each GPU goes to one container at a time."""

    kind: Literal["whole"] = Field(description="GPUs are handed out whole.")


class MigSlicing(Model):
    """Each GPU is cut into MIG instances with memory and compute of their own."""

    kind: Literal["mig"] = Field(description="GPUs are cut by MIG; memory and errors are isolated.")
    layout: MigLayout | tuple[MigLayout, ...] = Field(
        description="One layout for every GPU of the group's hosts, or a list with one layout per GPU of a host, in "
        "the driver's order."
    )


class TimeSlicing(Model):
    """Each GPU is shared by several containers in turns, without isolation of memory or errors."""

    kind: Literal["timeSlicing"] = Field(description="Several containers share each GPU in turns, unisolated.")
    replicas: int = Field(ge=2, le=MOST_REPLICAS, description="Containers that may share one GPU.")


def _refuse_by_name(value: object) -> object:
    """Refuse methods of the future by their name, so that the message does not read like a typing error."""
    kind: object = value.get("kind") if isinstance(value, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - raw input
    if isinstance(kind, str) and kind.lower() in _KNOWN_ELSEWHERE:
        raise UnsupportedSlicingError(_KNOWN_ELSEWHERE[kind.lower()], _SUPPORTED)
    return value  # pyright: ignore[reportUnknownVariableType] - pydantic judges the rest


Slicing = Annotated[
    Annotated[WholeGpus | MigSlicing | TimeSlicing, Field(discriminator="kind")], BeforeValidator(_refuse_by_name)
]
"""How the GPUs of one group are handed out."""


class GpuGroupConfig(Model):
    """Hosts whose GPUs are cut alike."""

    hosts: tuple[DnsLabel, ...] = Field(min_length=1, description="Names of the hosts, as the nodes section has them.")
    slicing: Slicing = Field(description="How their GPUs are handed out.")


class UsedSlice(Model):
    """Slices of one kind that another stack's GPUs offer to this stack."""

    slice: str = Field(description="Name of the slice, such as 1g.10gb, whole or whole.shared.")
    count: int = Field(ge=1, description="Most that one node offers.")


class GpuUse(Model):
    """GPUs that another stack owns and cuts."""

    slices: tuple[UsedSlice, ...] = Field(min_length=1, description="What its nodes offer.")


class GpuConfig(Model):
    """The lab's GPUs: either cut by this stack, or used from another."""

    driver: DriverConfig = Field(default=DriverConfig(), description="Where the NVIDIA driver comes from.")
    groups: dict[GroupName, GpuGroupConfig] = Field(
        default={}, description="Groups of hosts by name; a host with GPUs is in exactly one."
    )
    use: GpuUse | None = Field(
        default=None, title="Used from another stack", description="GPUs that another stack's operator cuts."
    )

    @model_validator(mode="after")
    def _groups_or_use(self) -> Self:
        if bool(self.groups) == (self.use is not None):
            raise GroupsOrUseError(both=self.use is not None)
        return self
