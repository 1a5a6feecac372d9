"""Simulated nodes, and what the real scheduler and controllers do with them."""

import time
from collections.abc import Callable, Generator

import pytest
from cluster_api import Api, Object, eventually, make_plane

from labctl.control_plane import ControlPlane, NodeTaint, SimulatedNode
from labctl.control_plane.errors import ForeignNodeError, NotRunningError

MIG_SLICE = "nvidia.com/mig-1g.10gb"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Generator[ControlPlane]:
    """A control plane of this module's own: `reconcile_nodes` decides over all its nodes."""
    plane = make_plane(tmp_path_factory.mktemp("nodes"))
    plane.start()
    yield plane
    plane.wipe()


@pytest.fixture
def own(plane: ControlPlane) -> Api:
    return Api(plane)


def pod(name: str, limits: dict[str, str], **spec: object) -> Object:
    container = {
        "name": "main",
        "image": "registry.example/notebook@sha256:" + "0" * 64,
        "resources": {"limits": limits},
    }
    return {"metadata": {"name": name}, "spec": {"containers": [container], **spec}}


def test_nodes_are_ready_and_show_their_gpus(
    plane: ControlPlane, own: Api, gpu_node: Callable[..., SimulatedNode]
) -> None:
    node = gpu_node("gpu1", slices={MIG_SLICE: "7"})
    changes = plane.reconcile_nodes([node])
    assert changes.created == ("gpu1",)
    live = own.get("/api/v1/nodes/gpu1")
    assert live["status"]["allocatable"] == dict(node.capacity) == live["status"]["capacity"]
    assert {"type": "InternalIP", "address": "10.1.2.3"} in live["status"]["addresses"]
    assert [c["status"] for c in live["status"]["conditions"] if c["type"] == "Ready"] == ["True"]
    assert "taints" not in live["spec"]
    lease = own.get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/gpu1")
    assert lease["spec"]["holderIdentity"]


def test_pod_asking_for_a_slice_is_bound_and_one_asking_for_none_there_is_waits(
    plane: ControlPlane, own: Api, gpu_node: Callable[..., SimulatedNode]
) -> None:
    plane.reconcile_nodes([gpu_node("cpu1"), gpu_node("gpu1", slices={MIG_SLICE: "1"})])
    own.namespace("slices")
    pods = "/api/v1/namespaces/slices/pods"
    own.post(pods, pod("fits", {MIG_SLICE: "1"}))
    eventually(lambda: own.get(f"{pods}/fits")["status"]["phase"] == "Running")
    running = own.get(f"{pods}/fits")
    assert running["spec"]["nodeName"] == "gpu1"
    assert running["status"]["podIP"].startswith("10.244.")
    own.post(pods, pod("missing", {"nvidia.com/mig-7g.80gb": "1"}))
    own.post(pods, pod("full", {MIG_SLICE: "1"}))
    for name, resource in (("missing", "nvidia.com/mig-7g.80gb"), ("full", MIG_SLICE)):
        eventually(lambda name=name: own.get(f"{pods}/{name}")["status"].get("conditions"))
        status = own.get(f"{pods}/{name}")["status"]
        assert status["phase"] == "Pending"
        (condition,) = [c for c in status["conditions"] if c["type"] == "PodScheduled"]
        assert condition["reason"] == "Unschedulable"
        assert f"Insufficient {resource}" in condition["message"]
    own.delete(f"{pods}/fits")
    eventually(lambda: own.get(f"{pods}/full")["status"]["phase"] == "Running")


def test_jobs_complete_and_pods_are_deleted(
    plane: ControlPlane, own: Api, gpu_node: Callable[..., SimulatedNode]
) -> None:
    plane.reconcile_nodes([gpu_node("cpu1")])
    own.namespace("jobs")
    template = pod("ignored", {"cpu": "1"}, restartPolicy="Never")
    jobs = "/apis/batch/v1/namespaces/jobs/jobs"
    own.post(jobs, {"metadata": {"name": "job"}, "spec": {"template": {"spec": template["spec"]}}})
    eventually(lambda: own.get(f"{jobs}/job")["status"].get("succeeded") == 1)
    pods = "/api/v1/namespaces/jobs/pods"
    own.post(pods, pod("gone", {"cpu": "1"}))
    eventually(lambda: own.get(f"{pods}/gone")["status"]["phase"] == "Running")
    own.delete(f"{pods}/gone")
    eventually(lambda: not own.exists(f"{pods}/gone"))


def test_changes_reach_the_nodes_and_the_unchanged_are_left_alone(
    plane: ControlPlane, own: Api, gpu_node: Callable[..., SimulatedNode]
) -> None:
    plane.reconcile_nodes(
        [gpu_node("one", slices={MIG_SLICE: "7"}, rack="a", old="yes"), gpu_node("two"), gpu_node("three")]
    )
    before = own.get("/api/v1/nodes/two")["metadata"]["uid"]
    changed = gpu_node("one", slices={"nvidia.com/mig-3g.40gb": "2"}, rack="b")
    changes = plane.reconcile_nodes([changed, gpu_node("two")])
    assert (changes.created, changes.updated) == ((), ("one",))
    assert "three" in changes.removed
    assert changes.unchanged == ("two",)
    live = own.get("/api/v1/nodes/one")
    assert live["status"]["allocatable"] == dict(changed.capacity)
    assert live["metadata"]["labels"]["rack"] == "b"
    assert "old" not in live["metadata"]["labels"]
    assert own.get("/api/v1/nodes/two")["metadata"]["uid"] == before
    assert not own.exists("/api/v1/nodes/three")


def test_the_same_amount_written_differently_is_no_change(plane: ControlPlane) -> None:
    def node(memory: str, cpu: str) -> SimulatedNode:
        return SimulatedNode(name="units", address=None, capacity={"cpu": cpu, "memory": memory, "pods": "10"})

    plane.reconcile_nodes([node("2048Mi", "4000m")])
    assert plane.reconcile_nodes([node("2048Mi", "4000m")]).unchanged == ("units",)
    assert plane.reconcile_nodes([node("2Gi", "4")]).unchanged == ("units",)
    assert plane.reconcile_nodes([node("3Gi", "4")]).updated == ("units",)


def test_labels_and_taints_of_others_survive(plane: ControlPlane, own: Api) -> None:
    def node(**labels: str) -> SimulatedNode:
        taint = NodeTaint(key="nvidia.com/gpu", value="present", effect="NoSchedule")
        capacity = {"cpu": "8", "memory": "16Gi", "pods": "110"}
        return SimulatedNode(name="shared", address="10.1.2.9", labels=labels, taints=(taint,), capacity=capacity)

    path = "/api/v1/nodes/shared"
    plane.reconcile_nodes([node(zone="a", old="x")])
    assert [t["key"] for t in own.get(path)["spec"]["taints"]] == ["nvidia.com/gpu"]
    patch = {"apiVersion": "v1", "kind": "Node", "metadata": {"labels": {"pool": "gpu"}}}
    own.apply(path, "pulumi-kubernetes-1234", {**patch, "metadata": {"name": "shared", "labels": {"pool": "gpu"}}})
    own.merge(path, {"spec": {"taints": [{"key": "maintenance", "effect": "NoSchedule"}]}})
    assert plane.reconcile_nodes([node(zone="b")]).updated == ("shared",)
    live = own.get(path)
    assert live["metadata"]["labels"]["pool"] == "gpu"
    assert live["metadata"]["labels"]["zone"] == "b"
    assert "old" not in live["metadata"]["labels"]
    assert [t["key"] for t in live["spec"]["taints"]] == ["maintenance"]


def test_a_taint_set_at_creation_stays_through_label_changes(plane: ControlPlane, own: Api) -> None:
    def node(rack: str) -> SimulatedNode:
        taint = NodeTaint(key="storage", value="true", effect="NoSchedule")
        capacity = {"cpu": "8", "memory": "16Gi", "pods": "110"}
        return SimulatedNode(name="tainted", address=None, labels={"rack": rack}, taints=(taint,), capacity=capacity)

    plane.reconcile_nodes([node("a")])
    plane.reconcile_nodes([node("b")])
    live = own.get("/api/v1/nodes/tainted")
    assert live["metadata"]["labels"]["rack"] == "b"
    assert live["spec"]["taints"] == [{"key": "storage", "value": "true", "effect": "NoSchedule"}]


def test_nodes_of_others_are_left_alone(plane: ControlPlane, own: Api, gpu_node: Callable[..., SimulatedNode]) -> None:
    own.post("/api/v1/nodes", {"metadata": {"name": "foreign"}})
    assert "foreign" not in plane.reconcile_nodes([gpu_node("mine")]).removed
    with pytest.raises(ForeignNodeError, match="foreign"):
        plane.reconcile_nodes([gpu_node("foreign")])
    assert own.exists("/api/v1/nodes/mine"), "refused as a whole: nothing was removed"
    own.delete("/api/v1/nodes/foreign")


def storage_class(name: str, **fields: object) -> Object:
    return {"metadata": {"name": name}, "provisioner": "nfs.csi.k8s.io", **fields}


def claim(name: str, class_name: str) -> Object:
    spec = {"storageClassName": class_name, "accessModes": ["ReadWriteMany"]}
    return {"metadata": {"name": name}, "spec": {**spec, "resources": {"requests": {"storage": "10Gi"}}}}


def test_claims_are_bound_by_the_controller_manager_and_follow_their_class(
    plane: ControlPlane, own: Api, gpu_node: Callable[..., SimulatedNode]
) -> None:
    plane.reconcile_nodes([gpu_node("cpu1")])
    own.namespace("volumes")
    classes, claims = "/apis/storage.k8s.io/v1/storageclasses", "/api/v1/namespaces/volumes/persistentvolumeclaims"
    own.post(classes, storage_class("homes", reclaimPolicy="Retain", mountOptions=["hard", "nfsvers=4.2"]))
    own.post(classes, storage_class("scratch", volumeBindingMode="WaitForFirstConsumer"))
    for name in ("homes", "scratch"):
        own.post(claims, claim(name, name))
    eventually(lambda: own.get(f"{claims}/homes")["status"]["phase"] == "Bound")
    assert own.get(f"{claims}/scratch")["status"]["phase"] == "Pending", "nobody uses it yet"
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "scratch"}}
    own.post("/api/v1/namespaces/volumes/pods", pod("user", {"cpu": "1"}, volumes=[volume]))
    eventually(lambda: own.get("/api/v1/namespaces/volumes/pods/user")["status"]["phase"] == "Running")
    bound = own.get(f"{claims}/homes")
    annotations = bound["metadata"]["annotations"]
    assert annotations["pv.kubernetes.io/bind-completed"] == "yes"
    assert annotations["volume.kubernetes.io/storage-provisioner"] == "nfs.csi.k8s.io"
    volumes = {c["spec"]["claimRef"]["name"]: c for c in own.get("/api/v1/persistentvolumes")["items"]}
    assert volumes["homes"]["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert volumes["homes"]["spec"]["mountOptions"] == ["hard", "nfsvers=4.2"]
    assert volumes["scratch"]["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    own.delete("/api/v1/namespaces/volumes/pods/user")
    for name in ("homes", "scratch"):
        own.delete(f"{claims}/{name}")
    kept, removed = (f"/api/v1/persistentvolumes/{volumes[name]['metadata']['name']}" for name in ("homes", "scratch"))
    eventually(lambda: not own.exists(removed))
    eventually(lambda: own.get(kept)["status"]["phase"] == "Released")


def test_many_claims_at_once_are_all_bound(own: Api) -> None:
    own.namespace("many")
    own.post("/apis/storage.k8s.io/v1/storageclasses", storage_class("many"))
    claims = "/api/v1/namespaces/many/persistentvolumeclaims"
    for index in range(40):
        own.post(claims, claim(f"claim-{index}", "many"))
    eventually(lambda: {c["status"]["phase"] for c in own.get(claims)["items"]} == {"Bound"})
    assert len({c["spec"]["volumeName"] for c in own.get(claims)["items"]}) == 40


def test_two_hundred_nodes_in_seconds(
    plane: ControlPlane, gpu_node: Callable[..., SimulatedNode], figure: Callable[[str], None]
) -> None:
    nodes = [gpu_node(f"node-{index:04d}") for index in range(200)]
    began = time.monotonic()
    changes = plane.reconcile_nodes(nodes)
    created_seconds = time.monotonic() - began
    assert len(changes.created) == 200
    began = time.monotonic()
    assert len(plane.reconcile_nodes(nodes).unchanged) == 200
    unchanged_seconds = time.monotonic() - began
    figure(f"200 nodes: created and Ready in {created_seconds:.1f} s, found unchanged in {unchanged_seconds:.2f} s")
    # The figures themselves are shown with -rP; other tests run on the same two cores meanwhile.
    assert created_seconds < 90
    assert unchanged_seconds < 15
    assert len(plane.reconcile_nodes([]).removed) == 200


def test_without_a_running_control_plane_it_says_so(own_plane: ControlPlane) -> None:
    with pytest.raises(NotRunningError, match="is not running"):
        own_plane.reconcile_nodes([])
