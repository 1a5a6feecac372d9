"""Workloads on simulated nodes: waited for until they run, with the reasons when they do not."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from cluster_api import eventually
from provider_samples import CONFIG_MAP, Lab, make_lab, manifest

from labctl.engine.providers.base import PartialFailureError, Resource
from labctl.engine.providers.kubernetes.exceptions import StillDeletingError
from labctl.graph.values import Inputs, as_mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from cluster_api import Api

    from labctl.control_plane import ControlPlane, SimulatedNode

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
SERVICE = "kubernetes:core/v1:Service"
IMAGE = "registry.example/web@sha256:" + "0" * 64
SOON_SECONDS = 60
"""For what takes a second, on a machine that is busy; minutes are waited by themselves."""


@pytest.fixture
def lab(control_plane: ControlPlane) -> Lab:
    return make_lab(str(control_plane.kubeconfig))


def pods(app: str, limits: dict[str, str] | None = None) -> Inputs:
    container: Inputs = {"name": "c", "image": IMAGE, "resources": {"limits": {**(limits or {})}}}
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": [container]}}


def deployment(namespace: str, *, replicas: int = 1, limits: dict[str, str] | None = None) -> Inputs:
    spec: Inputs = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "template": pods("web", limits),
    }
    return manifest("Deployment", "web", namespace, "apps/v1", spec=spec)


def test_everything_runs_on_simulated_nodes(own_plane: ControlPlane, gpu_node: Callable[..., SimulatedNode]) -> None:
    """The whole way: workloads, the Service that finds them, a claim that waits for its consumer."""
    own_plane.start()
    own_plane.reconcile_nodes([gpu_node("worker-1"), gpu_node("worker-2")])
    lab = make_lab(str(own_plane.kubeconfig))
    lab.namespace("web")

    made = lab.create(lab.wanted(DEPLOYMENT, "web", deployment("web", replicas=3, limits={"cpu": "100m"})))
    ports: Inputs = {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]}
    lab.create(lab.wanted(SERVICE, "web", manifest("Service", "web", "web", spec=ports)))
    agents: Inputs = {"selector": {"matchLabels": {"app": "agent"}}, "template": pods("agent")}
    lab.create(
        lab.wanted(
            "kubernetes:apps/v1:DaemonSet", "agent", manifest("DaemonSet", "agent", "web", "apps/v1", spec=agents)
        )
    )
    members: Inputs = {
        "serviceName": "db",
        "replicas": 2,
        "selector": {"matchLabels": {"app": "db"}},
        "template": pods("db"),
    }
    lab.create(
        lab.wanted(
            "kubernetes:apps/v1:StatefulSet", "db", manifest("StatefulSet", "db", "web", "apps/v1", spec=members)
        )
    )
    lab.create(lab.wanted("kubernetes:core/v1:Pod", "one", manifest("Pod", "one", "web", spec=pods("one")["spec"])))
    late = manifest(
        "StorageClass", "late", "", "storage.k8s.io/v1", provisioner="lab", volumeBindingMode="WaitForFirstConsumer"
    )
    lab.create(lab.wanted("kubernetes:storage.k8s.io/v1:StorageClass", "late", late))
    claim: Inputs = {
        "storageClassName": "late",
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    }
    lab.create(
        lab.wanted(
            "kubernetes:core/v1:PersistentVolumeClaim",
            "data",
            manifest("PersistentVolumeClaim", "data", "web", spec=claim),
        )
    )

    assert as_mapping(made.outputs["status"])["availableReplicas"] == 3
    changed = lab.update(made, deployment("web", replicas=2, limits={"cpu": "200m"}))
    assert as_mapping(changed.outputs["status"])["availableReplicas"] == 2
    lab.delete(changed)


def test_a_workload_that_gets_no_node_is_recorded_with_the_reasons(lab: Lab, namespace: str, api: Api) -> None:
    lab.namespace(namespace)
    limits = {"nvidia.com/mig-9g.99gb": "1"}
    wanted = lab.wanted(DEPLOYMENT, "web", deployment(namespace, limits=limits))

    with pytest.raises(PartialFailureError) as raised:
        lab.create(wanted, lab.context(timeout_seconds=10.0))

    error = raised.value
    assert error.resource_id == f"{namespace}/web"
    assert error.outputs["__inputs"] == wanted.inputs
    assert any("not ready after 10 s: 0 of 1 replicas are available" in reason for reason in error.reasons)
    assert any("is not scheduled" in reason for reason in error.reasons)
    assert api.exists(f"/apis/apps/v1/namespaces/{namespace}/deployments/web")


def test_a_timeout_may_be_an_annotation_and_waiting_may_be_skipped(lab: Lab, namespace: str) -> None:
    lab.namespace(namespace)
    service: Inputs = {"selector": {"app": "nobody"}, "ports": [{"name": "http", "port": 80}]}

    def annotated(name: str, **annotations: str) -> Resource:
        plain = manifest("Service", name, namespace, spec=service)
        plain["metadata"] = {
            "name": name,
            "namespace": namespace,
            "annotations": {f"pulumi.com/{key}": value for key, value in annotations.items()},
        }
        return lab.wanted(SERVICE, name, plain)

    lab.create(annotated("skipped", skipAwait="true"))
    started = time.monotonic()
    with pytest.raises(PartialFailureError, match="it selects no ready pod"):
        lab.create(annotated("short", timeoutSeconds="1"))

    assert time.monotonic() - started < SOON_SECONDS


@contextmanager
def stopped_once(what: Callable[[], bool]) -> Generator[threading.Event]:
    """Set an event as soon as something is so."""
    stop = threading.Event()

    def watch() -> None:
        eventually(what)
        stop.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield stop
    watcher.join()


def test_a_stop_ends_a_wait_soon_and_the_object_is_recorded(lab: Lab, namespace: str, api: Api) -> None:
    lab.namespace(namespace)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    started = time.monotonic()

    with (
        stopped_once(lambda: api.exists(path)) as stop,
        pytest.raises(PartialFailureError, match="stopped while waiting"),
    ):
        lab.create(
            lab.wanted(DEPLOYMENT, "web", deployment(namespace, limits={"cpu": "9000"})), lab.context(cancelled=stop)
        )

    assert time.monotonic() - started < SOON_SECONDS


def test_a_stop_ends_the_wait_for_a_deletion(lab: Lab, namespace: str, api: Api) -> None:
    lab.namespace(namespace)
    held = manifest("ConfigMap", "settings", namespace, metadata={"finalizers": ["lab.example/hold"]})
    made = lab.create(lab.wanted(CONFIG_MAP, "settings", held))
    path = f"/api/v1/namespaces/{namespace}/configmaps/settings"

    with (
        stopped_once(lambda: "deletionTimestamp" in api.get(path)["metadata"]) as stop,
        pytest.raises(StillDeletingError, match="settings"),
    ):
        lab.delete(made, lab.context(cancelled=stop))

    api.merge(path, {"metadata": {"finalizers": None}})
