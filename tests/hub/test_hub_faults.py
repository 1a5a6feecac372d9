"""What goes wrong around a hub: it is killed, its proxy or API server is away, a user goes while their server runs."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cluster_api import eventually
from spawn_bed import HubBed, HubProgram, answering, spawn_plane

from labctl.control_plane import ControlPlane, SimulatedNode

if TYPE_CHECKING:
    from collections.abc import Generator

USERS = ("ana", "ben", "chloe", "dora")
PROFILES: list[dict[str, object]] = [
    {"display_name": "Minimal", "slug": "minimal", "default": True, "kubespawner_override": {}},
    {"display_name": "Too large", "slug": "large", "kubespawner_override": {"cpu_guarantee": 900}},
]
CONFIGURATION = f"""
c.KubeSpawner.delete_pvc = False
c.KubeSpawner.http_timeout = 30
c.KubeSpawner.profile_list = {PROFILES!r}
from lab_hub.spawning import use_lab_spawner
c.KubeSpawner.pre_spawn_hook = use_lab_spawner(c, {{"atOnce": 8, "resources": {{}}}})
"""
AWAY_SECONDS = 60
STARTED = {HTTPStatus.CREATED, HTTPStatus.ACCEPTED}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Generator[ControlPlane]:
    node = SimulatedNode(name="node-1", address=None, capacity={"cpu": "64", "memory": "256Gi", "pods": "110"})
    with spawn_plane(tmp_path_factory.mktemp("plane"), [node]) as plane:
        yield plane


@pytest.fixture(scope="module")
def hub(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Generator[HubBed]:
    with answering() as port:
        program = HubProgram(namespace="faults", server_port=port, configuration=CONFIGURATION, users=USERS)
        with HubBed(plane, tmp_path_factory.mktemp("hub"), program) as bed:
            for user in USERS:
                assert bed.request("POST", f"/users/{user}")[0] in {HTTPStatus.CREATED, HTTPStatus.CONFLICT}
            yield bed


def start(hub: HubBed, user: str, profile: str = "minimal") -> None:
    status, text = hub.request("POST", f"/users/{user}/server", {"profile": profile})
    assert status in STARTED, text


def is_ready(hub: HubBed, user: str) -> bool:
    status, text = hub.request("GET", f"/users/{user}")
    return status == HTTPStatus.OK and bool(json.loads(text)["servers"].get("", {}).get("ready"))


def pods(hub: HubBed, user: str) -> list[str]:
    names = [pod["metadata"]["name"] for pod in hub.pods()]
    return [name for name in names if name == f"jupyter-{user}"]


def answers(hub: HubBed, user: str) -> bool:
    """Tell whether somebody's server is reached through the proxy."""
    with closing(http.client.HTTPConnection("127.0.0.1", hub.port, timeout=10)) as connection:
        try:
            connection.request("GET", f"/user/{user}/api")
            return connection.getresponse().status == HTTPStatus.OK
        except OSError:
            return False


def test_a_hub_that_is_killed_during_a_start_is_not_stuck_with_it(hub: HubBed) -> None:
    start(hub, "ana", "large")
    eventually(lambda: pods(hub, "ana"))
    os.killpg(hub.pid, signal.SIGKILL)
    hub.stop()
    hub.start()
    # The new hub looks for a server that never ran. Its user gives it up, and starts what they want.
    assert hub.request("POST", "/users/ana/server/cancel")[0] == HTTPStatus.NO_CONTENT
    assert not pods(hub, "ana")
    start(hub, "ana")
    eventually(lambda: is_ready(hub, "ana") and answers(hub, "ana"))
    assert len(pods(hub, "ana")) == 1


def test_a_proxy_that_dies_comes_back_with_everybody_s_way(hub: HubBed) -> None:
    start(hub, "ben")
    eventually(lambda: is_ready(hub, "ben") and answers(hub, "ben"))
    proxies = [
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if b"configurable-http-proxy" in _read(entry / "cmdline") and _parent(entry) == hub.pid
    ]
    assert len(proxies) == 1
    os.kill(proxies[0], signal.SIGKILL)
    eventually(lambda: answers(hub, "ben"))


def test_an_api_server_that_is_away_for_a_minute_costs_nobody_a_server(hub: HubBed, plane: ControlPlane) -> None:
    if not is_ready(hub, "ben"):
        start(hub, "ben")
        eventually(lambda: is_ready(hub, "ben"))
    (server,) = [part.pid for part in plane.status().components if part.name == "kube-apiserver"]
    assert server is not None
    os.kill(server, signal.SIGSTOP)
    try:
        start(hub, "dora")
        time.sleep(AWAY_SECONDS)
        assert answers(hub, "ben")
    finally:
        os.kill(server, signal.SIGCONT)

    def is_there_in_the_end() -> bool:
        """A start that was given up meanwhile, and said so, is asked for again."""
        if is_ready(hub, "dora"):
            return True
        hub.request("POST", "/users/dora/server", {"profile": "minimal"})
        return False

    eventually(is_there_in_the_end)
    assert is_ready(hub, "ben")
    assert len(pods(hub, "ben")) == len(pods(hub, "dora")) == 1


def test_who_is_deleted_while_their_server_runs_leaves_a_home_and_nobody_gets_it(hub: HubBed) -> None:
    start(hub, "chloe")
    eventually(lambda: is_ready(hub, "chloe"))
    eventually(lambda: hub.request("DELETE", "/users/chloe")[0] in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND})
    eventually(lambda: not pods(hub, "chloe"))
    claims = f"/api/v1/namespaces/{hub.namespace}/persistentvolumeclaims"
    assert hub.api.exists(f"{claims}/home-chloe")
    # The next row of the database may be hers; a home goes by the name, or by the account, never by the row.
    assert hub.request("POST", "/users/emmy")[0] == HTTPStatus.CREATED
    start(hub, "emmy")
    eventually(lambda: is_ready(hub, "emmy"))
    (pod,) = [pod for pod in hub.pods() if pod["metadata"]["name"] == "jupyter-emmy"]
    mounted = [
        volume["persistentVolumeClaim"]["claimName"] for volume in pod["spec"]["volumes"] if "home" in volume["name"]
    ]
    assert mounted == ["home-emmy"]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _parent(entry: Path) -> int:
    fields = _read(entry / "stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0
