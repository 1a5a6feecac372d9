"""NVIDIA GPU models and how each may be cut: memory, MIG profiles, placements.

Geometry of one GPU: its memory is a row of slices numbered from 0. A MIG profile takes `size` neighbouring slices and
may start only at `starts`; two instances never share a slice. The figures are NVIDIA's own, read for driver branch 580:

- which models have MIG, their memory and compute capability: *MIG User Guide*, "Supported GPUs"; compute capability of
  the others: NVIDIA's list of CUDA GPUs (developer.nvidia.com/cuda-gpus);
- profiles, instances per GPU: the same guide, "Supported MIG Profiles", one table per model
  (docs.nvidia.com/datacenter/tesla/mig-user-guide/supported-mig-profiles.html);
- starts and sizes: the same guide, "Creating GPU Instances", output of ``nvidia-smi mig -lgipp``; the A30's in the
  figure of "Supported MIG Profiles" (four memory slices instead of eight). The guide prints one output for all models
  of eight slices; H100 NVL's own is the same. For B200 it has the table of profiles and the same figure, no output;
- profiles of the GH200 with 144 GB, which the guide lacks: NVIDIA/mig-parted v0.15.0,
  ``deployments/systemd/config-default.yaml``; it confirms those of every other model, by PCI device;
- names: what NVML reports (``nvidia-smi --query-gpu=name``, DCGM's label ``modelName``);
- memory: the product's data sheet, decimal gigabytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "MODELS",
    "MPS_CLIENTS",
    "Architecture",
    "ComputeCapability",
    "GpuModel",
    "GpuModelName",
    "HostGpus",
    "MigProfile",
    "known_gpus",
]


class GpuModelName(StrEnum):
    """Models the stack file may name."""

    V100_16 = "V100-16GB"
    V100_32 = "V100-32GB"
    V100_16_SXM2 = "V100-16GB-SXM2"
    V100_32_SXM2 = "V100-32GB-SXM2"
    T4 = "T4"
    A10 = "A10"
    A30 = "A30"
    A40 = "A40"
    L4 = "L4"
    L40S = "L40S"
    RTX_6000_ADA = "RTX-6000-Ada"
    A100_40_PCIE = "A100-40GB-PCIe"
    A100_40_SXM = "A100-40GB-SXM"
    A100_80_PCIE = "A100-80GB-PCIe"
    A100_80_SXM = "A100-80GB-SXM"
    H100_PCIE = "H100-80GB-PCIe"
    H100_SXM = "H100-80GB-SXM"
    H100_NVL = "H100-94GB-NVL"
    H200_SXM = "H200-141GB-SXM"
    H200_NVL = "H200-141GB-NVL"
    B200 = "B200"
    GH200_96 = "GH200-96GB"
    GH200_144 = "GH200-144GB"


class Architecture(StrEnum):
    """Generations, oldest first: they decide which kernel module drives a GPU."""

    VOLTA = "Volta"
    TURING = "Turing"
    AMPERE = "Ampere"
    ADA = "Ada Lovelace"
    HOPPER = "Hopper"
    GRACE_HOPPER = "Grace Hopper"
    BLACKWELL = "Blackwell"

    @property
    def runs_open_module(self) -> bool:
        """Whether the open kernel modules drive it: from Turing on (driver README, "Open Linux Kernel Modules")."""
        return self is not Architecture.VOLTA

    @property
    def runs_proprietary_module(self) -> bool:
        """Whether the proprietary kernel modules drive it: not Grace Hopper, not Blackwell (same chapter)."""
        return self not in {Architecture.GRACE_HOPPER, Architecture.BLACKWELL}


@dataclass(frozen=True, order=True, slots=True)
class ComputeCapability:
    """NVIDIA's version of what a GPU can do; later ones are greater."""

    major: int
    minor: int

    @property
    def family(self) -> str:
        """Value of the node label ``nvidia.com/gpu.family`` (NVIDIA/k8s-device-plugin, ``internal/lm/resource.go``)."""
        if self.major == 8:  # noqa: PLR2004 - the one major version of two families
            return "ada-lovelace" if self.minor >= 9 else "ampere"  # noqa: PLR2004 - Ada is 8.9
        if self.major == 7:  # noqa: PLR2004 - the other one
            return "turing" if self.minor >= 5 else "volta"  # noqa: PLR2004 - Turing is 7.5
        return {9: "hopper", 10: "blackwell", 12: "blackwell"}.get(self.major, "undefined")


MPS_CLIENTS = 48
"""Containers that may share one GPU by MPS (k8s-device-plugin v0.20.0, ``cmd/mps-control-daemon/mps/device.go``)."""
MPS_CLIENTS_BEFORE_TURING = 16
"""The same file's bound below compute capability 7.5. It means GPUs before Volta, and catches Volta (7.0) as well."""
TURING = ComputeCapability(7, 5)
VOLTA = ComputeCapability(7, 0)
"""From here on MPS clients have address spaces of their own (*CUDA Multi-Process Service*, "Volta MPS")."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MigProfile:
    """One way to cut an instance out of a GPU."""

    name: str
    """NVIDIA's name, such as ``3g.40gb`` or ``1g.10gb+me``."""
    compute_slices: int
    """Compute slices (the number before ``g``)."""
    memory_gigabytes: int
    """Nominal memory of the instance in GB (the number before ``gb``); the driver reports a little less."""
    size: int
    """Memory slices it occupies."""
    starts: tuple[int, ...]
    """Memory slices at which it may begin."""
    most: int
    """Instances of it that fit one otherwise empty GPU."""

    @property
    def has_media_extensions(self) -> bool:
        """Whether it takes the GPU's single set of media engines (``+me``): one such instance per GPU."""
        return self.name.endswith("+me")

    @property
    def resource_suffix(self) -> str:
        """The name as a Kubernetes resource may spell it: the device plugin writes ``.`` for ``+``."""
        return self.name.replace("+", ".")


@dataclass(frozen=True, kw_only=True)
class GpuModel:
    """One model and its geometry."""

    name: GpuModelName
    architecture: Architecture
    compute_capability: ComputeCapability
    memory_gigabytes: int
    """Memory of the whole GPU in GB, as its data sheet says."""
    nvml_name: str
    """Name the driver reports, and DCGM in its label ``modelName``."""
    memory_slices: int = 0
    """Slices of the geometry; 0 where there is no MIG."""
    profiles: tuple[MigProfile, ...] = ()
    """MIG profiles, smallest first; none where the model has no MIG."""

    @property
    def product(self) -> str:
        """Value of the node label ``nvidia.com/gpu.product``.

        Rule of NVIDIA/k8s-device-plugin, ``internal/lm/resource.go``, ``sanitise``.
        """
        return "-".join(re.sub(r"[^A-Za-z0-9\-_. ]", "", self.nvml_name).split())

    @property
    def compute_slices(self) -> int:
        """Compute slices of the whole GPU; 1 where there is no MIG."""
        return max((profile.compute_slices for profile in self.profiles), default=1)

    @property
    def most_mps_clients(self) -> int:
        """Containers that may share it by MPS; 0 where MPS does not keep them apart."""
        if self.compute_capability < VOLTA:
            return 0
        return MPS_CLIENTS if self.compute_capability >= TURING else MPS_CLIENTS_BEFORE_TURING

    @property
    def can_mig(self) -> bool:
        """Whether the model can be partitioned by MIG."""
        return bool(self.profiles)

    def profile(self, name: str) -> MigProfile | None:
        """Return the profile of that name, or None where the model has none."""
        return next((profile for profile in self.profiles if profile.name == name), None)


class HostGpus(Protocol):
    """The GPUs of one host: so many, all of one model. The nodes section's own model is one."""

    @property
    def model(self) -> str:
        """The model as the stack file names it; one of `GpuModelName` once checked."""
        ...

    @property
    def count(self) -> int:
        """How many."""
        ...


def _profile(name: str, size: int, starts: tuple[int, ...], most: int) -> MigProfile:
    compute, _, rest = name.partition("g.")
    return MigProfile(
        name=name,
        compute_slices=int(compute),
        memory_gigabytes=int(rest.partition("gb")[0]),
        size=size,
        starts=starts,
        most=most,
    )


def _eight_slices(one: int, two: int, half: int, full: int) -> tuple[MigProfile, ...]:
    """Return the geometry all eight-slice GPUs share (A100, H100, H200, GH200, B200); only the sizes in GB differ."""
    return (
        _profile(f"1g.{one}gb", 1, (0, 1, 2, 3, 4, 5, 6), 7),
        _profile(f"1g.{one}gb+me", 1, (0, 1, 2, 3, 4, 5, 6), 1),
        _profile(f"1g.{two}gb", 2, (0, 2, 4, 6), 4),
        _profile(f"2g.{two}gb", 2, (0, 2, 4), 3),
        _profile(f"3g.{half}gb", 4, (0, 4), 2),
        _profile(f"4g.{half}gb", 4, (0,), 1),
        _profile(f"7g.{full}gb", 8, (0,), 1),
    )


_A30_PROFILES = (
    _profile("1g.6gb", 1, (0, 1, 2, 3), 4),
    _profile("1g.6gb+me", 1, (0, 1, 2, 3), 1),
    _profile("2g.12gb", 2, (0, 2), 2),
    _profile("2g.12gb+me", 2, (0, 2), 1),
    _profile("4g.24gb", 4, (0,), 1),
)


def _model(
    name: GpuModelName,
    generation: tuple[Architecture, ComputeCapability],
    memory_gigabytes: int,
    nvml_name: str,
    profiles: tuple[MigProfile, ...] = (),
) -> GpuModel:
    return GpuModel(
        name=name,
        architecture=generation[0],
        compute_capability=generation[1],
        memory_gigabytes=memory_gigabytes,
        nvml_name=nvml_name,
        memory_slices=max((start + profile.size for profile in profiles for start in profile.starts), default=0),
        profiles=profiles,
    )


# Sizes: MIG User Guide, "Supported MIG Profiles", tables of A100, H100, H200 and B200; "H100 94GB" and "H100 96GB
# product (H100 on GH200)" have tables of their own there. GH200 144 GB: mig-parted (see above).
_A100_40 = _eight_slices(5, 10, 20, 40)
_A100_80 = _eight_slices(10, 20, 40, 80)
_H100_94 = _eight_slices(12, 24, 47, 94)
_GH200_96 = _eight_slices(12, 24, 48, 96)
_GH200_144 = _eight_slices(18, 36, 72, 144)
_H200 = _eight_slices(18, 35, 71, 141)
_B200 = _eight_slices(23, 45, 90, 180)

_VOLTA = (Architecture.VOLTA, ComputeCapability(7, 0))
_TURING = (Architecture.TURING, ComputeCapability(7, 5))
_AMPERE = (Architecture.AMPERE, ComputeCapability(8, 0))
_AMPERE_86 = (Architecture.AMPERE, ComputeCapability(8, 6))
_ADA = (Architecture.ADA, ComputeCapability(8, 9))
_HOPPER = (Architecture.HOPPER, ComputeCapability(9, 0))
_BLACKWELL = (Architecture.BLACKWELL, ComputeCapability(10, 0))
_GRACE_HOPPER = (Architecture.GRACE_HOPPER, ComputeCapability(9, 0))

_TABLE = (
    _model(GpuModelName.V100_16, _VOLTA, 16, "Tesla V100-PCIE-16GB"),
    _model(GpuModelName.V100_32, _VOLTA, 32, "Tesla V100-PCIE-32GB"),
    _model(GpuModelName.V100_16_SXM2, _VOLTA, 16, "Tesla V100-SXM2-16GB"),
    _model(GpuModelName.V100_32_SXM2, _VOLTA, 32, "Tesla V100-SXM2-32GB"),
    _model(GpuModelName.T4, _TURING, 16, "Tesla T4"),
    _model(GpuModelName.A10, _AMPERE_86, 24, "NVIDIA A10"),
    _model(GpuModelName.A30, _AMPERE, 24, "NVIDIA A30", _A30_PROFILES),
    _model(GpuModelName.A40, _AMPERE_86, 48, "NVIDIA A40"),
    _model(GpuModelName.L4, _ADA, 24, "NVIDIA L4"),
    _model(GpuModelName.L40S, _ADA, 48, "NVIDIA L40S"),
    _model(GpuModelName.RTX_6000_ADA, _ADA, 48, "NVIDIA RTX 6000 Ada Generation"),
    _model(GpuModelName.A100_40_PCIE, _AMPERE, 40, "NVIDIA A100-PCIE-40GB", _A100_40),
    _model(GpuModelName.A100_40_SXM, _AMPERE, 40, "NVIDIA A100-SXM4-40GB", _A100_40),
    _model(GpuModelName.A100_80_PCIE, _AMPERE, 80, "NVIDIA A100 80GB PCIe", _A100_80),
    _model(GpuModelName.A100_80_SXM, _AMPERE, 80, "NVIDIA A100-SXM4-80GB", _A100_80),
    _model(GpuModelName.H100_PCIE, _HOPPER, 80, "NVIDIA H100 PCIe", _A100_80),
    _model(GpuModelName.H100_SXM, _HOPPER, 80, "NVIDIA H100 80GB HBM3", _A100_80),
    _model(GpuModelName.H100_NVL, _HOPPER, 94, "NVIDIA H100 NVL", _H100_94),
    _model(GpuModelName.H200_SXM, _HOPPER, 141, "NVIDIA H200", _H200),
    _model(GpuModelName.H200_NVL, _HOPPER, 141, "NVIDIA H200 NVL", _H200),
    _model(GpuModelName.B200, _BLACKWELL, 180, "NVIDIA B200", _B200),
    _model(GpuModelName.GH200_96, _GRACE_HOPPER, 96, "NVIDIA GH200 480GB", _GH200_96),
    _model(GpuModelName.GH200_144, _GRACE_HOPPER, 144, "NVIDIA GH200 144G HBM3e", _GH200_144),
)

MODELS: Mapping[GpuModelName, GpuModel] = MappingProxyType({model.name: model for model in _TABLE})
"""Every known model, by the name the stack file uses."""


def known_gpus(gpus: HostGpus | None) -> tuple[GpuModel, int] | None:
    """Return model and number of a host's GPUs, or None where it has none or their model is unknown."""
    if gpus is None or gpus.model not in _NAMES:
        return None
    return MODELS[GpuModelName(gpus.model)], gpus.count


_NAMES = frozenset(str(name) for name in GpuModelName)
