"""What the plans call a pod or service network that kubeadm takes, asked of kubeadm itself."""

import subprocess
from pathlib import Path

import pytest

from components.network.address_checks import POD_BOUNDS, SERVICE_BOUNDS
from components.networks import Networks
from components.nodes.config import NodesConfig
from components.nodes.kubeadm_plan import CURRENT_VERSION, kubeadm_configuration
from components.nodes.settings import ClusterSettings
from labctl.control_plane import obtain_tool
from labctl.control_plane.pins import tool_pin
from stacks.environments import EnvironmentName
from stacks.pins import load_pins

PODS, SERVICES = ("10.0.0.0", "fd00::"), ("172.0.0.0", "fd01::")


@pytest.fixture(scope="session")
def kubeadm() -> Path:
    return obtain_tool("kubeadm")


def told(kubeadm: Path, folder: Path, pods: Networks, services: Networks) -> str:
    """Return what kubeadm says of a configuration; nothing where it takes it."""
    hardware = {"cpus": 8, "memory": "32Gi", "ephemeralStorage": "200G"}
    addresses = {"address": "192.0.2.11", "secondAddress": "2001:db8:1::11"}
    if pods.primary.version == 6:
        addresses = {"address": "2001:db8:1::11", "secondAddress": "192.0.2.11"}
    config = NodesConfig.model_validate(
        {"hosts": {"cp-1": {**addresses, "roles": ["control-plane"], "hardware": hardware}}}
    )
    settings = ClusterSettings(
        name="lab",
        hosts=Networks.of("192.0.2.0/24", "2001:db8:1::/64"),
        pods=pods,
        services=services,
        domain="cluster.local",
        pins=load_pins(EnvironmentName.TEST),
    )
    text = kubeadm_configuration(config, settings, "cp-1")
    path = folder / "kubeadm.yaml"
    path.write_text(text.replace(CURRENT_VERSION, f"v{tool_pin('kubeadm').version}"), encoding="utf-8")
    done = subprocess.run(
        [kubeadm, "config", "validate", "--config", path], capture_output=True, text=True, check=False, timeout=60
    )
    return "" if done.returncode == 0 else done.stderr


@pytest.mark.parametrize("first", [0, 1])
def test_both_families_in_either_order(kubeadm: Path, tmp_path: Path, first: int) -> None:
    pods, services = ["10.244.0.0/16", "fd00:10:244::/56"], ["10.96.0.0/16", "fd00:10:96::/112"]
    order = (first, 1 - first)
    said = told(
        kubeadm, tmp_path, Networks.of(*(pods[one] for one in order)), Networks.of(*(services[one] for one in order))
    )
    assert said == ""


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("section", "beyond"), [("pods", -1), ("pods", 1), ("services", -1), ("services", 1)])
def test_bounds_are_kubeadm_s(kubeadm: Path, tmp_path: Path, version: int, section: str, beyond: int) -> None:
    """At the bound it is taken, one bit beyond it is not."""
    bounds = (POD_BOUNDS if section == "pods" else SERVICE_BOUNDS)[version]
    bound = bounds[0] if beyond < 0 else bounds[1]
    for prefix, taken in ((bound, True), (bound + beyond, False)):
        base = (PODS if section == "pods" else SERVICES)[0 if version == 4 else 1]
        asked = {"pods": Networks.of("10.244.0.0/16"), "services": Networks.of("172.16.0.0/16")}
        if version == 6:
            asked = {"pods": Networks.of("fd00:10:244::/56"), "services": Networks.of("fd01::/112")}
        asked[section] = Networks.of(f"{base}/{prefix}")
        said = told(kubeadm, tmp_path, asked["pods"], asked["services"])
        assert (said == "") == taken, said
