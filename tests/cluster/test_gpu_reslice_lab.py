"""Another layout in the stack file, through the whole of `labctl up`: plan, command, label, what nodes offer, pods."""

from __future__ import annotations

import contextlib
import json
import signal
from pathlib import Path

import pytest
from cluster_api import Api, Object, eventually
from lab_copy import LabCopy, ended

from components.gpu.reslice.record import ANNOTATION

NAMESPACE = "gpu-operator-dev"
LAYOUT = "nvidia.com/mig.config"
OLD, NEW = "{1g.10gb: 4, 3g.40gb: 1}", "{1g.10gb: 3, 3g.40gb: 1}"


def node(api: Api, name: str) -> Object:
    return api.get(f"/api/v1/nodes/{name}")


def offers(api: Api, name: str) -> dict[str, str]:
    return {key: n for key, n in node(api, name)["status"]["allocatable"].items() if key.startswith("nvidia.com/")}


def layouts(api: Api) -> set[str]:
    file = api.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/mig-layouts")["data"]["config.yaml"]
    return set(json.loads(file)["mig-configs"])


@pytest.fixture
def gpu_hosts(project_copy: LabCopy) -> tuple[str, ...]:
    """Return the lab's GPU hosts, brought up."""
    project_copy.well("up", "--yes")
    items = project_copy.api.get("/api/v1/nodes")["items"]
    return tuple(sorted(item["metadata"]["name"] for item in items if LAYOUT in item["metadata"]["labels"]))


def slice_pod(api: Api, name: str, resource: str) -> None:
    container = {
        "name": "main",
        "image": "registry.example/x@sha256:" + "0" * 64,
        "resources": {"limits": {resource: "1"}},
    }
    spec = {"containers": [container], "tolerations": [{"operator": "Exists"}], "terminationGracePeriodSeconds": 0}
    api.post("/api/v1/namespaces/default/pods", {"metadata": {"name": name}, "spec": spec})
    eventually(lambda: api.get(f"/api/v1/namespaces/default/pods/{name}")["status"].get("phase") == "Running", 60)


def end(api: Api, name: str) -> None:
    api.delete(f"/api/v1/namespaces/default/pods/{name}?gracePeriodSeconds=0")


def commands(lab: LabCopy) -> list[str]:
    """Return the re-slice commands of this lab that run, by process."""
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"components.gpu.reslice" in (entry / "cmdline").read_bytes() and (entry / "cwd").readlink() == lab.root:
                found.append(entry.name)
    return found


def test_a_changed_layout_arrives_at_the_nodes_and_kill_does_no_harm(
    project_copy: LabCopy, gpu_hosts: tuple[str, ...]
) -> None:
    lab, api = project_copy, project_copy.api
    assert gpu_hosts == ("gpu-1", "gpu-2")
    before = {name: node(api, name)["metadata"]["labels"][LAYOUT] for name in gpu_hosts}
    assert layouts(api) == {"all-disabled", *before.values()}

    slice_pod(api, "notebook", "nvidia.com/mig-3g.40gb")
    lab.edit(OLD, NEW)
    preview = lab.well("preview")
    assert '"nvidia.com/mig-1g.10gb": 6' in preview.out, preview.out
    process = lab.start("up", "--yes")
    eventually(
        lambda: '"phase":"draining"' in node(api, "gpu-1")["metadata"].get("annotations", {}).get(ANNOTATION, ""), 120
    )
    process.send_signal(signal.SIGKILL)
    assert ended(process).code == -signal.SIGKILL
    eventually(lambda: not commands(lab), 60)
    assert node(api, "gpu-1")["spec"]["unschedulable"] is True
    assert node(api, "gpu-1")["metadata"]["labels"][LAYOUT] == before["gpu-1"]

    end(api, "notebook")
    lab.well("up", "--yes")
    now = node(api, "gpu-1")
    assert now["metadata"]["labels"][LAYOUT] != before["gpu-1"]
    assert layouts(api) == {"all-disabled", now["metadata"]["labels"][LAYOUT], before["gpu-2"]}
    assert ANNOTATION not in now["metadata"].get("annotations", {})
    assert not now["spec"].get("unschedulable", False)
    assert offers(api, "gpu-1") == {"nvidia.com/mig-1g.10gb": "6", "nvidia.com/mig-3g.40gb": "2"}
    assert node(api, "gpu-2")["metadata"]["labels"][LAYOUT] == before["gpu-2"]
    slice_pod(api, "another", "nvidia.com/mig-3g.40gb")
    end(api, "another")
    lab.well("preview", "--refresh", "--expect-no-changes")

    lab.well("destroy", "--yes")
    assert all(LAYOUT not in node(api, name)["metadata"]["labels"] for name in gpu_hosts)
