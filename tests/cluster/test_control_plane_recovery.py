"""The control plane after something went wrong: data and processes are there, and nobody else's were touched."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from cluster_api import POD_NETWORK, SERVICE_NETWORK, Api, eventually, make_plane

from labctl.control_plane import ControlPlane, SimulatedNode
from labctl.control_plane.errors import ComponentFailedError, NetworkChangedError
from labctl.control_plane.pins import CONTROL_PLANE_TOOLS

START_SECONDS = 180
"""For one start on a machine that is busy; four seconds on one that is not."""


def pids(plane: ControlPlane) -> dict[str, int]:
    return {component.name: component.pid for component in plane.status().components if component.pid}


def processes_of(plane: ControlPlane) -> dict[str, list[int]]:
    """Return the pids of every process of the machine that names this control plane's directory, by program."""
    found: dict[str, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().decode().split("\0")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        name = Path(command[0]).name
        if name in CONTROL_PLANE_TOOLS and state != "Z" and any(f"{plane.directory}/" in part for part in command):
            found.setdefault(name, []).append(int(entry.name))
    return found


def put(plane: ControlPlane, name: str) -> None:
    Api(plane).post("/api/v1/namespaces/default/configmaps", {"metadata": {"name": name}, "data": {"k": "v"}})


def has(plane: ControlPlane, name: str) -> bool:
    return Api(plane).exists(f"/api/v1/namespaces/default/configmaps/{name}")


def test_stop_and_start_keep_objects_certificates_and_address(
    own_plane: ControlPlane, gpu_node: Callable[..., SimulatedNode], figure: Callable[[str], None]
) -> None:
    own_plane.start()
    own_plane.reconcile_nodes([gpu_node("one", slices={"nvidia.com/mig-1g.10gb": "7"})])
    put(own_plane, "kept")
    kubeconfig = own_plane.kubeconfig.read_text()
    began = time.monotonic()
    assert set(own_plane.stop()) == set(CONTROL_PLANE_TOOLS)
    stopped = time.monotonic()
    assert processes_of(own_plane) == {}
    assert not own_plane.status().running
    assert own_plane.stop() == ()
    restarted = time.monotonic()
    own_plane.start()
    figure(f"stop {stopped - began:.2f} s, start with data {time.monotonic() - restarted:.2f} s")
    assert own_plane.kubeconfig.read_text() == kubeconfig
    assert has(own_plane, "kept")
    assert own_plane.reconcile_nodes([gpu_node("one", slices={"nvidia.com/mig-1g.10gb": "7"})]).unchanged == ("one",)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Generator[ControlPlane]:
    plane = make_plane(tmp_path_factory.mktemp("recovery"))
    yield plane
    plane.wipe()


@pytest.fixture
def running(plane: ControlPlane) -> ControlPlane:
    """One control plane for the tests that only disturb it; what one leaves is what the next one starts from."""
    plane.start()
    # A controller manager that still builds its controllers ends by itself where the API server fails it, well or not.
    # Its first deed once they all run is the account every namespace has.
    api = Api(plane)
    eventually(lambda: api.exists("/api/v1/namespaces/default/serviceaccounts/default"))
    return plane


@pytest.mark.parametrize("component", CONTROL_PLANE_TOOLS)
def test_a_killed_process_is_started_again(running: ControlPlane, component: str) -> None:
    put(running, f"before-{component}")
    before = pids(running)
    os.kill(before[component], signal.SIGKILL)
    eventually(lambda: not running.is_running())
    assert not running.status().running
    status = running.start()
    assert status.running
    after = pids(running)
    assert after[component] != before[component]
    assert {name: pid for name, pid in after.items() if name != component} == {
        name: pid for name, pid in before.items() if name != component
    }, "only what was missing was started"
    assert has(running, f"before-{component}")


def test_pods_start_quickly_after_kwok_was_killed(
    running: ControlPlane, gpu_node: Callable[..., SimulatedNode]
) -> None:
    running.reconcile_nodes([gpu_node("one")])
    os.kill(pids(running)["kwok"], signal.SIGKILL)
    running.start()
    api = Api(running)
    pods = "/api/v1/namespaces/default/pods"
    api.post(pods, {"metadata": {"name": "after"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    # A lease left to run out would hold it up for a minute and more.
    eventually(lambda: api.get(f"{pods}/after")["status"]["phase"] == "Running", 30)


def test_a_process_that_hangs_is_started_again(running: ControlPlane) -> None:
    before = pids(running)
    os.kill(before["kube-scheduler"], signal.SIGSTOP)
    assert not running.is_running()
    assert running.start().running
    after = pids(running)
    assert after.pop("kube-scheduler") != before.pop("kube-scheduler")
    assert after == before


def test_all_killed_at_once(running: ControlPlane) -> None:
    put(running, "survivor")
    for pid in pids(running).values():
        os.kill(pid, signal.SIGKILL)
    assert running.start().running
    assert has(running, "survivor")


def test_a_record_of_somebody_elses_process_is_dropped_and_the_process_left_alone(running: ControlPlane) -> None:
    running.stop()
    told: list[str] = []
    record = running.directory / "run" / "etcd.json"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        stat = Path(f"/proc/{bystander.pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        stale = {"pid": bystander.pid, "start_ticks": int(stat[19]) - 5, "boot_id": boot}
        record.write_text(
            json.dumps({**stale, "command": ["etcd", f"--data-dir={running.directory}/etcd"], "fingerprint": ""})
        )
        noisy = ControlPlane(
            running.directory,
            kubeconfig=running.kubeconfig,
            pod_network=POD_NETWORK,
            service_network=SERVICE_NETWORK,
            progress=told.append,
        )
        assert noisy.stop() == ()
        assert bystander.poll() is None
        assert any(f"pid {bystander.pid}" in line and "left alone" in line for line in told)
        assert noisy.start().running
        assert bystander.poll() is None
        bystander.communicate(b"\n")


def test_a_process_without_a_record_is_recognised(running: ControlPlane) -> None:
    """What a starter leaves that was killed between starting a process and writing it down."""
    (running.directory / "run" / "kube-apiserver.json").unlink()
    assert running.start().running
    assert {name: len(found) for name, found in processes_of(running).items()} == dict.fromkeys(CONTROL_PLANE_TOOLS, 1)


def test_a_port_taken_meanwhile_is_replaced_and_told(running: ControlPlane) -> None:
    put(running, "before-the-port")
    running.stop()
    ports = json.loads((running.directory / "ports.json").read_text())
    told: list[str] = []
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", ports["kube-apiserver"]))
        squatter.listen()
        noisy = ControlPlane(
            running.directory,
            kubeconfig=running.kubeconfig,
            pod_network=POD_NETWORK,
            service_network=SERVICE_NETWORK,
            progress=told.append,
        )
        status = noisy.start()
    assert status.running
    now = json.loads((running.directory / "ports.json").read_text())
    assert now["kube-apiserver"] != ports["kube-apiserver"]
    assert now["etcd"] == ports["etcd"]
    assert any(str(ports["kube-apiserver"]) in line and f"pid {os.getpid()}" in line for line in told)
    assert f"server: https://127.0.0.1:{now['kube-apiserver']}\n" in running.kubeconfig.read_text()
    assert has(running, "before-the-port")


def test_other_networks_than_the_data_was_made_with_are_refused(running: ControlPlane) -> None:
    other = ControlPlane(
        running.directory, kubeconfig=running.kubeconfig, pod_network=POD_NETWORK, service_network="10.112.0.0/16"
    )
    with pytest.raises(NetworkChangedError, match=r"10\.96\.0\.0/16, and 10\.112\.0\.0/16"):
        other.start()
    assert running.is_running()


def starter(plane: ControlPlane) -> list[str]:
    """Return a command that starts this control plane in a process of its own."""
    program = (
        "import sys, pathlib, cluster_api; assert cluster_api.make_plane(pathlib.Path(sys.argv[1])).start().running"
    )
    program = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r}); {program}"
    return [sys.executable, "-c", program, str(plane.directory.parent)]


@pytest.mark.parametrize("after_seconds", [0.1, 0.5, 1.0, 2.0, 3.5])
def test_a_start_that_was_killed_is_finished_by_the_next(own_plane: ControlPlane, after_seconds: float) -> None:
    with subprocess.Popen(starter(own_plane)) as killed:
        eventually(own_plane.directory.exists)
        time.sleep(after_seconds)
        killed.kill()
    assert own_plane.start().running
    assert {name: len(found) for name, found in processes_of(own_plane).items()} == dict.fromkeys(
        CONTROL_PLANE_TOOLS, 1
    )


def test_two_at_once(own_plane: ControlPlane, other_plane: ControlPlane) -> None:
    for plane in (own_plane, other_plane):
        plane.start()
    put(own_plane, "mine")
    assert not has(other_plane, "mine")
    assert own_plane.name != other_plane.name
    own_plane.wipe()
    assert other_plane.status().running


def test_two_starters_of_one_at_once(own_plane: ControlPlane) -> None:
    with subprocess.Popen(starter(own_plane)) as first, subprocess.Popen(starter(own_plane)) as second:
        assert (first.wait(START_SECONDS), second.wait(START_SECONDS)) == (0, 0)
    assert {name: len(found) for name, found in processes_of(own_plane).items()} == dict.fromkeys(
        CONTROL_PLANE_TOOLS, 1
    )


def test_wipe_leaves_nothing(own_plane: ControlPlane) -> None:
    own_plane.start()
    stranger = own_plane.directory / "stranger"
    stranger.write_text("not ours")
    own_plane.wipe()
    assert processes_of(own_plane) == {}
    assert not own_plane.kubeconfig.exists()
    assert [path.name for path in own_plane.directory.iterdir()] == ["stranger"]
    stranger.unlink()
    own_plane.wipe()
    own_plane.start()
    put(own_plane, "anew")
    own_plane.wipe()
    assert not own_plane.directory.exists()


def test_a_component_that_does_not_start_shows_its_log(own_plane: ControlPlane) -> None:
    own_plane.start()
    own_plane.stop()
    (own_plane.directory / "etcd" / "member" / "snap" / "db").write_bytes(b"not a database" * 10_000)
    with pytest.raises(ComponentFailedError) as caught:
        own_plane.start()
    assert caught.value.component == "etcd"
    assert str(own_plane.directory / "logs" / "etcd.log") in str(caught.value)
    assert "go.etcd.io/etcd/server/v3/storage" in str(caught.value)
    assert "--wipe" in str(caught.value)
