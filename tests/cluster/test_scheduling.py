"""Where the real scheduler puts pods under either profile, and what a changed configuration restarts."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import pytest
from cluster_api import POD_NETWORK, SERVICE_NETWORK, Api, Object, eventually
from hub_servers import hub_section, server_pod

from components.gpu.models import MODELS, GpuModelName
from components.gpu.slices import PRODUCT_LABEL, possible_resources
from components.scheduling.config import SchedulingConfig
from components.scheduling.plan import PACKING, SPREADING, scheduler_configuration
from labctl.control_plane import ControlPlane, NodeTaint, SimulatedNode

MODEL = GpuModelName.A100_80_SXM
GPU = "nvidia.com/gpu"
SLICE = "nvidia.com/mig-1g.10gb"
CONFIGURATION = scheduler_configuration(SchedulingConfig(), possible_resources([MODEL]))


def made(directory: Path, scheduler: Mapping[str, object] | None) -> ControlPlane:
    return ControlPlane(
        directory / "control-plane",
        kubeconfig=directory / "kubeconfig",
        pod_network=POD_NETWORK,
        service_network=SERVICE_NETWORK,
        scheduler=scheduler,
        progress=print,
    )


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Generator[ControlPlane]:
    """A control plane with both profiles."""
    plane = made(tmp_path_factory.mktemp("scheduling"), CONFIGURATION)
    plane.start()
    yield plane
    plane.wipe()


@pytest.fixture(scope="module")
def own(plane: ControlPlane) -> Api:
    return Api(plane)


@pytest.fixture
def place(plane: ControlPlane, own: Api, namespace: str) -> Callable[..., str]:
    """Make a pod and return the node it was put on."""
    own.namespace(namespace)

    def make(name: str, scheduler: str, requests: Mapping[str, str], **spec: object) -> str:
        extended = {key: amount for key, amount in requests.items() if "/" in key}
        container = {
            "name": "main",
            "image": "registry.invalid/x:1",
            "resources": {"requests": requests, "limits": extended},
        }
        body: Object = {
            "metadata": {"name": name},
            "spec": {"schedulerName": scheduler, "containers": [container], **spec},
        }
        own.post(f"/api/v1/namespaces/{namespace}/pods", body)
        return placed(own, namespace, name)

    return make


@pytest.fixture
def namespace(plane: ControlPlane, own: Api) -> Generator[str]:
    """A namespace of the test's own, with no pod left after it: what they ask for is the next test's to give."""
    name = f"t-{uuid.uuid4().hex[:10]}"
    yield name
    own.delete(f"/api/v1/namespaces/{name}/pods?gracePeriodSeconds=0")
    own.delete(f"/api/v1/namespaces/{name}")
    eventually(lambda: not own.get(f"/api/v1/namespaces/{name}/pods")["items"])


def placed(own: Api, namespace: str, name: str) -> str:
    return eventually(lambda: own.get(f"/api/v1/namespaces/{namespace}/pods/{name}")["spec"].get("nodeName"))


def node(name: str, *, cpus: int = 64, taints: tuple[NodeTaint, ...] = (), **extended: str) -> SimulatedNode:
    """A node; with GPUs where `extended` names some: `gpus` or `slices`."""
    resources = {{"gpus": GPU, "slices": SLICE}[key]: count for key, count in extended.items()}
    return SimulatedNode(
        name=name,
        address=None,
        labels={PRODUCT_LABEL: MODELS[MODEL].product} if resources else {},
        taints=taints,
        capacity={"cpu": str(cpus), "memory": "512Gi", "pods": "110", **resources},
    )


def test_small_jobs_leave_whole_nodes_to_large_ones(plane: ControlPlane, place: Callable[..., str]) -> None:
    plane.reconcile_nodes([node(f"gpu-{index}", gpus="8") for index in range(4)])
    small = {place(f"small-{index}", PACKING, {"cpu": "4", GPU: "2"}) for index in range(4)}
    assert len(small) == 1
    large = {place(f"large-{index}", PACKING, {"cpu": "8", GPU: "8"}) for index in range(3)}
    assert len(large | small) == 4


def test_the_default_profile_spreads_the_same_jobs(plane: ControlPlane, place: Callable[..., str]) -> None:
    plane.reconcile_nodes([node(f"gpu-{index}", gpus="8") for index in range(4)])
    assert len({place(f"small-{index}", SPREADING, {"cpu": "4", GPU: "2"}) for index in range(4)}) == 4


def test_gpus_decide_and_cpus_only_among_equals(plane: ControlPlane, place: Callable[..., str]) -> None:
    plane.reconcile_nodes([node(f"gpu-{index}", gpus="8") for index in range(3)])
    busy_gpus = place("gpus", PACKING, {"cpu": "1", GPU: "2"})
    others = {"gpu-0", "gpu-1", "gpu-2"} - {busy_gpus}
    full_cpus = place("cpus", PACKING, {"cpu": "60"}, nodeSelector={"kubernetes.io/hostname": min(others)})
    assert place("next", PACKING, {"cpu": "1", GPU: "1"}) == busy_gpus
    assert place("large", PACKING, {"cpu": "1", GPU: "8"}) == full_cpus


def test_slices_are_packed_as_gpus_are(plane: ControlPlane, place: Callable[..., str]) -> None:
    plane.reconcile_nodes([node(f"mig-{index}", slices="28") for index in range(3)])
    assert len({place(f"slice-{index}", PACKING, {"cpu": "1", SLICE: "1"}) for index in range(6)}) == 1


def test_work_without_gpus_takes_gpu_nodes_last(plane: ControlPlane, place: Callable[..., str]) -> None:
    """The GPU node is the fullest one all the while, and gets it only when no other has room."""
    plane.reconcile_nodes([node("gpu", gpus="8"), node("plain-0"), node("plain-1")])
    assert place("training", PACKING, {"cpu": "20", GPU: "1"}) == "gpu"
    first = [place(f"cpu-{index}", PACKING, {"cpu": "32"}) for index in range(4)]
    assert sorted(first) == ["plain-0", "plain-0", "plain-1", "plain-1"]
    assert first[0] == first[1]
    assert place("overflow", PACKING, {"cpu": "32"}) == "gpu"


def test_a_taint_to_be_avoided_counts_for_more_than_packing(plane: ControlPlane, place: Callable[..., str]) -> None:
    avoided = NodeTaint(key="lab.example.org/old", value="", effect="PreferNoSchedule")
    plane.reconcile_nodes([node("avoided", taints=(avoided,)), node("sound")])
    assert place("first", PACKING, {"cpu": "20"}, nodeName="avoided") == "avoided"
    assert place("second", PACKING, {"cpu": "4"}) == "sound"


@pytest.mark.parametrize(("scheduler", "nodes"), [(PACKING, 1), (SPREADING, 4)])
def test_replicas_are_packed_too(plane: ControlPlane, own: Api, namespace: str, scheduler: str, nodes: int) -> None:
    plane.reconcile_nodes([node(f"plain-{index}") for index in range(4)])
    own.namespace(namespace)
    labels = {"app": "many"}
    # More than a hundredth of a node, below which a score does not tell two nodes apart.
    main = {"name": "main", "image": "registry.invalid/x:1", "resources": {"requests": {"cpu": "4"}}}
    pod = {"metadata": {"labels": labels}, "spec": {"schedulerName": scheduler, "containers": [main]}}
    spec: Object = {"replicas": 4, "selector": {"matchLabels": labels}, "template": pod}
    sets = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
    own.post(sets, {"metadata": {"name": f"many-{nodes}"}, "spec": spec})

    def all_placed() -> list[str] | None:
        found = own.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
        where = [pod["spec"].get("nodeName") for pod in found]
        return where if len(where) == 4 and all(where) else None

    assert len(set(eventually(all_placed))) == nodes
    own.delete(f"{sets}/many-{nodes}?propagationPolicy=Background")


def test_a_server_of_the_hub_goes_where_its_section_says(plane: ControlPlane, own: Api, namespace: str) -> None:
    plane.reconcile_nodes([node("plain")])
    own.namespace(namespace)
    section = hub_section("lax", {"small": {"guarantee": {"cpu": "100m", "memory": "64Mi"}}})
    for scheduler in (PACKING, SPREADING):
        pod = server_pod(section, "small", "ana", scheduler=scheduler)
        pod["metadata"]["name"] = f"on-{scheduler}"
        own.post(f"/api/v1/namespaces/{namespace}/pods", pod)
        assert placed(own, namespace, f"on-{scheduler}") == "plain"


def processes(plane: ControlPlane) -> dict[str, int | None]:
    return {component.name: component.pid for component in plane.status().components}


def test_another_configuration_restarts_the_scheduler_and_nothing_else(tmp_path: Path) -> None:
    plane = made(tmp_path, None)
    try:
        plane.start()
        before = processes(plane)
        told: list[str] = []
        configured = made(tmp_path, CONFIGURATION)
        assert not configured.is_running(), "it runs, and its scheduler was told nothing"
        for step in (configured, made(tmp_path, scheduler_configuration(SchedulingConfig(), [GPU])), plane):
            step.start()
            after = processes(step)
            told.append(next(name for name in after if after[name] != before[name]))
            assert {name for name in after if after[name] != before[name]} == {"kube-scheduler"}
            before = after
            assert step.is_running()
        assert len(told) == 3
        plane.start()
        assert processes(plane) == before, "nothing changed, and something was restarted"
    finally:
        plane.wipe()
