"""The local hub with everything real: control plane, JupyterHub, proxy, pod runner, JupyterLab. Order matters."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from cluster_api import Object, eventually
from hub_person import Person
from lab_copy import LabCopy, copy_project

from labctl.control_plane.processes import MARK
from labctl.local_hub.components import HUB
from labctl.local_hub.hub import LocalHub
from labctl.local_hub.places import HubPort, read_ports
from labctl.local_hub.programs import obtain_programs

NAMESPACE = "hub-dev"
OURS = "from-test.txt"


class Bed:
    """A lab with its hub."""

    def __init__(self, lab: LabCopy) -> None:
        self.lab = lab
        self.folder = lab.root / ".lab" / lab.stack
        self.hub = LocalHub(self.folder, lab.plane)

    @property
    def url(self) -> str:
        assert self.hub.url is not None
        return self.hub.url

    @property
    def mine(self) -> bytes:
        """What stands in the variables of every server of this hub."""
        port = read_ports(self.folder / "hub" / "ports.json")[HubPort.HUB]
        return f"JUPYTERHUB_API_URL=http://127.0.0.1:{port}/".encode()

    def pod(self, user: str) -> Object:
        return self.lab.api.get(f"/api/v1/namespaces/{NAMESPACE}/pods/jupyter-{user}")

    def processes(self) -> dict[int, str]:
        """Return every process of this lab's hub and pods: by their mark, or by a path on the command line."""
        found: dict[int, str] = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                variables = (entry / "environ").read_bytes()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            marked = f"{MARK}={self.folder}".encode() in variables
            # In a root folder of its own a pod's process shows none of our paths; its hub's address does.
            of_pod = self.mine in variables
            if marked or of_pod or f"{self.folder}/" in command:
                found[int(entry.name)] = command
        return found

    def server_process(self, user: str) -> int:
        """Return the pid of a user's server itself."""
        return next(
            int(entry.name)
            for entry in Path("/proc").glob("[0-9]*")
            if f"JUPYTERHUB_USER={user}\0".encode() in (variables := _read(entry / "environ"))
            and self.mine in variables
            and b"jupyterhub-singleuser" in _read(entry / "cmdline")
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Generator[Bed]:
    """A copy of the project, its lab up with its hub."""
    obtain_programs(print)
    made = Bed(copy_project(tmp_path_factory.mktemp("hub")))
    lab = made.lab = LabCopy(made.lab.root, environment={"LAB_HUB": "1"})
    yield made
    lab.run("down", "--wipe")


@pytest.fixture(scope="module")
def ada(bed: Bed) -> Person:
    """Somebody who is signed in."""
    result = bed.lab.well("up", "--yes")
    assert f"The hub is at {bed.url}" in result.out, result.text[-3000:]
    person = Person(bed.url, "ada")
    assert person.sign_in().url.endswith("/hub/home")
    return person


def test_somebody_works_in_a_server_of_their_own(bed: Bed, ada: Person, figure: Callable[[str], None]) -> None:
    figure(f"start to JupyterLab: {ada.started():.1f} s")
    ada.write(OURS, "kept")
    assert ada.read(OURS) == "kept"

    pod = bed.pod("ada")
    assert pod["metadata"]["labels"]["lab.internal/run"] == "local"
    assert pod["status"]["phase"] == "Running"
    assert re.match(r"127\.(6[4-9]|[7-9]\d|1[0-2]\d)\.", pod["status"]["podIP"])
    home = bed.folder / "pods" / "volumes" / "claims" / NAMESPACE / "home-uid-10002"
    assert (home / OURS).read_text() == "kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="another user needs root")
def test_its_process_is_the_pods_user_and_sees_nothing_of_the_machine(bed: Bed, ada: Person) -> None:
    pid = bed.server_process("ada")
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    context = bed.pod("ada")["spec"]["containers"][0]["securityContext"]
    assert status["Uid"].split() == [str(context["runAsUser"])] * 4
    assert status["Gid"].split() == [str(context["runAsGroup"])] * 4
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    seen = Path(f"/proc/{pid}/root")
    assert (seen / "home/jovyan" / OURS).exists()
    assert not (seen / str(bed.lab.root).lstrip("/")).exists()
    assert (seen / "srv/datasets").is_dir()
    assert sorted(name.name for name in (seen / "home").iterdir()) == ["jovyan"]


def test_the_hub_has_its_own_account_and_no_more_than_the_charts_role(bed: Bed, ada: Person) -> None:
    token = (bed.folder / "hub" / "account" / "token").read_text()
    assert token.count(".") == 2
    answer = bed.lab.api.post(
        "/apis/authentication.k8s.io/v1/tokenreviews",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}},
    )
    assert answer["status"]["user"]["username"] == f"system:serviceaccount:{NAMESPACE}:hub"
    settings = (bed.folder / "hub" / "settings.json").read_text()
    assert "system:masters" not in settings
    for verb, namespace, is_allowed in (
        ("create", NAMESPACE, True),
        ("create", "default", False),
        ("patch", NAMESPACE, False),
    ):
        review = bed.lab.api.post(
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {
                    "user": answer["status"]["user"]["username"],
                    "resourceAttributes": {"namespace": namespace, "verb": verb, "resource": "pods"},
                },
            },
        )
        assert review["status"]["allowed"] is is_allowed, (verb, namespace)


def test_a_hub_that_was_killed_finds_the_server_again(bed: Bed, ada: Person) -> None:
    server = bed.server_process("ada")
    hub = next(part for part in bed.hub.status() if part.name == HUB)
    assert hub.pid is not None
    os.kill(hub.pid, signal.SIGKILL)
    bed.lab.well("up", "--yes")
    assert bed.server_process("ada") == server
    assert ada.read(OURS) == "kept"
    # Its services are not there twice.
    cullers = [line for line in bed.processes().values() if "idle_culler" in line or "culler.py" in line]
    assert len(cullers) == len(set(cullers)), cullers


def test_a_runner_that_was_killed_takes_the_server_over(bed: Bed, ada: Person) -> None:
    server = bed.server_process("ada")
    runner = next(part for part in bed.hub.status() if part.name == "pod-runner")
    assert runner.pid is not None
    os.kill(runner.pid, signal.SIGKILL)
    bed.lab.well("up", "--yes")
    assert bed.server_process("ada") == server
    assert bed.pod("ada")["status"]["containerStatuses"][0]["restartCount"] == 0


def test_starting_twice_is_starting_once(bed: Bed, ada: Person) -> None:
    before = {part.name: part.pid for part in bed.hub.status()}
    assert all(before.values())
    bed.lab.well("up", "--yes")
    assert {part.name: part.pid for part in bed.hub.status()} == before


def test_what_dies_is_told(bed: Bed, ada: Person) -> None:
    person = Person(bed.url, "ben")
    person.sign_in()
    person.started()
    os.kill(bed.server_process("ben"), signal.SIGKILL)
    pod = eventually(lambda: (found := bed.pod("ben"))["status"]["phase"] == "Failed" and found)
    state = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert state["exitCode"] != 0
    assert "exit status" in state["message"]
    assert str(bed.folder / "pods" / "logs") in state["message"]


def test_a_stopped_server_leaves_its_home_and_nothing_else(bed: Bed, ada: Person) -> None:
    ada.stop()
    assert not bed.lab.api.exists(f"/api/v1/namespaces/{NAMESPACE}/pods/jupyter-ada")
    assert not [line for line in bed.processes().values() if "jupyter-ada" in line]
    ada.started()
    assert ada.read(OURS) == "kept"


def test_down_leaves_no_process_and_up_brings_the_server_back(bed: Bed, ada: Person) -> None:
    server = bed.server_process("ada")
    bed.lab.well("down")
    eventually(lambda: not bed.processes())
    eventually(lambda: not Path(f"/proc/{server}").exists())
    bed.lab.well("up", "--yes")
    eventually(lambda: bed.pod("ada")["status"]["containerStatuses"][0]["ready"])
    person = Person(bed.url, "ada")
    person.sign_in()
    eventually(lambda: "/hub/" not in person.ask("GET", "/user/ada/lab").url)
    assert person.read(OURS) == "kept"


def test_destroy_ends_the_servers_first(bed: Bed, ada: Person) -> None:
    assert bed.server_process("ada")
    began = time.monotonic()
    bed.lab.well("destroy", "--yes")
    assert time.monotonic() - began < 120
    assert not [line for line in bed.processes().values() if "control-plane" not in line]
    assert [part.pid for part in bed.hub.status()] == [None, None, None]
