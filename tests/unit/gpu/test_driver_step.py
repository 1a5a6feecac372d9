"""The step ``gpu-driver``: bash on made-up hosts, held against the rules in Python."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from driver_hosts import FAILED, HOST, KERNEL, REFUSED, Driver, Machine, gpu_step, run_step
from driver_rules import PHRASES, refusals
from hypothesis import given, settings
from hypothesis import strategies as st

from components.gpu.models import GpuModelName

A100 = GpuModelName.A100_80_PCIE
OPERATOR = Machine(loaded=Driver(), has_operator=True, has_run_folder=True)
"""A host whose driver the operator brought."""
OWN = Machine(loaded=Driver(), on_disk=Driver(), packages={"nvidia-driver-580-open": "installed"})
"""A host with a driver of its own."""


def test_a_bare_host_is_ready_for_the_operator(tmp_path: Path) -> None:
    told = run_step(tmp_path, Machine(), gpu_step())
    assert told.report["changed"] == []
    assert told.result == {"gpus": f"2 {A100}", "source": "operator", "kernel": KERNEL, "secureBoot": ""}


def test_the_operators_own_driver_is_no_mixture(tmp_path: Path) -> None:
    assert run_step(tmp_path, OPERATOR, gpu_step()).code == 0


def test_the_operators_driver_while_its_container_is_restarted(tmp_path: Path) -> None:
    assert run_step(tmp_path, replace(OPERATOR, has_operator=False), gpu_step()).code == 0


def test_a_host_with_its_own_driver(tmp_path: Path) -> None:
    told = run_step(tmp_path, replace(OWN, secure_boot=True, system=("debian", "12")), gpu_step("host"))
    assert told.report["changed"] == []
    assert told.result == {
        "gpus": f"2 {A100}",
        "source": "host",
        "kernel": KERNEL,
        "secureBoot": "on",
        "driver": "580.95.05",
        "module": "open",
    }


def test_an_installed_driver_is_loaded(tmp_path: Path) -> None:
    machine = replace(OWN, loaded=None, file="updates/dkms/nvidia-current.ko")
    looked = run_step(tmp_path / "check", machine, gpu_step("host"), "check")
    assert looked.report["changed"] == ["module nvidia"]
    assert not (tmp_path / "check/root/sys/module/nvidia").exists()
    told = run_step(tmp_path / "apply", machine, gpu_step("host"))
    assert (told.report["changed"], told.result["driver"]) == (["module nvidia"], "580.95.05")


def test_undo_touches_nothing(tmp_path: Path) -> None:
    told = run_step(tmp_path, replace(OWN, nouveau_users=3), gpu_step(), "undo")
    assert told.report["changed"] == []


REFUSALS: dict[str, tuple[Machine, str, str]] = {
    "packages-for-the-operator": (
        OWN,
        "operator",
        (
            "refused: gpu-1: packages of an NVIDIA driver are installed, and gpu.driver.source is operator: apt-get "
            "purge nvidia-driver-580-open, and reboot, or set source: host"
        ),
    ),
    "packages-on-a-switch-to-the-operator": (
        replace(OPERATOR, packages={"nvidia-utils-580": "installed", "linux-modules-nvidia-580-generic": "installed"}),
        "operator",
        "apt-get purge nvidia-utils-580 linux-modules-nvidia-580-generic, and reboot",
    ),
    "the-installer-for-the-operator": (
        Machine(loaded=Driver(), on_disk=Driver(), has_runfile=True),
        "operator",
        "run nvidia-uninstall and reboot, or set source: host",
    ),
    "a-driver-that-was-purged": (Machine(loaded=Driver()), "operator", "reboot it, then run this again"),
    "debian-for-the-operator": (
        Machine(system=("debian", "12")),
        "operator",
        "NVIDIA has no driver container for debian 12: set gpu.driver.source: host",
    ),
    "secure-boot-for-the-operator": (
        Machine(secure_boot=True, lockdown="integrity"),
        "operator",
        "its kernel takes signed modules only (Secure Boot: on), and the operator's are not signed",
    ),
    "a-kernel-that-is-gone-from-the-archive": (
        Machine(known_headers=("6.8.0-88-generic",)),
        "operator",
        f"the archive has no linux-headers-{KERNEL}",
    ),
    "everything-at-once": (
        Machine(devices=("20f1",), has_runfile=True, nouveau_users=1),
        "operator",
        (
            "0000:01:00.0 is A100-40GB-PCIe (10de:20f1), and nodes.hosts.gpu-1.gpus.model says A100-80GB-PCIe: write "
            "what it is; it shows 1 NVIDIA GPUs, and nodes.hosts.gpu-1.gpus says 2: look at them (lspci -d 10de:), or "
            "write how many there are; NVIDIA's installer put a driver there"
        ),
    ),
    "no-driver-of-its-own": (
        Machine(),
        "host",
        "there is no NVIDIA driver, and gpu.driver.source is host: name its packages in nodes.system.nvidiaDriver",
    ),
    "the-operators-driver-on-a-switch-to-packages": (
        replace(OPERATOR, packages={"nvidia-driver-580-open": "installed"}),
        "host",
        "kubectl label node gpu-1 nvidia.com/gpu.deploy.driver=false --overwrite, and reboot",
    ),
    "no-module-for-this-kernel": (
        replace(OWN, loaded=None, on_disk=None, has_build_folder=False),
        "host",
        f"has no module for the running kernel {KERNEL}: install linux-headers-{KERNEL} and let DKMS build it",
    ),
    "an-update-that-waits-for-a-reboot": (
        replace(OWN, on_disk=Driver(version="580.105.08")),
        "host",
        "the module 580.95.05 is loaded, and the installed driver is 580.105.08: reboot it",
    ),
    "a-fabric-without-its-manager": (replace(OWN, switches=6), "host", "it has NVSwitches and no nvidia-fabricmanager"),
    "docker-s-runtime": (
        replace(OWN, containerd='BinaryName = "/usr/bin/nvidia-container-runtime"\n'),
        "host",
        "that is not the operator's toolkit (/etc/containerd/conf.d/99-nvidia.toml)",
    ),
    "libraries-of-another-version": (
        replace(OWN, smi="Failed to initialize NVML: Driver/library version mismatch", smi_code=18),
        "host",
        "nvidia-smi says: Failed to initialize NVML: Driver/library version mismatch: reboot it",
    ),
    "no-device": (
        replace(OWN, smi="No devices were found", smi_code=6),
        "host",
        "nvidia-smi says: No devices were found: the driver drives none of them (dmesg says why)",
    ),
    "no-talk-with-the-driver": (
        replace(
            OWN,
            smi="NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the "
            "latest NVIDIA driver is installed and running.",
            smi_code=9,
        ),
        "host",
        "nvidia-smi says: NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver",
    ),
    "another-product-of-an-unknown-id": (
        replace(OWN, devices=("20b4", "20b4"), smi="NVIDIA A100 80GB PCIe\nNVIDIA A100-SXM4-80GB"),
        "host",
        (
            "nvidia-smi calls a GPU 'NVIDIA A100-SXM4-80GB', and nodes.hosts.gpu-1.gpus.model says A100-80GB-PCIe, "
            "which is 'NVIDIA A100 80GB PCIe'"
        ),
    ),
    "a-module-nobody-signed": (
        replace(
            OWN, loaded=None, modprobe_error="modprobe: ERROR: could not insert 'nvidia': Key was rejected by service"
        ),
        "host",
        "enrol its key (mokutil --import), install signed modules, or switch Secure Boot off",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refused(tmp_path: Path, name: str) -> None:
    machine, source, words = REFUSALS[name]
    told = run_step(tmp_path, machine, gpu_step(source))
    assert told.code == REFUSED, told.err
    assert words in told.err
    assert told.err.splitlines()[-1].startswith(f"refused: {HOST}: ")
    assert told.out == ""


def test_a_module_that_does_not_load_is_a_failure(tmp_path: Path) -> None:
    machine = replace(OWN, loaded=None, modprobe_error="modprobe: ERROR: could not insert 'nvidia': No such device")
    told = run_step(tmp_path, machine, gpu_step("host"))
    assert (told.code, "could not insert 'nvidia': No such device (dmesg says why)" in told.err) == (FAILED, True)


@pytest.mark.parametrize(
    ("packages", "is_driver"),
    [
        ("nvidia-driver-580-server-open", True),
        ("nvidia-headless-no-dkms-580", True),
        ("nvidia-kernel-open-dkms", True),
        ("nvidia-open", True),
        ("nvidia-smi", True),
        ("nvidia-tesla-470-driver", True),
        ("nvidia-fabricmanager-580", True),
        ("cuda-drivers", True),
        ("linux-objects-nvidia-580-6.8.0-60-generic", True),
        ("nvidia-container-toolkit-base", False),
        ("nvidia-driver-local-repo-ubuntu2404-580.95.05", False),
        ("nvidia-driver-pinning-580", False),
        ("nvidia-driver-assistant", False),
        ("nvidia-kernel-common-580", False),
        ("libnvidia-ml1", False),
        ("nvidia-settings", False),
        ("cuda-toolkit-13-0", False),
    ],
)
def test_which_packages_are_a_driver(tmp_path: Path, packages: str, *, is_driver: bool) -> None:
    told = run_step(tmp_path, Machine(packages={packages: "installed"}), gpu_step())
    assert (told.code, packages in told.err) == ((REFUSED, True) if is_driver else (0, False))


@pytest.mark.parametrize(("state", "code"), [("config-files", 0), ("not-installed", 0), ("half-configured", REFUSED)])
def test_what_is_left_of_a_purged_package(tmp_path: Path, state: str, code: int) -> None:
    assert run_step(tmp_path, Machine(packages={"nvidia-driver-580": state}), gpu_step()).code == code


@pytest.mark.parametrize(
    ("machine", "model", "code"),
    [
        (Machine(devices=("20b4", "20b4")), A100, 0),
        (Machine(virtual_functions=16), A100, 0),
        (Machine(devices=("1eb8", "1eb8")), GpuModelName.T4, 0),
        (Machine(devices=("1df6", "1df6")), GpuModelName.V100_32, REFUSED),
        (Machine(devices=("20b5",)), A100, REFUSED),
    ],
)
def test_gpus_on_the_bus(tmp_path: Path, machine: Machine, model: GpuModelName, code: int) -> None:
    step = gpu_step(model=model)
    assert run_step(tmp_path, machine, step).code == code


@pytest.mark.parametrize(
    ("device", "model", "driver", "words"),
    [
        ("1db6", GpuModelName.V100_32, Driver(version="580.126.09", kind="proprietary"), ""),
        (
            "1db6",
            GpuModelName.V100_32,
            Driver(version="590.44.01", kind="proprietary"),
            "its driver is 590.44.01, and V100-32GB ended with",
        ),
        (
            "1db6",
            GpuModelName.V100_32,
            Driver(version="580.126.09", kind="open"),
            "is the open one, and V100-32GB needs the proprietary one",
        ),
        ("2901", GpuModelName.B200, Driver(version="570.195.03", kind="open"), ""),
        (
            "2901",
            GpuModelName.B200,
            Driver(version="565.57.01", kind="open"),
            "its driver is 565.57.01, and B200 needs branch 570 or later",
        ),
        (
            "2901",
            GpuModelName.B200,
            Driver(version="580.95.05", kind="proprietary"),
            "is the proprietary one, and B200 needs the open one",
        ),
        (
            "2348",
            GpuModelName.GH200_144,
            Driver(version="580.95.05", kind="proprietary"),
            "GH200-144GB needs the open one: install that kind",
        ),
        ("20b5", A100, Driver(version="535.288.01", kind="proprietary"), ""),
    ],
)
def test_drivers_by_generation(tmp_path: Path, device: str, model: GpuModelName, driver: Driver, words: str) -> None:
    for name, machine in {
        "loaded": replace(OWN, devices=(device,), loaded=driver, on_disk=driver),
        "installed": replace(OWN, devices=(device,), loaded=None, on_disk=driver),
    }.items():
        told = run_step(tmp_path / name, machine, gpu_step("host", model, 1))
        assert told.code == (REFUSED if words else 0), told.err
        assert words in told.err


@pytest.mark.parametrize(
    ("machine", "is_refused"),
    [
        (Machine(secure_boot=True), True),
        (Machine(secure_boot=False), False),
        (Machine(secure_boot=True, lockdown="none"), False),
        (Machine(secure_boot=False, lockdown="integrity"), True),
        (Machine(secure_boot=True, lockdown="none", is_enforcing=True), True),
        (Machine(is_enforcing=True), True),
        (Machine(lockdown="none", is_enforcing=False), False),
    ],
)
def test_what_a_kernel_says_of_unsigned_modules(tmp_path: Path, machine: Machine, *, is_refused: bool) -> None:
    told = run_step(tmp_path, machine, gpu_step())
    assert told.code == (REFUSED if is_refused else 0), told.err


DRIVERS = st.builds(
    Driver,
    version=st.sampled_from(["535.288.01", "570.195.03", "580.95.05", "590.44.01"]),
    kind=st.sampled_from(["open", "proprietary"]),
)
MODELS_BY_DEVICE = {
    "20b5": A100,
    "1db6": GpuModelName.V100_32,
    "2901": GpuModelName.B200,
    "2348": GpuModelName.GH200_144,
}
PACKAGES = st.dictionaries(
    st.sampled_from(
        ["nvidia-driver-580", "linux-modules-nvidia-580-generic", "libnvidia-ml1", "nvidia-container-toolkit-base"]
    ),
    st.sampled_from(["installed", "config-files", "unpacked"]),
    max_size=2,
)
MACHINES = st.builds(
    Machine,
    devices=st.lists(st.sampled_from([*MODELS_BY_DEVICE, "1df6", "20b4"]), min_size=1, max_size=3).map(tuple),
    switches=st.sampled_from([0, 0, 6]),
    nouveau_users=st.sampled_from([None, None, None, 0, 2]),
    loaded=st.none() | DRIVERS,
    on_disk=st.none() | DRIVERS,
    packages=PACKAGES,
    has_runfile=st.sampled_from([False, False, True]),
    has_operator=st.booleans(),
    has_run_folder=st.booleans(),
    secure_boot=st.sampled_from([None, False, True]),
    lockdown=st.sampled_from([None, "none", "integrity"]),
    is_enforcing=st.sampled_from([None, False, False, True]),
    known_headers=st.sampled_from([(), (KERNEL,), ("6.8.0-88-generic", KERNEL), ("6.8.0-88-generic",)]),
    system=st.sampled_from([("ubuntu", "22.04"), ("ubuntu", "24.04"), ("debian", "12")]),
    containerd=st.sampled_from(
        [
            None,
            'BinaryName = "/usr/local/nvidia/toolkit/nvidia-container-runtime"\n',
            ' BinaryName = "/usr/bin/nvidia-container-runtime.cdi"\n',
        ]
    ),
    has_fabric_manager=st.booleans(),
)
SANE = st.sampled_from([Machine(), OPERATOR, OWN]).flatmap(
    lambda machine: st.sampled_from(
        [
            machine,
            replace(machine, nouveau_users=0),
            replace(machine, has_runfile=True),
            replace(machine, devices=("20b5",)),
        ]
    )
)


@settings(max_examples=80, deadline=None)
@given(
    MACHINES | SANE,
    st.sampled_from(["operator", "host"]),
    st.sampled_from([*MODELS_BY_DEVICE.values()]),
    st.integers(1, 3),
)
def test_bash_refuses_what_the_rules_refuse(machine: Machine, source: str, model: GpuModelName, count: int) -> None:
    expected = refusals(machine, source, model, count)
    # Once nothing is refused the driver is asked itself; it says here what the stack file does.
    machine = replace(machine, smi=_said_by(model))
    version = {"version": "580.95.05"} if source == "operator" else {}
    with tempfile.TemporaryDirectory() as folder:
        told = run_step(Path(folder), machine, gpu_step(source, model, count, **version))
    assert told.code == (REFUSED if expected else 0), told.err
    assert {name for name, words in PHRASES.items() if words in told.err} == expected


def _said_by(model: GpuModelName) -> str:
    device = next(device for device, known in MODELS_BY_DEVICE.items() if known is model)
    return Machine(devices=(device,)).names
