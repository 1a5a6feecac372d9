from __future__ import annotations

import pytest

from labctl.engine.providers.kubernetes.readiness import wait_for
from labctl.graph.values import Inputs, Value, as_mapping

Found = dict[tuple[str, str], Inputs]


class Objects:
    """Other objects, from a dict."""

    def __init__(self, single: Found | None = None, slices: list[Inputs] | None = None) -> None:
        self._single = single or {}
        self._slices = slices or []

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> Inputs | None:
        del api_version, namespace
        return self._single.get((kind, name))

    def list(self, api_version: str, kind: str, namespace: str, label_selector: str) -> list[Inputs]:
        assert (api_version, kind, namespace) == ("discovery.k8s.io/v1", "EndpointSlice", "lab")
        return [item for item in self._slices if item["for"] == label_selector]


def live(kind: str, api_version: str, status: Inputs, spec: Inputs | None = None, **fields: Value) -> Inputs:
    metadata: Inputs = {"name": "web", "namespace": "lab", "generation": 2}
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": metadata,
        "spec": spec or {},
        "status": status,
        **fields,
    }


def condition(kind: str, status: str, **more: Value) -> list[Value]:
    return [{"type": kind, "status": status, **more}]


def endpoints(service: str, *, ready: bool = True) -> Inputs:
    return {"for": f"kubernetes.io/service-name={service}", "endpoints": [{"conditions": {"ready": ready}}]}


APPS = "apps/v1"
DONE: Inputs = {"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 3}
SETS: Inputs = {
    "observedGeneration": 2,
    "readyReplicas": 3,
    "updatedReplicas": 3,
    "updateRevision": "b",
    "currentRevision": "b",
}
DAEMONS: Inputs = {
    "observedGeneration": 2,
    "desiredNumberScheduled": 2,
    "updatedNumberScheduled": 2,
    "numberAvailable": 2,
}
THREE: Inputs = {"replicas": 3}
PARTITION: Inputs = {"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}
PROGRESS = condition("Progressing", "False", reason="ProgressDeadlineExceeded", message="too slow")


@pytest.mark.parametrize(
    ("kind", "api_version", "spec", "status", "expected"),
    [
        ("Deployment", APPS, THREE, DONE, "ready"),
        ("Deployment", APPS, {"replicas": 0}, {"observedGeneration": 2}, "ready"),
        ("Deployment", APPS, THREE, {**DONE, "observedGeneration": 1}, "has not seen it"),
        ("Deployment", APPS, THREE, {**DONE, "updatedReplicas": 1}, "1 of 3 replicas are of the new template"),
        ("Deployment", APPS, THREE, {**DONE, "replicas": 4}, "1 old replicas"),
        ("Deployment", APPS, THREE, {**DONE, "availableReplicas": 2}, "2 of 3 replicas are available"),
        ("Deployment", APPS, THREE, {**DONE, "conditions": PROGRESS}, "failed: too slow"),
        ("Deployment", APPS, {}, {"observedGeneration": 2}, "0 of 1"),
        ("StatefulSet", APPS, THREE, SETS, "ready"),
        ("StatefulSet", APPS, THREE, {**SETS, "readyReplicas": 2}, "2 of 3 replicas are ready"),
        ("StatefulSet", APPS, THREE, {**SETS, "updatedReplicas": 1, "updateRevision": "c"}, "1 of 3"),
        (
            "StatefulSet",
            APPS,
            {**THREE, "updateStrategy": {"type": "OnDelete"}},
            {**SETS, "updatedReplicas": 0},
            "ready",
        ),
        ("StatefulSet", APPS, PARTITION, {**SETS, "updatedReplicas": 1, "updateRevision": "c"}, "ready"),
        ("StatefulSet", APPS, PARTITION, {**SETS, "updatedReplicas": 0, "updateRevision": "c"}, "0 of 1"),
        ("DaemonSet", APPS, {}, DAEMONS, "ready"),
        ("DaemonSet", APPS, {}, {**DAEMONS, "numberAvailable": 1}, "1 of 2 pods are available"),
        ("DaemonSet", APPS, {}, {**DAEMONS, "updatedNumberScheduled": 0}, "0 of 2 pods are of the new"),
        ("DaemonSet", APPS, {"updateStrategy": {"type": "OnDelete"}}, {"observedGeneration": 2}, "ready"),
        ("Pod", "v1", {}, {"phase": "Running", "conditions": condition("Ready", "True")}, "ready"),
        ("Pod", "v1", {}, {"phase": "Succeeded"}, "ready"),
        ("Pod", "v1", {}, {"phase": "Running", "conditions": condition("Ready", "False")}, "Running and not ready"),
        ("Pod", "v1", {}, {"phase": "Failed", "message": "evicted"}, "failed: evicted"),
        (
            "Pod",
            "v1",
            {},
            {"phase": "Pending", "conditions": condition("PodScheduled", "False", message="no GPU")},
            "not scheduled: no GPU",
        ),
        ("Job", "batch/v1", {}, {"conditions": condition("Complete", "True")}, "ready"),
        ("Job", "batch/v1", {"suspend": True}, {}, "ready"),
        ("Job", "batch/v1", {}, {"active": 2}, "2 pods are running"),
        (
            "Job",
            "batch/v1",
            {},
            {"conditions": condition("Failed", "True", message="backoff")},
            "failed: it failed: backoff",
        ),
        ("Service", "v1", {"selector": {"a": "b"}, "clusterIP": "None"}, {}, "ready"),
        ("Service", "v1", {"type": "ExternalName", "selector": {"a": "b"}}, {}, "ready"),
        ("Service", "v1", {}, {}, "ready"),
        ("Service", "v1", {"selector": {"a": "b"}}, {}, "ready"),
        ("Service", "v1", {"type": "LoadBalancer", "selector": {"a": "b"}}, {}, "no load balancer"),
        (
            "Service",
            "v1",
            {"type": "LoadBalancer", "selector": {"a": "b"}},
            {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}},
            "ready",
        ),
        ("PersistentVolumeClaim", "v1", {}, {"phase": "Bound"}, "ready"),
        ("PersistentVolumeClaim", "v1", {"storageClassName": "late"}, {"phase": "Pending"}, "ready"),
        ("PersistentVolumeClaim", "v1", {"storageClassName": "now"}, {"phase": "Pending"}, "no volume of class now"),
        ("PersistentVolume", "v1", {}, {"phase": "Available"}, "ready"),
        ("PersistentVolume", "v1", {}, {"phase": "Pending"}, "Pending"),
        ("Namespace", "v1", {}, {"phase": "Active"}, "ready"),
        ("Namespace", "v1", {}, {"phase": "Terminating"}, "Terminating"),
        ("ResourceQuota", "v1", {"hard": {"pods": "1"}}, {"hard": {"pods": "1"}}, "ready"),
        ("ResourceQuota", "v1", {"hard": {"pods": "1"}}, {}, "does not count"),
        (
            "CustomResourceDefinition",
            "apiextensions.k8s.io/v1",
            {},
            {"conditions": condition("Established", "True")},
            "ready",
        ),
        ("CustomResourceDefinition", "apiextensions.k8s.io/v1", {}, {}, "does not serve"),
        (
            "CustomResourceDefinition",
            "apiextensions.k8s.io/v1",
            {},
            {"conditions": condition("NamesAccepted", "False", message="in use")},
            "failed: its names are taken: in use",
        ),
    ],
)
def test_when_an_object_is_ready(kind: str, api_version: str, spec: Inputs, status: Inputs, expected: str) -> None:
    classes: Found = {
        ("StorageClass", "late"): {"volumeBindingMode": "WaitForFirstConsumer"},
        ("StorageClass", "now"): {"volumeBindingMode": "Immediate"},
    }
    found = live(kind, api_version, status, spec)
    wait = wait_for(found)
    assert wait is not None

    verdict = wait.check(found, Objects(classes, [endpoints("web")]))

    if expected == "ready":
        assert verdict.ready, verdict.missing
    else:
        assert not verdict.ready
        assert expected.removeprefix("failed: ") in verdict.missing
        assert verdict.failed is expected.startswith("failed: ")


@pytest.mark.parametrize("slices", [[], [endpoints("other")], [endpoints("web", ready=False)]])
def test_a_service_waits_for_a_ready_endpoint_of_its_own(slices: list[Inputs]) -> None:
    found = live("Service", "v1", {}, {"selector": {"a": "b"}})
    wait = wait_for(found)
    assert wait is not None

    assert wait.check(found, Objects(slices=slices)).missing == "it selects no ready pod"


INGRESS_SPEC: Inputs = {"rules": [{"http": {"paths": [{"backend": {"service": {"name": "web"}}}]}}]}
BACKEND: Inputs = live("Service", "v1", {}, {"selector": {"a": "b"}})


@pytest.mark.parametrize(
    ("services", "slices", "status", "missing"),
    [
        ({}, [], {}, "Service web, which does not exist"),
        ({("Service", "web"): BACKEND}, [], {}, "selects no ready pod"),
        ({("Service", "web"): BACKEND}, [endpoints("web")], {}, "no ingress controller"),
        ({("Service", "web"): BACKEND}, [endpoints("web")], {"loadBalancer": {"ingress": [{"ip": "1"}]}}, ""),
    ],
)
def test_an_ingress_waits_for_its_backends_and_its_address(
    services: Found, slices: list[Inputs], status: Inputs, missing: str
) -> None:
    found = live("Ingress", "networking.k8s.io/v1", status, INGRESS_SPEC)
    wait = wait_for(found)
    assert wait is not None

    verdict = wait.check(found, Objects(services, slices))

    assert verdict.ready is (missing == "")
    assert missing in verdict.missing


@pytest.mark.parametrize(
    ("kind", "data", "ready"), [("Opaque", {}, True), ("kubernetes.io/service-account-token", {}, False)]
)
def test_a_token_secret_waits_for_its_token(kind: str, data: Inputs, *, ready: bool) -> None:
    found: Inputs = {"apiVersion": "v1", "kind": "Secret", "type": kind, "data": data}
    wait = wait_for(found)
    assert wait is not None

    assert wait.check(found, Objects()).ready is ready


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [("v1", "ConfigMap"), ("rbac.authorization.k8s.io/v1", "Role"), ("example.com/v1", "Service")],
)
def test_other_kinds_are_ready_when_stored(api_version: str, kind: str) -> None:
    assert wait_for({"apiVersion": api_version, "kind": kind}) is None


def test_official_default_timeouts() -> None:
    expected = {"Deployment": 600, "PersistentVolumeClaim": 300, "ResourceQuota": 60}
    for kind, seconds in expected.items():
        wait = wait_for({"apiVersion": "apps/v1" if kind == "Deployment" else "v1", "kind": kind})
        assert wait is not None
        assert wait.timeout_seconds == seconds


def test_samples_have_the_metadata_that_checks_read() -> None:
    assert as_mapping(BACKEND["metadata"])["namespace"] == "lab"
