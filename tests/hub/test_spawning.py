"""Starting servers in a real hub: in turn, from two windows, waiting for a GPU, given up; and refused with a reason."""

from __future__ import annotations

import http.client
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from cluster_api import eventually
from spawn_bed import USER_KEY, HubBed, HubProgram, answering, spawn_plane

from labctl.control_plane import ControlPlane, SimulatedNode

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from cluster_api import Object

GPU = "nvidia.com/mig-1g.10gb"
AT_ONCE = 3
USERS = ("ana", "ben", "chloe", *(f"student-{number}" for number in range(20)))
PROFILES: list[dict[str, object]] = [
    {"display_name": "Minimal", "slug": "minimal", "default": True, "kubespawner_override": {}},
    {"display_name": "GPU", "slug": "gpu", "kubespawner_override": {"extra_resource_limits": {GPU: 1}}},
    {"display_name": "Too large", "slug": "large", "kubespawner_override": {"cpu_guarantee": 900}},
]
SETTINGS: dict[str, object] = {
    "atOnce": AT_ONCE,
    "resources": {},
    "contact": "it@lab.example.org",
}
CONFIGURATION = f"""
c.KubeSpawner.profile_list = {PROFILES!r}
c.JupyterHub.template_vars = {{"lab_contact": {SETTINGS["contact"]!r}}}
from lab_hub.spawning import use_lab_spawner
c.KubeSpawner.pre_spawn_hook = use_lab_spawner(c, {SETTINGS!r})
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Generator[ControlPlane]:
    node = SimulatedNode(
        name="node-1", address=None, capacity={"cpu": "64", "memory": "256Gi", "pods": "110", GPU: "1"}
    )
    with spawn_plane(tmp_path_factory.mktemp("plane"), [node]) as plane:
        yield plane


@pytest.fixture(scope="module")
def hub(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Generator[HubBed]:
    with answering() as port:
        program = HubProgram(
            namespace="spawning",
            server_port=port,
            configuration=CONFIGURATION,
            users=USERS,
        )
        with HubBed(plane, tmp_path_factory.mktemp("hub"), program) as bed:
            for user in USERS:
                assert bed.request("POST", f"/users/{user}")[0] in {HTTPStatus.CREATED, HTTPStatus.CONFLICT}
            yield bed


class Window:
    """A browser window, as far as requests go: cookies and the token against cross-site requests."""

    def __init__(self, bed: HubBed, cookies: Mapping[str, str] | None = None) -> None:
        self._bed, self.cookies = bed, dict(cookies or {})

    @classmethod
    def of(cls, bed: HubBed, user: str) -> Window:
        """Return a window in which somebody has signed in."""
        window = cls(bed)
        window.ask("GET", "/hub/login")
        form = {"username": user, "password": USER_KEY, "_xsrf": window.cookies["_xsrf"]}
        status, _, _ = window.ask("POST", "/hub/login?next=%2Fhub%2Fhome", form)
        assert status == HTTPStatus.FOUND
        window.ask("GET", "/hub/home")
        return window

    def ask(
        self, method: str, path: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, str, str]:
        """Return status, address to go on to (without its query) and text of an answer."""
        sent = {"Cookie": "; ".join(f"{key}={value}" for key, value in self.cookies.items()), **(headers or {})}
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        with closing(http.client.HTTPConnection("127.0.0.1", self._bed.port, timeout=60)) as connection:
            connection.request(method, path, None if form is None else urlencode(form), sent)
            answer = connection.getresponse()
            for cookie in answer.headers.get_all("Set-Cookie") or ():
                name, _, value = cookie.partition(";")[0].partition("=")
                self.cookies[name] = value
            return answer.status, answer.headers.get("Location", "").partition("?")[0], answer.read().decode()

    def start(self, profile: str) -> tuple[int, str, str]:
        """Send the spawn page's form, at the address the page names."""
        _, _, page = self.ask("GET", "/hub/spawn")
        match = re.search(r'action="([^"]+)"', page)
        assert match is not None, page
        return self.ask("POST", match[1].replace("&amp;", "&"), {"profile": profile})

    def cancel(self, user: str, *, is_ours: bool = True) -> tuple[int, str]:
        """Press the button that gives a start up."""
        headers = {"Content-Type": "application/json"}
        if is_ours:
            headers["X-XSRFToken"] = self.cookies["_xsrf"]
        status, _, text = self.ask("POST", f"/hub/api/users/{user}/server/cancel", None, headers)
        return status, text


def pods_of(bed: HubBed, user: str) -> Sequence[Object]:
    return [pod for pod in bed.pods() if pod["metadata"]["annotations"]["hub.jupyter.org/username"] == user]


def server_of(bed: HubBed, user: str) -> Mapping[str, object] | None:
    """Return what the hub says of a server; None where there is none."""
    status, text = bed.request("GET", f"/users/{user}")
    assert status == HTTPStatus.OK
    return json.loads(text)["servers"].get("")


def stop(bed: HubBed, *users: str) -> None:
    """Stop servers, and wait until nothing of them is left."""
    for user in users:
        bed.request("DELETE", f"/users/{user}/server")
    eventually(lambda: not any(pods_of(bed, user) or server_of(bed, user) for user in users))


def start(bed: HubBed, user: str, profile: str) -> None:
    status, text = bed.request("POST", f"/users/{user}/server", {"profile": profile})
    assert status in {HTTPStatus.CREATED, HTTPStatus.ACCEPTED}, text


def everything(bed: HubBed, user: str) -> Sequence[Object]:
    """Return what the spawn page is told, until it ends."""
    return list(bed.progress(user))


def start_and_watch(bed: HubBed, user: str) -> Sequence[Object]:
    """Start the smallest server; return what its page is told."""
    start(bed, user, "minimal")
    return everything(bed, user)


def last(bed: HubBed, user: str) -> Object:
    """Return the last of it."""
    return everything(bed, user)[-1]


def test_twenty_start_three_at_a_time_and_see_their_place(hub: HubBed) -> None:
    users = [user for user in USERS if user.startswith("student")]
    with ThreadPoolExecutor(len(users)) as pool:
        watched = [pool.submit(start_and_watch, hub, user) for user in users]
        told = [each.result() for each in watched]
    try:
        assert all(events[-1].get("ready") for events in told), [events[-1] for events in told]
        said = [event["message"] for events in told for event in events]
        assert any(re.search(r"\d+ before you\.", message) for message in said), said
        # A request that was sent away; the digits alone are in many a duration.
        assert not re.search(r"\b429 (GET|POST)\b", hub.log)
        assert len(hub.pods()) == len(users)
        numbers = [int(match[1]) for message in said if (match := re.search(r"(\d+) before you", message))]
        assert max(numbers) <= len(users) - AT_ONCE - 1
    finally:
        stop(hub, *users)


def test_no_more_than_three_are_on_their_way_at_a_time(hub: HubBed) -> None:
    """Those that wait for a machine are not on their way: they keep nobody waiting."""
    waiting = [f"student-{number}" for number in range(AT_ONCE + 1)]
    try:
        for user in waiting:
            start(hub, user, "large")
        eventually(lambda: all(pods_of(hub, user) for user in waiting))
        start(hub, "ana", "minimal")
        assert last(hub, "ana")["ready"]
    finally:
        for user in waiting:
            assert hub.request("POST", f"/users/{user}/server/cancel")[0] == HTTPStatus.NO_CONTENT
        stop(hub, "ana")


def test_who_waits_for_a_gpu_reads_why_and_can_give_up_and_start_at_once(hub: HubBed) -> None:
    window = Window.of(hub, "ben")
    try:
        start(hub, "ana", "gpu")
        assert last(hub, "ana")["ready"]
        status, address, _ = window.start("gpu")
        assert (status, address) == (HTTPStatus.FOUND, "/hub/spawn-pending/ben")
        said = next(event for event in hub.progress("ben") if "GPU" in event["message"])
        assert said["message"] == (
            "No GPU of this kind is free at the moment. 1 of 1 1g.10gb is in use. You are next in line. "
            "Your server starts by itself as soon as one is free. You can wait, or cancel and choose another kind."
        )
        assert f"Insufficient {GPU}" in said["detail"]
        _, _, page = window.ask("GET", "/hub/spawn-pending/ben")
        assert "Cancel the start" in page
        assert '"/hub/api/users/ben/server/cancel"' in page
        assert "it@lab.example.org" in page

        assert window.cancel("ben", is_ours=False)[0] == HTTPStatus.FORBIDDEN
        assert len(pods_of(hub, "ben")) == 1
        with ThreadPoolExecutor(2) as pool:
            answers = [pool.submit(window.cancel, "ben") for _ in range(2)]
            assert [answer.result()[0] for answer in answers] == [HTTPStatus.NO_CONTENT] * 2
        assert pods_of(hub, "ben") == []
        assert server_of(hub, "ben") is None
        assert window.cancel("ben")[0] == HTTPStatus.NO_CONTENT

        began = time.monotonic()
        assert window.start("minimal")[0] == HTTPStatus.FOUND
        assert last(hub, "ben")["ready"]
        assert time.monotonic() - began < 30
    finally:
        stop(hub, "ana", "ben")


def test_jupyterhub_s_own_way_to_stop_leaves_nothing_of_a_start_either(hub: HubBed) -> None:
    start(hub, "ben", "large")
    eventually(lambda: pods_of(hub, "ben"))
    assert hub.request("DELETE", "/users/ben/server")[0] in {HTTPStatus.NO_CONTENT, HTTPStatus.ACCEPTED}
    eventually(lambda: not pods_of(hub, "ben") and server_of(hub, "ben") is None)


def test_the_spawn_page_says_how_many_are_free(hub: HubBed) -> None:
    window = Window.of(hub, "chloe")
    try:
        assert "1 of 1 free" in window.ask("GET", "/hub/spawn")[2]
        start(hub, "ana", "gpu")
        assert last(hub, "ana")["ready"]
        assert "none of 1 free" in window.ask("GET", "/hub/spawn")[2]
    finally:
        stop(hub, "ana")


def test_who_waits_in_line_can_leave_it(hub: HubBed) -> None:
    others = [f"student-{number}" for number in range(8)]
    try:
        for user in (*others, "ana"):
            start(hub, user, "minimal")
        assert hub.request("POST", "/users/ana/server/cancel")[0] == HTTPStatus.NO_CONTENT
        assert pods_of(hub, "ana") == []
        assert server_of(hub, "ana") is None
        assert all(last(hub, user)["ready"] for user in others)
    finally:
        stop(hub, *others)


def test_given_up_at_any_moment_nothing_is_left(hub: HubBed) -> None:
    """Also while the pod is being made, and when it is ready just then."""
    for moment in (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8):
        start(hub, "ana", "minimal")
        time.sleep(moment)
        status, text = hub.request("POST", "/users/ana/server/cancel")
        if status == HTTPStatus.CONFLICT:
            assert "ready" in text
            stop(hub, "ana")
        assert status in {HTTPStatus.NO_CONTENT, HTTPStatus.CONFLICT}
        assert pods_of(hub, "ana") == [], moment
        assert server_of(hub, "ana") is None, moment
    start(hub, "ana", "minimal")
    assert last(hub, "ana")["ready"]
    stop(hub, "ana")


def test_a_server_that_runs_is_not_given_up_by_an_old_page(hub: HubBed) -> None:
    try:
        start(hub, "ana", "minimal")
        assert last(hub, "ana")["ready"]
        assert Window.of(hub, "ana").cancel("ana")[0] == HTTPStatus.CONFLICT
        assert len(pods_of(hub, "ana")) == 1
    finally:
        stop(hub, "ana")


def test_nobody_gives_up_somebody_else_s_start(hub: HubBed) -> None:
    try:
        start(hub, "ana", "large")
        assert Window.of(hub, "ben").cancel("ana")[0] in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
        assert hub.request("GET", "/users/ana")[0] == HTTPStatus.OK
        eventually(lambda: pods_of(hub, "ana"))
    finally:
        assert hub.request("POST", "/users/ana/server/cancel")[0] == HTTPStatus.NO_CONTENT


def test_two_windows_start_one_server_and_both_see_it(hub: HubBed) -> None:
    first = Window.of(hub, "chloe")
    second = Window(hub, first.cookies)
    try:
        with ThreadPoolExecutor(2) as pool:
            answers = [pool.submit(window.start, "minimal") for window in (first, second)]
            found = [answer.result() for answer in answers]
        assert [status for status, _, _ in found] == [HTTPStatus.FOUND] * 2, [text for _, _, text in found]
        assert {address for _, address, _ in found} <= {"/hub/spawn-pending/chloe", "/user/chloe/"}
        assert last(hub, "chloe")["ready"]
        assert len(pods_of(hub, "chloe")) == 1
        # A third that comes late is sent to the server.
        assert second.ask("POST", f"/hub/start?_xsrf={second.cookies['_xsrf']}", {"profile": "minimal"})[:2] == (
            HTTPStatus.FOUND,
            "/user/chloe/",
        )
    finally:
        stop(hub, "chloe")


def test_a_refused_server_says_why_and_whom_to_tell(hub: HubBed) -> None:
    path = f"/api/v1/namespaces/{hub.namespace}/resourcequotas"
    hub.api.post(path, {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "0"}}})
    try:
        eventually(lambda: hub.api.get(f"{path}/few").get("status", {}).get("hard"))
        start(hub, "ana", "minimal")
        told = last(hub, "ana")
        assert told["failed"]
        assert "may use no more at the moment (pods=1 was asked for)" in told["message"]
        status, _, page = Window.of(hub, "ana").ask("GET", "/hub/spawn-pending/ana")
        assert status == HTTPStatus.INTERNAL_SERVER_ERROR
        assert "Your server was not started" in page
        assert "Tell it@lab.example.org" in page
        assert "JUPYTERHUB_API_TOKEN" not in hub.log
    finally:
        hub.api.delete(f"{path}/few")
