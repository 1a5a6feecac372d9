"""How the components are run: on loopback, with kubeadm's settings, and kwok with everything it does not default."""

import ipaddress
import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from labctl.control_plane.components import CONTROLLERS, Layout, Networks, component_specs, scheduler_text
from labctl.control_plane.kubeconfig import KubeconfigUser, kubeconfig_text
from labctl.control_plane.kwok import kwok_configuration
from labctl.control_plane.pins import CONTROL_PLANE_TOOLS
from labctl.control_plane.pki import control_plane_requests
from labctl.control_plane.ports import PortUse

LAYOUT = Layout(Path("/lab/dev/control-plane"))
PORTS = {use: 20_000 + index for index, use in enumerate(PortUse)}
SPECS = component_specs(LAYOUT, PORTS, Networks(pods="10.244.0.0/16", services="10.96.0.0/16"))


def flags(name: str) -> dict[str, str]:
    return {argument.partition("=")[0]: argument.partition("=")[2] for argument in SPECS[name].arguments}


def test_every_component_in_the_order_of_need() -> None:
    assert tuple(SPECS) == CONTROL_PLANE_TOOLS
    assert tuple(SPECS)[2:] == CONTROLLERS


@pytest.mark.parametrize("name", CONTROL_PLANE_TOOLS)
def test_every_address_is_loopback(name: str) -> None:
    for argument in SPECS[name].arguments:
        if "range" in argument or "cidr" in argument:
            continue
        for address in re.findall(r"\d+\.\d+\.\d+\.\d+", argument):
            assert ipaddress.ip_address(address).is_loopback, argument
    assert SPECS[name].health.url.startswith(("https://127.0.0.1:", "http://127.0.0.1:"))


@pytest.mark.parametrize("name", CONTROL_PLANE_TOOLS)
def test_every_command_line_names_the_directory(name: str) -> None:
    """Without a record, a process is known by it."""
    assert any(f"{LAYOUT.directory}/" in argument for argument in SPECS[name].arguments)


def test_every_certificate_that_is_used_is_made() -> None:
    made = {request.name for request in control_plane_requests("10.96.0.1")} | {"ca", "etcd-ca", "front-proxy-ca", "sa"}
    used = {
        Path(match).stem
        for spec in SPECS.values()
        for argument in spec.arguments
        for match in re.findall(r"/lab/dev/control-plane/pki/(\S+)", argument)
    }
    assert used <= made
    assert {"apiserver", "etcd-server", "etcd-client", "component", "front-proxy-client", "sa"} <= used


def test_the_api_server_is_as_kubeadm_sets_it() -> None:
    api = flags("kube-apiserver")
    assert api["--authorization-mode"] == "Node,RBAC"
    assert api["--enable-admission-plugins"] == "NodeRestriction"
    # the one difference: no simulated pod answers a webhook
    assert api["--disable-admission-plugins"] == "MutatingAdmissionWebhook,ValidatingAdmissionWebhook"
    assert api["--anonymous-auth"] == "false"
    assert api["--service-cluster-ip-range"] == "10.96.0.0/16"
    assert api["--secure-port"] == str(PORTS[PortUse.API_SERVER])
    assert "--client-cert-auth" in flags("etcd")
    assert "--peer-client-cert-auth" in flags("etcd")


def test_each_port_has_one_use() -> None:
    text = "\n".join(argument for spec in SPECS.values() for argument in spec.arguments)
    for use, port in PORTS.items():
        if use is not PortUse.KWOK:
            assert str(port) in text
    assert SPECS["kwok"].health.url == f"http://127.0.0.1:{PORTS[PortUse.KWOK]}/healthz"


def documents(text: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all(text))  # pyright: ignore[reportUnknownMemberType] - ruamel.yaml's streams


def test_kwok_is_given_everything_it_would_not_default() -> None:
    configuration, *stages = documents(kwok_configuration(pod_network="127.8.0.0/16", port=20_001))
    options = configuration["options"]
    assert options["manageAllNodes"] is True
    assert options["cidr"] == "127.8.0.0/16"
    assert options["nodeIP"] == "127.0.0.1"
    assert options["serverAddress"] == "127.0.0.1:20001"
    parallel = [
        options[f"{what}Parallelism"] for what in ("nodeLease", "nodePlayStage", "podPlayStage", "podsOnNodeSync")
    ]
    assert all(isinstance(number, int) and number >= 4 for number in parallel)
    assert options["nodeLeaseDurationSeconds"]
    assert options["enableDebuggingHandlers"] is False
    assert {stage["kind"] for stage in stages} == {"Stage"}
    kinds = {stage["spec"]["resourceRef"]["kind"] for stage in stages}
    assert kinds == {"Node", "Pod", "PersistentVolume", "PersistentVolumeClaim"}


def test_kwok_leaves_binding_to_the_controller_manager() -> None:
    stages = {
        stage["metadata"]["name"]: stage
        for stage in documents(kwok_configuration(pod_network="10.0.0.0/8", port=1))[1:]
    }
    (step,) = stages["volume-provision"]["spec"]["steps"]
    assert set(step) == {"apply"}
    assert "kind: PersistentVolume\n" in step["apply"]["template"]


def test_a_kubeconfig_is_yaml_with_one_context() -> None:
    user = KubeconfigUser(name="admin", certificate=b"certificate", key=b"key")
    text = kubeconfig_text(cluster="lab-dev", server="https://127.0.0.1:20000", authority=b"authority", user=user)
    (config,) = documents(text)
    assert config["current-context"] == "lab-dev"
    assert config["contexts"] == [{"name": "lab-dev", "context": {"cluster": "lab-dev", "user": "admin"}}]
    assert config["clusters"][0]["cluster"]["certificate-authority-data"] == "YXV0aG9yaXR5"
    assert "key" not in repr(user).replace("kubeconfig", "")


def test_a_configured_scheduler_reads_its_file_and_is_restarted_with_it() -> None:
    plain = SPECS["kube-scheduler"]
    networks = Networks(pods="10.244.0.0/16", services="10.96.0.0/16")
    specs = component_specs(LAYOUT, PORTS, networks, is_scheduler_configured=True)
    configured = specs["kube-scheduler"]
    assert set(configured.arguments) - set(plain.arguments) == {f"--config={LAYOUT.scheduler}"}
    assert set(configured.inputs) - set(plain.inputs) == {LAYOUT.scheduler}
    assert {name: spec for name, spec in specs.items() if name != "kube-scheduler"} == {
        name: spec for name, spec in SPECS.items() if name != "kube-scheduler"
    }


def test_beside_its_file_the_scheduler_signs_in_by_what_the_file_says() -> None:
    """kube-scheduler passes over these flags where it has a file."""
    told = json.loads(scheduler_text(LAYOUT, {"kind": "KubeSchedulerConfiguration"}))
    given = flags("kube-scheduler")
    assert told == {
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {
            "kubeconfig": given["--kubeconfig"],
            "qps": int(given["--kube-api-qps"]),
            "burst": int(given["--kube-api-burst"]),
        },
    }
