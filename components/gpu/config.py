"""GPU section of ``Pulumi.<stack>.yaml``: which hosts' GPUs are cut how, and where their driver comes from."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self, cast

from pydantic import BeforeValidator, Field, model_validator

from components.addresses import DnsLabel
from components.model import Model

from .change_config import ChangeConfig
from .errors import GroupsOrUseError, MpsOnMigError, UnsupportedSlicingError
from .models import MPS_CLIENTS, GpuModelName

__all__ = [
    "DriverConfig",
    "DriverSource",
    "GpuConfig",
    "GpuGroupConfig",
    "GpuUse",
    "KernelModule",
    "MigLayout",
    "MigSlicing",
    "MigStrategy",
    "MpsSlicing",
    "Slicing",
    "TimeSlicing",
    "UsedSlice",
    "WholeGpus",
]

MOST_REPLICAS = 48
"""Containers that take turns on one GPU: their CUDA contexts alone, some 0.5 GB each, would fill a GPU of 24 GB."""

MOST_INSTANCES = 7
"""MIG instances of one GPU, over all models (*MIG User Guide*, "Supported GPUs")."""

_ELSEWHERE = {
    "vgpu": (
        "vGPU",
        "it divides GPUs among virtual machines, under a licence and a hypervisor's driver; nodes here run containers",
        ("kind: mig", "kind: mps"),
    ),
    "hami": (
        "HAMi",
        "its device plugin and scheduler would compete with the GPU operator's for the same GPUs",
        ("kind: mps", "kind: mig", "kind: timeSlicing"),
    ),
    "dra": (
        "dynamic resource allocation",
        "its claims are no extended resources, which hub, quotas and capacity planning count",
        ("kind: whole", "kind: mig", "kind: timeSlicing", "kind: mps"),
    ),
}
"""Methods of the field that are refused by name: what it is called, why it is not built, what exists instead."""


GroupName = Annotated[DnsLabel, Field(max_length=40)]
"""Name of a group; with a digest or suffix behind it it still is a label's value (63 characters)."""


class MigStrategy(StrEnum):
    """How the device plugin names MIG instances (NVIDIA/k8s-device-plugin, README, ``migStrategy``)."""

    MIXED = "mixed"
    """Every profile is a resource of its own."""
    SINGLE = "single"
    """All GPUs of a node have one and the same profile, offered as if each instance were a GPU."""


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


DriverVersion = Annotated[str, Field(pattern=r"^[1-9][0-9]{2}\.[0-9]{1,3}(\.[0-9]{1,3})?$")]
"""Version of NVIDIA's driver, branch first: ``580.95.05``."""


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
    version: DriverVersion | None = Field(
        default=None,
        description="Version of the operator's driver, such as 580.95.05; without it the one its chart brings. A new "
        "one reaches a node once no session uses its GPUs.",
    )


MigLayout = Annotated[
    dict[str, Annotated[int, Field(ge=1, le=MOST_INSTANCES)]],
    Field(description="Instances per MIG profile on one GPU, such as {1g.10gb: 4, 3g.40gb: 1}; {} leaves it whole."),
]


Replicas = Annotated[int, Field(ge=2, le=MOST_REPLICAS)]
"""Containers that share one GPU or instance; the device plugin refuses fewer than 2 (``api/config/v1/replicas.go``)."""


class WholeGpus(Model):
    """Each GPU goes to one container at a time."""

    kind: Literal["whole"] = Field(description="GPUs are handed out whole.")


class MigSlicing(Model):
    """Each GPU is cut into MIG instances with memory and compute of their own."""

    kind: Literal["mig"] = Field(description="GPUs are cut by MIG; memory and errors are isolated.")
    strategy: MigStrategy = Field(
        default=MigStrategy.MIXED,
        description="`mixed`: every profile is a resource of its own; `single`: one profile on all GPUs of the group, "
        "asked for like whole GPUs.",
    )
    layout: MigLayout | tuple[MigLayout, ...] = Field(
        description="One layout for every GPU of the group's hosts, or a list with one layout per GPU of a host, in "
        "the driver's order."
    )
    shared: dict[str, Replicas] = Field(
        default={},
        description="Containers that may share one instance in turns, by profile, such as {1g.10gb: 4}; profiles not "
        "named stay dedicated.",
    )


class TimeSlicing(Model):
    """Each GPU is shared by several containers in turns, without isolation of memory or errors."""

    kind: Literal["timeSlicing"] = Field(description="Several containers share each GPU in turns, unisolated.")
    replicas: Replicas = Field(description="Containers that may share one GPU.")


class MpsSlicing(Model):
    """Each GPU is shared by several containers at the same time, each with an equal part of memory and compute.

    A container gets memory and threads up to total divided by replicas; a crash may still end the others. All
    containers on one GPU have to run under one Unix user: the MPS server serves one user, and clients of another wait
    until its clients ended (nvidia-cuda-mps-control(1); the device plugin starts it without ``-multiuser-server``).
    """

    kind: Literal["mps"] = Field(
        description="Several containers of one Unix user share each GPU at the same time, each with an equal part of "
        "its memory and compute."
    )
    replicas: int = Field(ge=2, le=MPS_CLIENTS, description="Containers that may share one GPU.")


def _as_object(value: object) -> Mapping[str, object]:
    """Return raw input as an object; an empty one where it is none, for pydantic to judge."""
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}


def _refuse_by_name(value: object) -> object:
    """Refuse what the field knows and this program lacks by its name, so that it does not read like a typing error."""
    given = _as_object(value)
    kind = given.get("kind")
    if isinstance(kind, str) and kind.lower() in _ELSEWHERE:
        raise UnsupportedSlicingError(*_ELSEWHERE[kind.lower()])
    if kind == "mig" and "mps" in given:
        raise MpsOnMigError
    return value


Slicing = Annotated[
    Annotated[WholeGpus | MigSlicing | TimeSlicing | MpsSlicing, Field(discriminator="kind")],
    BeforeValidator(_refuse_by_name),
]
"""How the GPUs of one group are handed out."""


class GpuGroupConfig(Model):
    """Hosts whose GPUs are cut alike."""

    hosts: tuple[DnsLabel, ...] = Field(min_length=1, description="Names of the hosts, as the nodes section has them.")
    slicing: Slicing = Field(description="How their GPUs are handed out.")


class UsedSlice(Model):
    """Slices of one kind that another stack's GPUs offer to this stack."""

    slice: str = Field(description="Name of the slice, such as 1g.10gb, whole, whole.shared or whole.mps.")
    count: int = Field(ge=1, description="Most that one node offers.")
    model: GpuModelName | None = Field(
        default=None, description="GPU model it is cut from; pods are then bound to nodes of that model."
    )
    strategy: MigStrategy = Field(
        default=MigStrategy.MIXED,
        description="MIG strategy of the stack that cuts it; `single` needs the model, for whole GPUs share its "
        "resource.",
    )


class GpuUse(Model):
    """GPUs that another stack owns and cuts."""

    slices: tuple[UsedSlice, ...] = Field(min_length=1, description="What its nodes offer.")


class GpuConfig(Model):
    """The lab's GPUs: either cut by this stack, or used from another."""

    driver: DriverConfig = Field(default=DriverConfig(), description="Where the NVIDIA driver comes from.")
    groups: dict[GroupName, GpuGroupConfig] = Field(
        default={}, description="Groups of hosts by name; a host with GPUs is in exactly one."
    )
    change: ChangeConfig = Field(
        default=ChangeConfig(), description="How a change of slices reaches nodes that people work on."
    )
    use: GpuUse | None = Field(
        default=None, title="Used from another stack", description="GPUs that another stack's operator cuts."
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_keys_by_name(cls, value: object) -> object:
        for key in _as_object(value):
            if key.lower() in _ELSEWHERE:
                raise UnsupportedSlicingError(*_ELSEWHERE[key.lower()])
        return value

    @model_validator(mode="after")
    def _groups_or_use(self) -> Self:
        if bool(self.groups) == (self.use is not None):
            raise GroupsOrUseError(both=self.use is not None)
        return self
