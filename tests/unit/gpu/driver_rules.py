"""The rules of docs/gpu-drivers.md a second time, in Python: what the step ``gpu-driver`` has to be held against."""

from __future__ import annotations

from collections.abc import Iterator

from driver_hosts import KERNEL, Driver, Machine

from components.gpu.models import MODELS, Architecture, GpuModelName
from components.gpu.pci_ids import device_name

DRIVER_PREFIXES = ("nvidia-driver-", "nvidia-dkms-", "nvidia-utils-", "linux-modules-nvidia-")

PHRASES = {
    "another-model": "and nodes.hosts.gpu-1.gpus.model says",
    "another-count": "NVIDIA GPUs, and nodes.hosts.gpu-1.gpus says",
    "runtime": "containerd has an NVIDIA runtime",
    "system": "NVIDIA has no driver container for",
    "packages": "packages of an NVIDIA driver are installed",
    "installer": "NVIDIA's installer put a driver there",
    "stray-module": "its kernel has an NVIDIA module of nobody's",
    "left-over": "whose driver is gone from the disk",
    "nouveau-used": "nouveau is loaded and in use",
    "unsigned": "and the operator's are not signed",
    "headers": "the archive has no linux-headers-",
    "nouveau": "nouveau is loaded; it is",
    "operator-runs": "the operator's driver container runs there",
    "two-drivers": "it has a driver from packages and one from NVIDIA's installer",
    "no-driver": "there is no NVIDIA driver",
    "no-module": "has no module for the running kernel",
    "stale": "is loaded, and the installed driver is",
    "kind": "its kernel module is the",
    "too-old": "or later",
    "too-new": "ended with branch",
    "fabric": "it has NVSwitches and no nvidia-fabricmanager",
}
"""Words by which each refusal is known."""


def refusals(machine: Machine, source: str, model: GpuModelName, count: int) -> set[str]:
    """Return which refusals a machine meets, before anything on it is touched."""
    found = {*_hardware(machine, model, count)}
    if machine.containerd is not None and "/usr/local/nvidia/" not in machine.containerd:
        found.add("runtime")
    return found | {*(_operator(machine) if source == "operator" else _host(machine, model))}


def _hardware(machine: Machine, model: GpuModelName, count: int) -> Iterator[str]:
    if len(machine.devices) != count:
        yield "another-count"
    if any(device_name(device) not in {None, model.value} for device in machine.devices):
        yield "another-model"


def _has_packages(machine: Machine) -> bool:
    there = {"installed", "unpacked", "half-configured"}
    return any(name.startswith(DRIVER_PREFIXES) and state in there for name, state in machine.packages.items())


def _operator(machine: Machine) -> Iterator[str]:
    if machine.system not in {("ubuntu", "22.04"), ("ubuntu", "24.04")}:
        yield "system"
    if _has_packages(machine):
        yield "packages"
    if machine.has_runfile:
        yield "installer"
    if not _has_packages(machine) and not machine.has_runfile:
        if machine.on_disk is not None:
            yield "stray-module"
        elif machine.loaded is not None and not (machine.has_operator or machine.has_run_folder):
            yield "left-over"
    if machine.nouveau_users:
        yield "nouveau-used"
    locked = machine.secure_boot if machine.lockdown is None else machine.lockdown != "none"
    if machine.is_enforcing or locked:
        yield "unsigned"
    if machine.known_headers and KERNEL not in machine.known_headers:
        yield "headers"


def _host(machine: Machine, model: GpuModelName) -> Iterator[str]:
    if machine.nouveau_users is not None:
        yield "nouveau"
    if machine.has_operator:
        yield "operator-runs"
        return
    if _has_packages(machine) and machine.has_runfile:
        yield "two-drivers"
    if not _has_packages(machine) and not machine.has_runfile and machine.on_disk is None:
        yield "no-driver"
        return
    driver = machine.loaded or machine.on_disk
    if driver is None:
        yield "no-module"
    else:
        yield from _unfit(driver, model)
    if machine.loaded and machine.on_disk and machine.loaded.version != machine.on_disk.version:
        yield "stale"
    if machine.switches and not machine.has_fabric_manager:
        yield "fabric"


def _unfit(driver: Driver, model: GpuModelName) -> Iterator[str]:
    architecture = MODELS[model].architecture
    drives = architecture.runs_open_module if driver.kind == "open" else architecture.runs_proprietary_module
    if not drives:
        yield "kind"
    branch = int(driver.version.split(".")[0])
    if architecture is Architecture.BLACKWELL and branch < 570:
        yield "too-old"
    if architecture is Architecture.VOLTA and branch > 580:
        yield "too-new"
