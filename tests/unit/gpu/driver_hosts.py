"""A folder that stands for a GPU host, written from plain facts, and a real bash that runs ``gpu-driver`` on it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from components.gpu.config import GpuConfig
from components.gpu.driver_plan import driver_steps
from components.gpu.models import MODELS, GpuModelName
from components.gpu.pci_ids import PCI_IDS
from components.nodes.config import NodesConfig
from components.nodes.steps import FILES, Step, compose_whole, script_paths

KERNEL = "6.8.0-60-generic"
HOST = "gpu-1"
REFUSED, FAILED = 65, 70
SECONDS = 60
LICENSES = {"open": "Dual MIT/GPL", "proprietary": "NVIDIA"}
BANNERS = {
    "open": "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (dvs-builder@U22)",
    "proprietary": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Wed Dec 10 00:00:00 UTC 2025",
}
SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
STUBS = {
    "uname": f"echo {KERNEL}",
    "dpkg-query": "cat {root}/stub/packages",
    "apt-cache": "cat {root}/stub/headers",
    "modinfo": 'case $2 in version) sed -n 1p "$3" ;; license) sed -n 2p "$3" ;; esac',
    "modprobe": "{root}/stub/modprobe",
    "nvidia-smi": '{root}/stub/nvidia-smi "$@"',
    "chroot": '[ "$1" = {root}/run/nvidia/driver ] && shift 2 && {root}/stub/operator-smi "$@"',
    "systemctl": '{root}/stub/systemctl "$@"',
    "dmesg": "cat {root}/stub/dmesg",
}


@dataclass(frozen=True, kw_only=True)
class Driver:
    """A kernel module: its version, and ``open`` or ``proprietary``."""

    version: str = "580.95.05"
    kind: str = "open"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A GPU host. By default: Ubuntu as installed, with the A100s the stack file says, and no driver at all."""

    devices: tuple[str, ...] = ("20b5", "20b5")
    virtual_functions: int = 0
    switches: int = 0
    nouveau_users: int | None = None
    """Who uses nouveau; None where it is not loaded."""
    loaded: Driver | None = None
    on_disk: Driver | None = None
    file: str = "updates/dkms/nvidia.ko.zst"
    packages: Mapping[str, str] = field(default_factory=dict[str, str])
    """State by name; the version is the same for all."""
    has_runfile: bool = False
    has_operator: bool = False
    """Whether the operator's driver container has its driver in place."""
    has_run_folder: bool = False
    """Whether any container of the operator ever ran since the boot."""
    secure_boot: bool | None = None
    lockdown: str | None = None
    is_enforcing: bool | None = None
    known_headers: tuple[str, ...] = (KERNEL,)
    has_build_folder: bool = True
    system: tuple[str, str] = ("ubuntu", "24.04")
    containerd: str | None = None
    smi: str | None = None
    """What nvidia-smi prints; None for the names of the devices."""
    smi_code: int = 0
    modprobe_error: str = ""
    has_fabric_manager: bool = False
    kernel_log: str = ""

    @property
    def names(self) -> str:
        """Return what nvidia-smi would call the devices."""
        return "\n".join(
            MODELS[PCI_IDS[device]].nvml_name if device in PCI_IDS else f"Unknown {device}" for device in self.devices
        )


@dataclass(frozen=True)
class Told:
    """What a run said."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> Mapping[str, object]:
        assert self.code == 0, self.err
        return cast("Mapping[str, object]", json.loads(self.out))

    @property
    def result(self) -> Mapping[str, str]:
        return cast("Mapping[str, str]", self.report["result"])


def write(root: Path, path: str, content: str | bytes, mode: int = 0o644) -> None:
    """Write a file, making its folders."""
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content.encode() if isinstance(content, str) else content)
    place.chmod(mode)


def _write_devices(root: Path, machine: Machine) -> None:
    kinds = [(device, "0x030200", False) for device in machine.devices]
    kinds += [("20b5", "0x030200", True)] * machine.virtual_functions
    kinds += [("1af1", "0x068000", False)] * machine.switches
    for index, (device, kind, is_virtual) in enumerate(kinds):
        folder = f"sys/bus/pci/devices/0000:{index + 1:02x}:00.0"
        write(root, f"{folder}/vendor", "0x10de\n")
        write(root, f"{folder}/class", f"{kind}\n")
        write(root, f"{folder}/device", f"0x{device}\n")
        if is_virtual:
            (root / folder / "physfn").symlink_to("../0000:01:00.0")
    # What else a machine has: another vendor's display, and an audio function of the GPU's vendor.
    for address, vendor, kind in (("0000:f0:00.0", "0x1a03", "0x030000"), ("0000:f1:00.1", "0x10de", "0x040300")):
        write(root, f"sys/bus/pci/devices/{address}/vendor", f"{vendor}\n")
        write(root, f"sys/bus/pci/devices/{address}/class", f"{kind}\n")
        write(root, f"sys/bus/pci/devices/{address}/device", "0x2000\n")


def _write_driver(root: Path, machine: Machine) -> None:
    if machine.nouveau_users is not None:
        write(root, "sys/module/nouveau/refcnt", f"{machine.nouveau_users}\n")
    if machine.loaded is not None:
        write(root, "sys/module/nvidia/version", f"{machine.loaded.version}\n")
        banner = BANNERS[machine.loaded.kind].format(machine.loaded.version)
        write(root, "proc/driver/nvidia/version", f"{banner}\nGCC version:  gcc version 13.3.0\n")
    modules = root / "lib/modules" / KERNEL
    (modules / "updates/dkms").mkdir(parents=True)
    write(root, f"lib/modules/{KERNEL}/kernel/nvidia-modeset.ko", "")
    if machine.has_build_folder:
        (modules / "build").mkdir()
    if machine.on_disk is not None:
        text = f"{machine.on_disk.version}\n{LICENSES[machine.on_disk.kind]}\n"
        write(root, f"lib/modules/{KERNEL}/{machine.file}", text)
    if machine.has_runfile:
        write(root, "usr/bin/nvidia-uninstall", "", 0o755)
    if machine.has_operator:
        write(root, "run/nvidia/driver/usr/bin/nvidia-smi", "", 0o755)
    if machine.has_run_folder:
        (root / "run/nvidia/driver").mkdir(parents=True, exist_ok=True)


def _write_kernel(root: Path, machine: Machine) -> None:
    if machine.secure_boot is not None:
        write(root, SECURE_BOOT, bytes([6, 0, 0, 0, int(machine.secure_boot)]))
    if machine.lockdown is not None:
        words = ("none", "integrity", "confidentiality")
        shown = " ".join(f"[{word}]" if word == machine.lockdown else word for word in words)
        write(root, "sys/kernel/security/lockdown", f"{shown}\n")
    if machine.is_enforcing is not None:
        write(root, "sys/module/module/parameters/sig_enforce", "Y\n" if machine.is_enforcing else "N\n")
    write(root, "etc/os-release", f'ID={machine.system[0]}\nVERSION_ID="{machine.system[1]}"\n')
    if machine.containerd is not None:
        write(root, "etc/containerd/conf.d/99-nvidia.toml", machine.containerd)


def _write_stubs(root: Path, machine: Machine) -> None:
    listing = "".join(f"{name}\t{state}\t580.95.05-0ubuntu1\n" for name, state in machine.packages.items())
    write(root, "stub/packages", f"bash\tinstalled\t5.2\nnvidia-container-toolkit\tinstalled\t1.18\n{listing}")
    write(root, "stub/headers", "".join(f"linux-headers-{name}\n" for name in machine.known_headers))
    write(root, "stub/dmesg", machine.kernel_log)
    smi = machine.names if machine.smi is None else machine.smi
    answer = f"printf '%s\\n' {shlex.quote(smi)}\nexit {machine.smi_code}\n"
    # The host's own, beside the operator's driver, is of another version.
    write(root, "stub/nvidia-smi", f"#!/bin/bash\n{'exit 18' if machine.has_operator else answer}\n", 0o755)
    write(root, "stub/operator-smi", f"#!/bin/bash\n{answer}", 0o755)
    version = "" if machine.on_disk is None else machine.on_disk.version
    kind = "open" if machine.on_disk is None else machine.on_disk.kind
    loads = (
        f"mkdir -p {root}/sys/module/nvidia {root}/proc/driver/nvidia\n"
        f"echo {version} >{root}/sys/module/nvidia/version\n"
        f"echo {shlex.quote(BANNERS[kind].format(version))} >{root}/proc/driver/nvidia/version\n"
    )
    error = f"echo {shlex.quote(machine.modprobe_error)} >&2\nexit 1\n"
    write(root, "stub/modprobe", f"#!/bin/bash\n{error if machine.modprobe_error else loads}", 0o755)
    found = 0 if machine.has_fabric_manager else 1
    write(
        root, "stub/systemctl", f"#!/bin/bash\ncase $1 in cat) exit {found} ;; is-enabled) echo enabled ;; esac", 0o755
    )


def lay(folder: Path, machine: Machine) -> Path:
    """Lay a machine out in a folder, with its programs; return the folder of its files."""
    root = folder / "root"
    _write_devices(root, machine)
    _write_driver(root, machine)
    _write_kernel(root, machine)
    _write_stubs(root, machine)
    for name, body in STUBS.items():
        write(folder, f"bin/{name}", f"#!/bin/bash\n{body.replace('{root}', str(root))}\n", 0o755)
    return root


def gpu_step(
    source: str = "operator", model: GpuModelName = GpuModelName.A100_80_PCIE, count: int = 2, **driver: str
) -> Step:
    """Return the step of a lab with one GPU host."""
    config = GpuConfig.model_validate(
        {
            "driver": {"source": source, **driver},
            "groups": {"all": {"hosts": [HOST], "slicing": {"kind": "whole"}}},
        }
    )
    return driver_steps(config, gpu_nodes({HOST: {"model": model.value, "count": count}}))[0]


def gpu_nodes(gpus: Mapping[str, Mapping[str, object] | None], **changes: object) -> NodesConfig:
    """Return a nodes section with these hosts, each with these GPUs or none."""
    hosts = {
        name: {
            "address": f"192.0.2.{index + 11}",
            "roles": ["worker"],
            "hostKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICQ5h0WpOOUL5c+6YPQkmCkQNyu8U71JlFTv6/DxtS5V",
            "hardware": {"cpus": 64, "memory": "512Gi", "ephemeralStorage": "1T"},
            **({} if found is None else {"gpus": found}),
        }
        for index, (name, found) in enumerate(gpus.items())
    }
    return NodesConfig.model_validate({"hosts": hosts, **changes}, by_alias=True)


def run_step(folder: Path, machine: Machine, step: Step, mode: str = "apply") -> Told:
    """Lay the machine out, and feed a shell the step as a host's is fed."""
    root = lay(folder, machine)
    own = {
        "FACTS_ROOT": str(root),
        "OS_RELEASE": str(root / "etc/os-release"),
        "STATE_FOLDER": str(folder / "state"),
        "CACHE_FOLDER": str(folder / "cache"),
        "LOCK_FILE": str(folder / "lock"),
        "LOCK_WAIT_SECONDS": 5,
        "STEP_HOST": HOST,
        "RECONVERGE": 0,
    }
    planned = {
        name: value for name, value in step.values.items() if value is None or isinstance(value, (str, int, tuple))
    }
    assert planned.keys() == step.values.keys()
    return _bash(folder, ["-s", mode], compose_whole(step, {**planned, **own}))


def run_facts(folder: Path, machine: Machine) -> list[list[str]]:
    """Return what `labctl drift` is told of the machine's GPUs: each line's fields."""
    root = lay(folder, machine)
    text = f". {FILES / 'facts.sh'}\n. {script_paths()['gpu-facts']}\nshopt -s nullglob\ngpu_facts\n"
    told = _bash(folder, ["-s"], text, FACTS_ROOT=str(root))
    assert told.code == 0, told.err
    return [line.split("\t") for line in told.out.splitlines()]


def _bash(folder: Path, arguments: list[str], text: str, **environment: str) -> Told:
    done = subprocess.run(
        ["/bin/bash", *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        env={**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}", **environment},
    )
    return Told(done.returncode, done.stdout, done.stderr)
