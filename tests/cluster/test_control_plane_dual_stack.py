"""A control plane with networks of both families: services and nodes have an address of each."""

import dataclasses
import ipaddress
from collections.abc import Generator

import pytest
from cluster_api import POD_NETWORK, SERVICE_NETWORK, Api, eventually

from labctl.control_plane import ControlPlane, SimulatedNode
from labctl.control_plane.errors import NetworkChangedError

SECOND_SERVICES = "fd00:10:96::/112"
CAPACITY = {"cpu": "4", "memory": "8Gi", "pods": "110"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[ControlPlane]:
    folder = tmp_path_factory.mktemp("dual")
    plane = ControlPlane(
        folder / "control-plane",
        kubeconfig=folder / "kubeconfig",
        pod_network=f"{POD_NETWORK},fd00:10:244::/56",
        service_network=f"{SERVICE_NETWORK},{SECOND_SERVICES}",
        progress=print,
    )
    plane.start()
    yield plane
    plane.wipe()


def test_a_service_has_an_address_of_each(running: ControlPlane) -> None:
    made = Api(running).post(
        "/api/v1/namespaces/default/services",
        {
            "metadata": {"name": "both"},
            "spec": {"ipFamilyPolicy": "RequireDualStack", "ports": [{"name": "web", "port": 80}]},
        },
    )
    assert made["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    first, second = (ipaddress.ip_address(address) for address in made["spec"]["clusterIPs"])
    assert first in ipaddress.ip_network(SERVICE_NETWORK)
    assert second in ipaddress.ip_network(SECOND_SERVICES)


def test_a_service_that_does_not_ask_has_the_first(running: ControlPlane) -> None:
    made = Api(running).post(
        "/api/v1/namespaces/default/services",
        {"metadata": {"name": "one"}, "spec": {"ports": [{"name": "web", "port": 80}]}},
    )
    assert made["spec"]["ipFamilies"] == ["IPv4"]


def test_a_node_has_both_addresses_and_a_pod_runs_on_it(running: ControlPlane) -> None:
    single = SimulatedNode(name="n-1", address="192.0.2.31", capacity=CAPACITY)
    both = SimulatedNode(name="n-1", address="192.0.2.31", second_address="2001:db8:1::31", capacity=CAPACITY)
    api = Api(running)
    assert running.reconcile_nodes([single]).created == ("n-1",)
    assert running.reconcile_nodes([both]).updated == ("n-1",)
    assert running.reconcile_nodes([both]).unchanged == ("n-1",)
    shown = api.get("/api/v1/nodes/n-1")["status"]["addresses"]
    assert [entry["address"] for entry in shown if entry["type"] == "InternalIP"] == ["192.0.2.31", "2001:db8:1::31"]
    api.namespace("pods")
    api.post(
        "/api/v1/namespaces/pods/pods",
        {
            "metadata": {"name": "p"},
            "spec": {"nodeName": "n-1", "containers": [{"name": "c", "image": "registry.example.org/c:1"}]},
        },
    )
    eventually(lambda: api.get("/api/v1/namespaces/pods/pods/p")["status"].get("phase") == "Running")
    assert ipaddress.ip_address(api.get("/api/v1/namespaces/pods/pods/p")["status"]["podIP"])


def test_a_node_is_made_with_both_addresses_and_keeps_them_when_its_labels_change(running: ControlPlane) -> None:
    """Of addresses the API server has a map by type: two of one can be posted, and never applied."""
    node = SimulatedNode(name="n-2", address="192.0.2.32", second_address="2001:db8:1::32", capacity={"cpu": "4"})
    first = SimulatedNode(name="n-1", address="192.0.2.31", second_address="2001:db8:1::31", capacity=CAPACITY)
    assert running.reconcile_nodes([first, node]).created == ("n-2",)
    labelled = dataclasses.replace(node, labels={"rack": "a"})
    assert running.reconcile_nodes([first, labelled]).updated == ("n-2",)
    live = Api(running).get("/api/v1/nodes/n-2")
    assert live["metadata"]["labels"]["rack"] == "a"
    addresses = [entry["address"] for entry in live["status"]["addresses"] if entry["type"] == "InternalIP"]
    assert addresses == ["192.0.2.32", "2001:db8:1::32"]


def test_another_second_network_is_another_network(running: ControlPlane) -> None:
    other = ControlPlane(
        running.directory,
        kubeconfig=running.kubeconfig,
        pod_network=f"{POD_NETWORK},fd00:10:244::/56",
        service_network=SERVICE_NETWORK,
    )
    with pytest.raises(NetworkChangedError, match=r"was made with the service network 10\.96\.0\.0/16,fd00"):
        other.start()
