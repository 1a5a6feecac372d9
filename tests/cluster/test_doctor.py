"""``labctl doctor`` on a real control plane: a lab that is well, and then really broken. Order matters."""

from __future__ import annotations

import json
import os
import signal
import tarfile
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from cluster_api import Object, eventually
from lab_copy import LabCopy, interrupted

from labctl.control_plane import obtain_tool
from labctl.exit_codes import ExitCode
from stacks.environments import EnvironmentName
from stacks.pins import load_pins

WORKER = "/api/v1/nodes/worker-2"
CERTIFICATE = "/apis/cert-manager.io/v1/namespaces/gateway-dev/certificates/hub-tls"
DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/certificates.cert-manager.io"
LINES = 40
"""Of a journal, in the middle of bringing a lab up."""


@dataclass(frozen=True)
class Examined:
    """What came of an examination."""

    code: int
    document: Object
    err: str

    @property
    def states(self) -> dict[str, str]:
        return {check["check"]: check["state"] for check in self.document["checks"]}

    def found(self, check: str) -> dict[str, Object]:
        """Return a check's findings by subject."""
        checks: Mapping[str, Object] = {found["check"]: found for found in self.document["checks"]}
        return {finding["subject"]: finding for finding in checks[check]["findings"]}

    def bad(self) -> set[str]:
        return {name for name, state in self.states.items() if state not in {"ok", "not-applicable"}}


def examined(lab: LabCopy, *arguments: str) -> Examined:
    ended = lab.run("doctor", "--json", *arguments)
    return Examined(ended.code, json.loads(ended.out), ended.err)


def test_a_lab_that_is_well(deployed: LabCopy) -> None:
    found = examined(deployed)
    assert found.code == ExitCode.OK, found.document
    assert found.document["healthy"] is True
    assert found.bad() == set()
    assert found.states["nodes"] == found.states["slices"] == found.states["storage"] == "ok"
    assert {found.states[name] for name in ("hub", "hosts", "drift", "backups")} == {"not-applicable"}
    shown = deployed.run("doctor")
    assert shown.code == ExitCode.OK
    assert "all is well" in shown.out
    assert "2 nodes offer 18 slices as planned" in shown.out


def test_up_says_nothing_of_a_lab_that_is_well(deployed: LabCopy) -> None:
    up = deployed.well("up", "--yes")
    assert "this up" not in up.text


def test_a_storage_class_that_was_deleted(deployed: LabCopy) -> None:
    deployed.api.delete("/apis/storage.k8s.io/v1/storageclasses/scratch-dev")
    found = examined(deployed)
    assert found.code == ExitCode.UNHEALTHY
    assert found.bad() == {"storage"}
    finding = found.found("storage")["StorageClass scratch-dev"]
    assert finding["state"] == "problem"
    assert finding["remedy"] == "labctl up --stack dev --refresh"
    # The next up says so before it does anything, and its remedy mends it.
    plain = deployed.well("up", "--yes")
    assert "Before this up:" in plain.err
    assert "StorageClass scratch-dev" in plain.err
    mended = deployed.well("up", "--yes", "--refresh")
    assert "Mended by this up: StorageClass scratch-dev" in mended.err
    assert examined(deployed).code == ExitCode.OK


def test_a_node_that_is_cordoned_is_a_warning(deployed: LabCopy) -> None:
    deployed.api.merge(WORKER, {"spec": {"unschedulable": True}})
    found = examined(deployed, "--only", "nodes", "--only", "state")
    assert found.code == ExitCode.OK
    assert list(found.states) == ["state", "nodes"]
    assert found.found("nodes")["worker-2"]["state"] == "warning"
    assert "uncordon worker-2" in found.found("nodes")["worker-2"]["remedy"]
    deployed.api.merge(WORKER, {"spec": {"unschedulable": None}})
    assert examined(deployed).bad() == set()


def test_labels_taints_and_conditions_of_nodes(deployed: LabCopy) -> None:
    api = deployed.api
    role = "node-role.kubernetes.io/worker"
    api.merge(WORKER, {"metadata": {"labels": {role: None}}})
    taints = [{"key": "somebody", "value": "x", "effect": "NoSchedule"}]
    api.merge(WORKER, {"spec": {"taints": taints}})
    api.merge("/api/v1/nodes/cp-1", {"spec": {"taints": None}})
    api.post("/api/v1/nodes", {"metadata": {"name": "stranger"}})
    found = examined(deployed)
    assert found.code == ExitCode.UNHEALTHY
    told = [finding["what"] for finding in _checks(found, "nodes")]
    assert any(f"{role} is missing" in what for what in told)
    assert any("nobody has planned: somebody=x:NoSchedule" in what for what in told)
    assert any("its taint node-role.kubernetes.io/control-plane:NoSchedule is missing" in what for what in told)
    assert any("the stack file does not have it" in what for what in told)
    # What it says to do does mend it: of each finding one line, as it stands there.
    for finding in _checks(found, "nodes"):
        line = str(finding["remedy"]).rpartition(", or ")[2].split()
        assert line.pop(0) == "labctl"
        done = deployed.run_bare(*line)
        assert done.code == 0, (line, done.text)
    assert examined(deployed).bad() == set()


def _checks(found: Examined, name: str) -> list[Object]:
    return next(check["findings"] for check in found.document["checks"] if check["check"] == name)


def test_a_node_that_offers_less(deployed: LabCopy) -> None:
    api = deployed.api
    status = "/api/v1/nodes/gpu-1/status"
    before = api.get("/api/v1/nodes/gpu-1")["status"]["allocatable"]
    api.merge(status, {"status": {"allocatable": {"nvidia.com/mig-1g.10gb": "5"}}})
    found = examined(deployed)
    assert found.code == ExitCode.UNHEALTHY
    assert found.bad() == {"slices"}
    assert "it offers 5 nvidia.com/mig-1g.10gb" in found.found("slices")["gpu-1"]["what"]
    assert "planned is 8 nvidia.com/mig-1g.10gb" in found.found("slices")["gpu-1"]["what"]
    api.merge(status, {"status": {"allocatable": before}})
    assert examined(deployed).bad() == set()


def test_a_claim_that_nobody_can_bind_and_a_pod_that_ends_again_and_again(deployed: LabCopy) -> None:
    api, place = deployed.api, "/api/v1/namespaces/gateway-dev"
    claim: Object = {
        "metadata": {"name": "odd"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "nowhere",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    secure = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    pod: Object = {
        "metadata": {"name": "odd"},
        "spec": {
            "schedulerName": "nobody",
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "main", "image": "example.org/x", "securityContext": secure}],
        },
    }
    api.post(f"{place}/persistentvolumeclaims", claim)
    api.post(f"{place}/pods", pod)
    assert "pods" not in examined(deployed).bad(), "a pod that has just come is given its time"
    crashing: Object = {
        "name": "main",
        "image": "x",
        "imageID": "",
        "ready": False,
        "restartCount": 7,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"reason": "Error", "exitCode": 3}},
    }
    api.merge(f"{place}/pods/odd/status", {"status": {"containerStatuses": [crashing]}})
    found = examined(deployed)
    assert found.code == ExitCode.UNHEALTHY
    assert found.bad() == {"storage", "pods"}
    assert "there is no class nowhere" in found.found("storage")["PersistentVolumeClaim gateway-dev/odd"]["what"]
    told = found.found("pods")["pod gateway-dev/odd"]
    assert "restarted 7 times: CrashLoopBackOff in container main" in told["what"]
    assert "logs -n gateway-dev odd" in told["remedy"]
    api.delete(f"{place}/persistentvolumeclaims/odd")
    api.delete(f"{place}/pods/odd")
    eventually(lambda: not api.exists(f"{place}/pods/odd"))
    eventually(lambda: not api.exists(f"{place}/persistentvolumeclaims/odd"))
    assert examined(deployed).bad() == set()


def test_a_certificate_that_has_expired(deployed: LabCopy) -> None:
    api = deployed.api
    definition = api.get(DEFINITION)
    # cert-manager's own definition has a status; the stand-in has what the program writes.
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    schema["status"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    api.put(DEFINITION, definition)
    ended = datetime.now(UTC) - timedelta(days=3)
    ready = {"type": "Ready", "status": "True"}
    said: Object = {"status": {"notAfter": f"{ended:%Y-%m-%dT%H:%M:%SZ}", "conditions": [ready]}}
    eventually(lambda: api.merge(CERTIFICATE, said).get("status"))
    found = examined(deployed)
    assert found.code == ExitCode.UNHEALTHY
    assert found.bad() == {"certificates"}
    told = found.found("certificates")["Certificate gateway-dev/hub-tls"]
    assert told["what"] == f"its certificate expired on {ended:%Y-%m-%d %H:%M} UTC"
    soon = datetime.now(UTC) + timedelta(days=60)
    refused = {"type": "Ready", "status": "False", "message": "the issuer is not there"}
    api.merge(CERTIFICATE, {"status": {"notAfter": f"{soon:%Y-%m-%dT%H:%M:%SZ}", "conditions": [refused]}})
    told = examined(deployed).found("certificates")["Certificate gateway-dev/hub-tls"]
    assert told["what"] == "it is not Ready: the issuer is not there"
    api.merge(CERTIFICATE, {"status": None})
    assert examined(deployed).bad() == set()


def test_an_api_server_that_is_gone(deployed: LabCopy) -> None:
    server = next(part for part in deployed.plane.status().components if part.name == "kube-apiserver")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    found = examined(deployed)
    assert found.code == ExitCode.UNHEALTHY
    assert found.states["api-server"] == "problem"
    assert {found.states[name] for name in ("nodes", "storage", "slices", "pods")} == {"unknown"}
    assert found.states["state"] == "ok"
    assert found.found("nodes")["nodes"]["what"] == "the API server does not answer"
    assert found.found("api-server")["API server"]["remedy"] == "labctl up --stack dev"
    # What can be judged without it is, and then nothing is wrong with what was asked.
    part = examined(deployed, "--only", "nodes")
    assert part.code == ExitCode.UNANSWERED
    deployed.well("up", "--yes")
    assert examined(deployed).bad() == set()


@pytest.fixture
def charted(deployed: LabCopy, tmp_path: Path) -> Generator[LabCopy]:
    """The lab with releases that are really installed, each a Deployment; afterwards charts are out of reach again."""
    obtain_tool("helm", print)
    template = """apiVersion: apps/v1
kind: Deployment
metadata: {name: part}
spec:
  replicas: 0
  selector: {matchLabels: {app: part}}
  template:
    metadata: {labels: {app: part}}
    spec: {containers: [{name: main, image: example.org/x}]}
"""
    for pin in load_pins(EnvironmentName.DEV).charts.values():
        name = pin.chart
        about = f"apiVersion: v2\nname: {name}\nversion: {pin.version.removeprefix('v')}\n"
        files = {"Chart.yaml": about, "templates/part.yaml": template.replace("part}", f"{name}}}")}
        with tarfile.open(tmp_path / f"{name}-{pin.version}.tgz", "w:gz") as archive:
            for path, text in files.items():
                member = tarfile.TarInfo(f"{name}/{path}")
                member.size = len(text)
                archive.addfile(member, BytesIO(text.encode()))
    before = deployed.file.read_text(encoding="utf-8")
    deployed.edit(
        "    network:\n      hosts:", f"    charts: {{mirror: 'file://{tmp_path}'}}\n    network:\n      hosts:"
    )
    deployed.well("up", "--yes")
    yield deployed
    deployed.file.write_text(before, encoding="utf-8")


def test_releases(charted: LabCopy) -> None:
    lab, api = charted, charted.api
    found = examined(lab, "--only", "releases")
    assert found.code == ExitCode.OK, found.document
    assert "8 are deployed as pinned" in found.found("releases")["releases"]["what"]
    deployments = api.get("/apis/apps/v1/deployments")["items"]
    one = next(item for item in deployments if item["metadata"]["name"] == "jupyterhub")
    place = f"/apis/apps/v1/namespaces/{one['metadata']['namespace']}/deployments/jupyterhub"
    api.merge(place, {"spec": {"replicas": 1}})
    told = examined(lab, "--only", "releases").found("releases")
    release = next(subject for subject in told if "hub-dev/" in subject)
    assert told[release]["what"] == "0 of 1 pods of Deployment jupyterhub are ready"
    api.merge(place, {"spec": {"replicas": 0}})
    held = [
        item["metadata"]["name"]
        for item in api.get("/api/v1/namespaces/hub-dev/secrets?labelSelector=owner=helm")["items"]
    ]
    assert held
    for name in held:
        api.delete(f"/api/v1/namespaces/hub-dev/secrets/{name}")
    found = examined(lab)
    assert found.code == ExitCode.UNHEALTHY
    assert found.found("releases")[release]["what"] == "Helm has no record of it in the cluster"


def test_a_run_that_was_killed_leaves_its_lock_and_what_it_was_about(project_copy: LabCopy) -> None:
    lab = project_copy
    lab.well("down", "--wipe")
    nothing = examined(lab)
    assert nothing.code == ExitCode.UNHEALTHY
    assert nothing.bad() == {"state"}
    assert nothing.found("state")["state"]["remedy"] == "labctl up --stack dev"
    killed = interrupted(lab, LINES, "up", "--yes")
    assert "this up" not in killed.err, "the first up of an empty lab has nothing to ask about"
    found = examined(lab)
    assert found.code == ExitCode.UNHEALTHY
    assert {"lock", "pending"} <= found.bad()
    told = found.found("lock")["lock"]
    assert "that process no longer runs" in told["what"]
    assert told["remedy"].startswith("labctl unlock ")
    assert all("a run was cut off while" in finding["what"] for finding in found.found("pending").values())
    lab.well("up", "--yes")
    found = examined(lab)
    assert not found.bad() & {"lock", "pending", "state"}


def test_the_state_that_cannot_be_read(project_copy: LabCopy) -> None:
    whole = project_copy.state.read_bytes()
    project_copy.state.write_bytes(whole[: len(whole) // 2])
    found = examined(project_copy)
    assert found.code == ExitCode.UNHEALTHY
    assert found.states["state"] == "problem"
    assert found.states["nodes"] == "unknown"
    project_copy.state.write_bytes(whole)


def test_questions_that_make_no_sense(project_copy: LabCopy) -> None:
    assert project_copy.run("doctor", "--only", "weather").code == ExitCode.USAGE
    assert project_copy.run("doctor", "--host", "cp-1").code == ExitCode.USAGE
