"""kubelet settings and the images a node begins with."""

from __future__ import annotations

import json

import pytest
from preparation_samples import cluster, lab

from components.errors import MissingPinError
from components.images import ImageReference
from components.nodes.kubernetes_plan import image_name, kubelet_settings, kubernetes_steps, node_images

DIGEST = f"sha256:{'0' * 64}"


def test_every_node_has_the_step_after_its_runtime() -> None:
    steps = kubernetes_steps(lab(), cluster())
    assert [(step.host, step.libraries, step.after) for step in steps] == [
        (name, ("programs",), (("runtime", name),)) for name in ("cp-1", "gpu-1")
    ]


def test_etcd_is_looked_after_where_it_runs() -> None:
    plane, worker = kubernetes_steps(lab(), cluster())
    assert plane.values["ETCD_VERSION"] == "v1.2.3"
    assert (worker.values["ETCD"], worker.values["ETCD_VERSION"]) == ((), "")


def test_images_by_role() -> None:
    config = lab(prePull=["notebook"])
    plane, worker = (node_images(config, config.hosts[name], cluster()) for name in ("cp-1", "gpu-1"))
    names = ("coredns", "etcd", "kube-apiserver", "kube-proxy", "pause")
    assert plane == tuple(f"registry.k8s.io/{name}:v1" for name in names)
    assert worker == (
        *(f"registry.k8s.io/{name}:v1" for name in ("coredns", "kube-proxy", "pause")),
        f"quay.io/jupyter/notebook@sha256:{'1' * 64}",
    )


def test_image_that_is_not_pinned_is_named() -> None:
    config = lab(prePull=["nonsense"])
    with pytest.raises(MissingPinError, match="nonsense"):
        node_images(config, config.hosts["gpu-1"], cluster())


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (f"quay.io/a/b:1@{DIGEST}", f"quay.io/a/b@{DIGEST}"),
        (f"docker.io/busybox:1@{DIGEST}", f"docker.io/library/busybox@{DIGEST}"),
        (f"docker.io/a/b@{DIGEST}", f"docker.io/a/b@{DIGEST}"),
        (f"registry.lab.org:5000/b:1@{DIGEST}", f"registry.lab.org:5000/b@{DIGEST}"),
    ],
)
def test_name_the_runtime_looks_an_image_up_by(reference: str, expected: str) -> None:
    assert image_name(ImageReference.parse(reference)) == expected


def test_settings() -> None:
    config = lab()
    assert kubelet_settings(config, config.hosts["cp-1"]) == {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
        "containerLogMaxFiles": 5,
        "containerLogMaxSize": "50Mi",
        "imageGCHighThresholdPercent": 80,
        "imageGCLowThresholdPercent": 70,
        "kubeReserved": {"memory": "1310Mi"},
        "maxParallelImagePulls": 4,
        "rotateCertificates": True,
        "serializeImagePulls": False,
        "systemReserved": {"memory": "1310Mi"},
    }


@pytest.mark.parametrize(("memory", "reserved"), [("1Gi", "128Mi"), ("64Gi", "1310Mi"), ("1Ti", "2Gi")])
def test_memory_that_is_kept_has_bounds(memory: str, reserved: str) -> None:
    config = lab()
    host = config.hosts["cp-1"]
    small = host.model_copy(
        update={"hardware": host.hardware.model_copy(update={"memory": type(host.hardware.memory).parse(memory)})}
    )
    assert kubelet_settings(config, small)["systemReserved"] == {"memory": reserved}


def test_settings_of_the_lab_are_laid_over_ours() -> None:
    config = lab(
        kubelet={
            "settings": {
                "maxPods": 200,
                "kubeReserved": {"cpu": "1"},
                "containerLogMaxSize": "1Gi",
                "tlsCipherSuites": ["A"],
            }
        }
    )
    found = kubelet_settings(config, config.hosts["cp-1"])
    assert found["maxPods"] == 200
    assert found["kubeReserved"] == {"memory": "1310Mi", "cpu": "1"}
    assert found["containerLogMaxSize"] == "1Gi"
    text = str(kubernetes_steps(config, cluster())[0].values["KUBELET_SETTINGS"])
    assert json.loads(text) == json.loads(json.dumps(found, default=list))
