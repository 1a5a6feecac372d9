"""``labctl drift --json``: a document that stays as it is, described by its models."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from components.gpu.config import KernelModule
from components.model import Model

from .findings import HostState, Standing, StepState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.gpu.driver_facts import GpuFacts

    from .facts import HostFacts
    from .findings import HostFinding, StepFinding

__all__ = ["DriftDocument", "drift_document"]


class StepDocument(Model):
    """One step of a host."""

    step: str = Field(description="Name of the step: `system`, `runtime`, `kubernetes` and so on.")
    subject: str | None = Field(description="Host that the step is about; null where it is about the cluster.")
    state: StepState = Field(
        description="`converged`, `differs`, `waiting` (for steps not applied yet), `failed` (its check ended in an "
        "error) or `unanswered`."
    )
    standing: Standing = Field(
        description="`applied`: the plan's step is the one applied last, so what differs was changed on the host; "
        "`changed`: the stack file has changed since; `new`: it was never applied."
    )
    differs: tuple[str, ...] = Field(description="What differs, in the step's words: `file /etc/chrony/chrony.conf`.")
    reason: str | None = Field(description="Why there is no answer; null where there is one.")


class CertificateDocument(Model):
    """One certificate on a host."""

    path: str = Field(description="File that holds it.")
    expires: datetime | None = Field(description="Its end; null where it cannot be read.")


class DiskDocument(Model):
    """The file system behind a folder."""

    path: str = Field(description="The folder.")
    total_bytes: int = Field(description="Size.")
    free_bytes: int = Field(description="Free for everybody.")
    total_inodes: int = Field(description="Inodes; 0 where the file system does not count them.")
    free_inodes: int = Field(description="Free inodes.")


class GpuDocument(Model):
    """One GPU as its driver sees it."""

    address: str = Field(description="PCI address.")
    product: str = Field(description="What the driver calls it.")
    memory_mebibytes: int | None = Field(description="Memory of the whole GPU in MiB.")
    is_mig: bool | None = Field(title="MIG", description="Whether it is in MIG mode; null where it has none.")
    instances: dict[str, int] = Field(description="MIG instances by profile.")
    processes: int = Field(description="Processes that use it.")
    uncorrected_errors: int | None = Field(description="Uncorrectable memory errors; null without ECC.")
    needs_reset: bool = Field(description="Whether it waits for a reset.")


class GpusDocument(Model):
    """The GPUs of a host and their driver."""

    devices: dict[str, str] = Field(description="GPUs on the bus: device id by PCI address.")
    driver: str | None = Field(description="Version of the kernel module that is loaded.")
    kernel_module: KernelModule | None = Field(description="Which of NVIDIA's modules that is.")
    origins: tuple[str, ...] = Field(description="Where drivers come from: `operator`, `packages`, `runfile`.")
    packages: tuple[str, ...] = Field(description="Installed packages of a driver, with their version.")
    is_secure_boot: bool | None = Field(description="Whether Secure Boot is on; null without UEFI.")
    error: str | None = Field(description="What nvidia-smi said instead of an answer.")
    gpus: tuple[GpuDocument, ...] = Field(title="GPUs", description="GPUs that the driver knows, in its order.")


class FactsDocument(Model):
    """A host as it was when it was asked; null or empty is what it does not have."""

    kernel: str | None = Field(description="Release of the running kernel.")
    booted: datetime | None = Field(description="When it was started.")
    distribution: str | None = Field(description="Name and version of the distribution.")
    containerd: str | None = Field(title="containerd", description="Version of containerd.")
    kubelet: str | None = Field(title="kubelet", description="Version of the kubelet's program.")
    is_reboot_required: bool = Field(description="Whether an installed update waits for a reboot.")
    reboot_packages: tuple[str, ...] = Field(description="Packages that it is an update of.")
    certificates: tuple[CertificateDocument, ...] = Field(description="The control plane's and the kubelet's.")
    disks: tuple[DiskDocument, ...] = Field(description="Of containerd, the kubelet and etcd.")
    gpus: GpusDocument | None = Field(title="GPUs", description="NVIDIA GPUs; null where the host shows none.")


class HostDocument(Model):
    """One host."""

    address: str = Field(description="Login and address.")
    state: HostState = Field(
        description="`converged`, `differs`, or `unanswered` where the host or one of its steps gave no answer."
    )
    reason: str | None = Field(description="Why it could not be asked, or not to the end.")
    seconds: float = Field(description="How long it took, connecting included.")
    steps: tuple[StepDocument, ...] = Field(description="The plan's steps on this host, in their order.")
    facts: FactsDocument | None = Field(description="What it says of itself; null where it was not asked.")
    warnings: tuple[str, ...] = Field(description="What in the facts somebody should see to.")


class DriftDocument(Model):
    """What differs between the hosts of a stack and their plan."""

    version: Literal[1] = Field(default=1, description="Of this document's shape; fields may be added to it.")
    stack: str = Field(description="Name of the stack.")
    hosts: dict[str, HostDocument] = Field(description="Each host that was asked, by name.")


def drift_document(stack: str, findings: Sequence[HostFinding]) -> DriftDocument:
    """Return the document for what was found; secrets were taken out of it before."""
    return DriftDocument(
        stack=stack,
        hosts={
            found.host: HostDocument(
                address=found.address,
                state=found.state,
                reason=found.reason,
                seconds=found.seconds,
                steps=tuple(_step(step) for step in found.steps),
                facts=None if found.facts is None else _facts(found.facts),
                warnings=found.warnings,
            )
            for found in findings
        },
    )


def _step(found: StepFinding) -> StepDocument:
    return StepDocument(
        step=found.step,
        subject=found.subject,
        state=found.state,
        standing=found.standing,
        differs=found.differs,
        reason=found.reason,
    )


def _facts(facts: HostFacts) -> FactsDocument:
    return FactsDocument(
        kernel=facts.kernel,
        booted=facts.booted,
        distribution=facts.distribution,
        containerd=facts.containerd,
        kubelet=facts.kubelet,
        is_reboot_required=facts.is_reboot_required,
        reboot_packages=facts.reboot_packages,
        certificates=tuple(CertificateDocument(path=item.path, expires=item.expires) for item in facts.certificates),
        disks=tuple(
            DiskDocument(
                path=disk.path,
                total_bytes=disk.total_bytes,
                free_bytes=disk.free_bytes,
                total_inodes=disk.total_inodes,
                free_inodes=disk.free_inodes,
            )
            for disk in facts.disks
        ),
        gpus=None if facts.gpus is None else _gpus(facts.gpus),
    )


def _gpus(facts: GpuFacts) -> GpusDocument:
    return GpusDocument(
        devices={device.address: device.device_id for device in facts.devices},
        driver=None if facts.module is None else facts.module.version,
        kernel_module=None if facts.module is None else facts.module.kind,
        origins=facts.origins,
        packages=facts.packages,
        is_secure_boot=facts.is_secure_boot,
        error=facts.error,
        gpus=tuple(
            GpuDocument(
                address=state.address,
                product=state.product,
                memory_mebibytes=state.memory_mebibytes,
                is_mig=state.is_mig,
                instances=dict(Counter(instance.profile for instance in state.instances)),
                processes=state.processes,
                uncorrected_errors=state.uncorrected_errors,
                needs_reset=state.needs_reset,
            )
            for state in facts.states
        ),
    )
