"""What hosts say of their GPUs, read: lines of ``gpu-facts.sh``, and in them nvidia-smi's own documents. Pure.

Nothing here refuses: a text that is not understood gives no fact. The documents are those of ``nvidia-smi -q -x``
(``nvsmi_device_v10.dtd`` to ``v13``, drivers 450 to 590) and the table of ``nvidia-smi mig -lgi``.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from .config import KernelModule
from .pci_ids import device_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "GpuDevice",
    "GpuFacts",
    "GpuState",
    "KernelEvent",
    "MigInstance",
    "ModuleFacts",
    "describe_gpus",
    "gpu_warnings",
    "parse_gpu_facts",
    "parse_instances",
    "parse_module",
    "parse_states",
]

MOST_BYTES: Final = 8 * 2**20
"""Of one document: sixteen GPUs with hundreds of processes take half a megabyte."""
DAMAGE_XIDS: Final = {
    48: "a double-bit ECC error",
    63: "a row that is to be remapped",
    64: "a row that could not be remapped",
    74: "an NVLink error",
    79: "the GPU has fallen off the bus",
    94: "a contained memory error",
    95: "an uncontained memory error",
    119: "no answer from its system processor",
    120: "an error of its system processor",
    140: "an uncorrectable ECC error",
}
"""Xid events that speak of the hardware rather than of somebody's program (NVIDIA, *XID Errors*, its catalog)."""
_ENABLED: Final = {"Enabled": True, "Disabled": False}
_MODULE: Final = re.compile(
    r"NVRM version: NVIDIA UNIX (?:(?P<open>Open) Kernel Module for \w+|\w+ Kernel Module) +(?P<version>\d[\d.]*\d)\b"
)
_INSTANCE: Final = re.compile(
    r"\| +(?P<gpu>\d+) +MIG (?P<profile>\d+g\.\d+gb(?:[+-][\w.+-]+)?) +\d+ +\d+ +(?P<start>\d+):(?P<size>\d+) +\|"
)


@dataclass(frozen=True, kw_only=True)
class GpuDevice:
    """A GPU on the bus, whether or not a driver knows it."""

    address: str
    """PCI address: ``0000:65:00.0``."""
    device_id: str
    """Four hexadecimal digits, NVIDIA's own."""

    @property
    def name(self) -> str | None:
        """Return what the id stands for, None where no table here has it."""
        return device_name(self.device_id)


@dataclass(frozen=True, kw_only=True)
class ModuleFacts:
    """The kernel module that is loaded."""

    version: str
    kind: KernelModule
    """`KernelModule.OPEN` or `KernelModule.PROPRIETARY`."""


@dataclass(frozen=True, kw_only=True)
class MigInstance:
    """One GPU instance."""

    gpu: int
    """The GPU, counted as nvidia-smi does."""
    profile: str
    start: int
    """First memory slice."""
    size: int
    """Memory slices."""


@dataclass(frozen=True, kw_only=True)
class GpuState:
    """One GPU as its driver sees it."""

    address: str
    """PCI address in the form of `GpuDevice`."""
    product: str
    memory_mebibytes: int | None
    is_mig: bool | None
    """Whether MIG is on; None where the GPU has none."""
    is_mig_pending: bool | None
    """What it will be after a reset."""
    is_persistent: bool | None
    uncorrected_errors: int | None
    """Uncorrectable ECC errors since the driver was loaded; None without ECC."""
    needs_reset: bool = False
    """Whether memory waits for a reset to be repaired, or the driver asks for one."""
    is_broken: bool = False
    """Whether memory could not be repaired."""
    processes: int = 0
    instances: tuple[MigInstance, ...] = ()


@dataclass(frozen=True, kw_only=True)
class KernelEvent:
    """An Xid in the kernel's log since the host was started."""

    address: str
    number: int
    count: int


@dataclass(frozen=True, kw_only=True)
class GpuFacts:
    """The GPUs of a host and their driver; what it does not have is None or empty."""

    devices: tuple[GpuDevice, ...]
    has_nouveau: bool = False
    module: ModuleFacts | None = None
    origins: tuple[str, ...] = ()
    """Where drivers on the host come from: ``operator``, ``packages``, ``runfile``. More than one is a mixture."""
    packages: tuple[str, ...] = ()
    """Packages of a driver, each ``name=version``."""
    is_secure_boot: bool | None = None
    """None where the firmware is no UEFI."""
    error: str | None = None
    """What nvidia-smi said instead of an answer."""
    states: tuple[GpuState, ...] = ()
    events: tuple[KernelEvent, ...] = ()


def parse_gpu_facts(lines: Iterable[Sequence[str]]) -> GpuFacts | None:
    """Return the facts in the fields of ``gpu-...`` lines; None where the host shows no GPU of NVIDIA's.

    Parameters
    ----------
    lines
        Each line's fields, the fact's name first. What is not understood is passed over.
    """
    fields: dict[str, list[Sequence[str]]] = {}
    for name, *rest in lines:
        fields.setdefault(name, []).append(rest)
    devices = tuple(
        GpuDevice(address=address, device_id=device) for address, device, *_ in _full(fields, "gpu-device", 2)
    )
    if not devices:
        return None
    packages = tuple(f"{name}={version}" for name, version, *_ in _full(fields, "gpu-package", 2))
    origins = {origin for origin, *_ in _full(fields, "gpu-origin", 1)}
    if packages:
        origins.add("packages")
    instances = parse_instances(_document(fields, "gpu-instances"))
    states = (
        replace(state, instances=tuple(instance for instance in instances if instance.gpu == index))
        for index, state in enumerate(parse_states(_document(fields, "gpu-state")))
    )
    return GpuFacts(
        devices=devices,
        has_nouveau="gpu-nouveau" in fields,
        module=parse_module(_text(fields, "gpu-module") or ""),
        origins=tuple(sorted(origins)),
        packages=packages,
        is_secure_boot={"on": True, "off": False}.get(_text(fields, "gpu-secure-boot") or ""),
        error=_text(fields, "gpu-error"),
        states=tuple(states),
        events=tuple(_events(fields)),
    )


def parse_module(text: str) -> ModuleFacts | None:
    """Return what ``/proc/driver/nvidia/version`` says, None where it says nothing known.

    Examples
    --------
    >>> parse_module("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC 2023")
    ModuleFacts(version='535.129.03', kind=<KernelModule.PROPRIETARY: 'proprietary'>)
    """
    found = _MODULE.search(text)
    if found is None:
        return None
    kind = KernelModule.OPEN if found["open"] else KernelModule.PROPRIETARY
    return ModuleFacts(version=found["version"], kind=kind)


def parse_instances(text: str) -> tuple[MigInstance, ...]:
    """Return the GPU instances in the table of ``nvidia-smi mig -lgi``; none in what is no such table."""
    if "| GPU instances:" not in text:
        return ()
    return tuple(
        MigInstance(gpu=int(row["gpu"]), profile=row["profile"], start=int(row["start"]), size=int(row["size"]))
        for row in map(_INSTANCE.match, text.splitlines())
        if row is not None
    )


def parse_states(text: str) -> tuple[GpuState, ...]:
    """Return the GPUs in the document of ``nvidia-smi -q -x``, in its order; none in what is no such document."""
    if "<!ENTITY" in text:
        return ()
    try:
        root = ET.fromstring(text.strip())  # noqa: S314 - entities are refused above, and expat bounds the rest
    except ET.ParseError:
        return ()
    return tuple(_state(gpu) for gpu in root.iter("gpu")) if root.tag == "nvidia_smi_log" else ()


def gpu_warnings(facts: GpuFacts) -> Iterator[str]:
    """Yield what in `facts` somebody should see to, each in words."""
    if facts.has_nouveau:
        yield "nouveau is loaded beside its NVIDIA GPUs"
    if len(facts.origins) > 1:
        yield f"it has NVIDIA drivers from {' and '.join(facts.origins)}"
    if facts.error is not None:
        yield f"nvidia-smi says: {facts.error}"
    elif facts.states and len(facts.states) != len(facts.devices):
        yield f"{len(facts.devices)} GPUs are on the bus, and their driver knows {len(facts.states)}"
    for index, state in enumerate(facts.states):
        for what in _state_warnings(state):
            yield f"GPU {index} ({state.address}): {what}"
    for event in facts.events:
        if event.number in DAMAGE_XIDS:
            times = f", {event.count} times" if event.count > 1 else ""
            yield f"GPU {event.address}: Xid {event.number}, {DAMAGE_XIDS[event.number]}{times}"


def describe_gpus(facts: GpuFacts) -> tuple[str, ...]:
    """Return the GPUs in words: a line for each kind of GPU and geometry, and one for the driver."""
    if facts.states:
        found = Counter((state.product, state.memory_mebibytes, _geometry(state)) for state in facts.states)
        gpus = [
            ", ".join(filter(None, [f"{count}x {product}", f"{memory} MiB" if memory else "", geometry]))
            for (product, memory, geometry), count in found.items()
        ]
    else:
        names = Counter(device.name or f"10de:{device.device_id}" for device in facts.devices)
        gpus = [f"{count}x {name}" for name, count in names.items()]
    return (*gpus, _driver(facts))


def _driver(facts: GpuFacts) -> str:
    origins = f" from {' and '.join(facts.origins)}" if facts.origins else ""
    if facts.module is None:
        return f"driver{origins}, not loaded" if origins else "no driver"
    return f"driver {facts.module.version}{origins}, {facts.module.kind} kernel module"


def _geometry(state: GpuState) -> str:
    if not state.is_mig:
        return ""
    counts = Counter(instance.profile for instance in state.instances)
    return "MIG " + (
        ", ".join(f"{count}x {profile}" for profile, count in sorted(counts.items())) or "without instances"
    )


def _state_warnings(state: GpuState) -> Iterator[str]:
    if state.is_mig != state.is_mig_pending:
        yield f"MIG will be {'on' if state.is_mig_pending else 'off'} after a reset"
    if state.uncorrected_errors:
        yield f"{state.uncorrected_errors} uncorrectable memory errors since its driver was loaded"
    if state.is_broken:
        yield "its memory could not be repaired: replace it"
    elif state.needs_reset:
        yield "it waits for a reset (drain the node, nvidia-smi --gpu-reset or reboot)"


def _state(gpu: ET.Element) -> GpuState:
    def said(path: str) -> str:
        return (gpu.findtext(path) or "").strip()

    domain, _, bus = (said("pci/pci_bus_id") or gpu.get("id", "")).lower().partition(":")
    asks_for_reset = said("gpu_reset_status/reset_required") == "Yes" or "Reset" in said("gpu_recovery_action")
    pending = ("remapped_rows/remapped_row_pending", "retired_pages/pending_retirement")
    return GpuState(
        # The driver writes eight digits for the domain, the kernel four.
        address=f"{domain[-4:]}:{bus}",
        product=said("product_name"),
        memory_mebibytes=_number(said("fb_memory_usage/total").removesuffix("MiB")),
        is_mig=_ENABLED.get(said("mig_mode/current_mig")),
        is_mig_pending=_ENABLED.get(said("mig_mode/pending_mig")),
        is_persistent=_ENABLED.get(said("persistence_mode")),
        uncorrected_errors=_uncorrected(gpu),
        needs_reset=asks_for_reset or any(said(path) == "Yes" for path in pending),
        is_broken=said("remapped_rows/remapped_row_failure") == "Yes",
        processes=len(gpu.findall("processes/process_info")),
    )


def _uncorrected(gpu: ET.Element) -> int | None:
    """Return the volatile uncorrectable errors, under whatever names a driver has them; None where none counts."""
    volatile = gpu.find("ecc_errors/volatile")
    if volatile is None:
        return None
    # Up to Volta by counters of single and double bits with a total, later by kind of memory.
    total = volatile.findtext("double_bit/total")
    texts = [total] if total is not None else [child.text for child in volatile if "uncorrectable" in child.tag]
    counts = [count for text in texts if (count := _number(text or "")) is not None]
    return sum(counts) if counts else None


def _events(fields: dict[str, list[Sequence[str]]]) -> Iterator[KernelEvent]:
    for address, number, count, *_ in _full(fields, "gpu-xid", 3):
        known, times = _number(number), _number(count)
        if known is not None and times is not None:
            yield KernelEvent(address=address, number=known, count=times)


def _full(fields: dict[str, list[Sequence[str]]], name: str, least: int) -> list[Sequence[str]]:
    return [rest for rest in fields.get(name, []) if len(rest) >= least]


def _text(fields: dict[str, list[Sequence[str]]], name: str) -> str | None:
    return next((rest[0] for rest in _full(fields, name, 1) if rest[0]), None)


def _document(fields: dict[str, list[Sequence[str]]], name: str) -> str:
    """Return a document that came compressed, in base64; nothing where it is broken or longer than any can be."""
    try:
        packed = base64.b64decode(_text(fields, name) or "", validate=True)
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        content = unpacker.decompress(packed, MOST_BYTES)
    except (binascii.Error, ValueError, zlib.error):
        return ""
    return content.decode(errors="replace") if unpacker.eof else ""


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < len(str(2**63)) else None
