"""The step ``gpu-driver`` on a real Debian host: its own packages, kernel and modules; only the GPUs are made up."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass

import pytest
from bed import Bed, Host
from preparation import Report, feed

from components.gpu.config import GpuConfig
from components.gpu.driver_facts import describe_gpus, parse_gpu_facts
from components.gpu.driver_plan import driver_steps
from components.nodes.config import NodesConfig
from components.nodes.steps import PlainValue, compose_whole, read_script

REFUSED, FAILED = 65, 70
"""Exit codes of `refuse` and `fail` (sysexits(3))."""
SECONDS = 120
"""For one run on a busy machine."""
ROOT = "/srv/gpus"
DEVICES = """set -e
rm -rf {root}; mkdir -p {root}/sys/bus/pci/devices
for name in proc lib run etc usr; do ln -s /$name {root}/$name; done
for name in module firmware kernel; do ln -s /sys/$name {root}/sys/$name; done
for bus in 65 ca; do
    device={root}/sys/bus/pci/devices/0000:$bus:00.0
    mkdir $device; echo 0x10de >$device/vendor; echo 0x030200 >$device/class; echo 0x20b5 >$device/device
done
printf 'ID=ubuntu\\nVERSION_ID="24.04"\\n' >{root}/os-release
"""
"""A folder in which everything is the host's own but for the devices on its bus, and a name of another system."""
PACKAGE = """set -e
made=$(mktemp -d); mkdir -p $made/DEBIAN $made/etc
printf 'Package: {name}\\nVersion: 580.95.05-0ubuntu1\\nArchitecture: all\\nMaintainer: nobody\\nDescription: test\\n' \
    >$made/DEBIAN/control
echo /etc/{name}.conf >$made/DEBIAN/conffiles; echo kept >$made/etc/{name}.conf
dpkg-deb --build $made $made.deb >/dev/null; dpkg -i $made.deb >/dev/null; rm -r $made $made.deb
"""
DRIVER = "nvidia-driver-580-open"


@dataclass(frozen=True)
class GpuHost:
    """A host of the bed that shows two A100s on its bus."""

    bed: Bed
    host: Host

    def run(self, source: str, mode: str = "apply", **values: PlainValue) -> Report:
        """Run the step as it is planned for a driver from this source."""
        name = self.host.name
        section = {
            "address": self.host.address,
            "roles": ["worker"],
            "hostKey": self.host.host_key,
            "hardware": {"cpus": 2, "memory": "8Gi", "ephemeralStorage": "10G"},
            "gpus": {"model": "A100-80GB-PCIe", "count": 2},
        }
        config = GpuConfig.model_validate(
            {"driver": {"source": source}, "groups": {"all": {"hosts": [name], "slicing": {"kind": "whole"}}}}
        )
        (step,) = driver_steps(config, NodesConfig.model_validate({"hosts": {name: section}}, by_alias=True))
        planned = {
            key: value for key, value in step.values.items() if value is None or isinstance(value, (str, int, tuple))
        }
        given: dict[str, PlainValue] = {**planned, "STEP_HOST": name, "RECONVERGE": 0, "FACTS_ROOT": ROOT, **values}
        return feed(self.bed, self.host, compose_whole(step, given), mode, SECONDS)

    def run_as_ubuntu(self, mode: str = "apply") -> Report:
        """Run the step for the operator's driver on a host that says it runs Ubuntu."""
        return self.run("operator", mode, OS_RELEASE=f"{ROOT}/os-release")


@pytest.fixture(scope="module")
def gpu_bed(make_bed: Callable[[int], Bed]) -> Bed:
    return make_bed(1)


@pytest.fixture
def gpu_host(gpu_bed: Bed) -> Generator[GpuHost]:
    """The host without any driver, before and after."""
    host = gpu_bed.hosts[0]
    host.console(DEVICES.format(root=ROOT))
    yield GpuHost(gpu_bed, host)
    host.console(f"dpkg --purge {DRIVER} 2>/dev/null; rm -rf {ROOT} /lib/modules/$(uname -r)/updates/dkms/nvidia.ko")


def test_debian_has_no_driver_container(gpu_host: GpuHost) -> None:
    report = gpu_host.run("operator")
    assert report.code == REFUSED
    assert "NVIDIA has no driver container for debian 12: set gpu.driver.source: host" in report.err


def test_packages_stand_in_the_way_of_the_operator_until_they_are_purged(gpu_host: GpuHost) -> None:
    bare = gpu_host.run_as_ubuntu()
    assert bare.changed == ()
    assert (bare.result["gpus"], bare.result["source"]) == ("2 A100-80GB-PCIe", "operator")
    gpu_host.host.console(PACKAGE.format(name=DRIVER))
    for mode in ("apply", "check"):
        mixture = gpu_host.run_as_ubuntu(mode)
        assert mixture.code == REFUSED, mixture.err
        assert f"apt-get purge {DRIVER}, and reboot" in mixture.err
    # Removed and not purged: what is left is a file in /etc.
    gpu_host.host.console(f"dpkg --remove {DRIVER}; test -f /etc/{DRIVER}.conf")
    assert gpu_host.run_as_ubuntu().changed == ()
    gpu_host.host.console(PACKAGE.format(name=DRIVER))
    advice = re.search(r"apt-get purge ([\w.+ -]+), and reboot", gpu_host.run_as_ubuntu().err)
    assert advice is not None
    gpu_host.host.console(f"DEBIAN_FRONTEND=noninteractive apt-get purge --yes {advice[1]}")
    assert gpu_host.run_as_ubuntu().changed == ()


def test_a_driver_of_its_own_has_to_be_whole(gpu_host: GpuHost) -> None:
    none = gpu_host.run("host")
    assert (none.code, "there is no NVIDIA driver" in none.err) == (REFUSED, True)
    gpu_host.host.console(PACKAGE.format(name=DRIVER))
    kernel = gpu_host.host.console("uname -r").strip()
    without = gpu_host.run("host")
    assert without.code == REFUSED
    assert f"the installed driver has no module for the running kernel {kernel}" in without.err
    # A file by the name of the module, which the kernel cannot know: the host's own modprobe says so.
    folder = f"/lib/modules/{kernel}/updates/dkms"
    gpu_host.host.console(f"mkdir -p {folder}; : >{folder}/nvidia.ko")
    assert gpu_host.run("host", "check").changed == ("module nvidia",)
    broken = gpu_host.run("host")
    assert broken.code == FAILED
    assert "the module nvidia cannot be loaded: modprobe: " in broken.err


def test_undo_leaves_the_host_as_it_is(gpu_host: GpuHost) -> None:
    gpu_host.host.console(PACKAGE.format(name=DRIVER))
    before = gpu_host.host.console("dpkg -l | sha256sum; find /etc | sort | sha256sum")
    assert gpu_host.run("host", "undo").changed == ()
    assert gpu_host.host.console("dpkg -l | sha256sum; find /etc | sort | sha256sum") == before


def test_what_drift_is_told(gpu_host: GpuHost) -> None:
    gpu_host.host.console(PACKAGE.format(name=DRIVER))
    text = f"FACTS_ROOT={ROOT}\n{read_script('facts')}\n{read_script('gpu-facts')}\nfacts\ngpu_facts\n"
    report = feed(gpu_host.bed, gpu_host.host, text, "check", SECONDS)
    assert report.code == 0, report.err
    lines = [line.split("\t") for line in report.out.splitlines()]
    facts = parse_gpu_facts(line for line in lines if line[0].startswith("gpu-"))
    assert facts is not None
    assert facts.packages == (f"{DRIVER}=580.95.05-0ubuntu1",)
    assert describe_gpus(facts) == ("2x A100-80GB-PCIe", "driver from packages, not loaded")
