"""What the culler concludes from the hub's and Prometheus' answers."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tornado.httpclient import HTTPClientError

from components.hub.files.lab_hub import culler as culler_module
from components.hub.files.lab_hub.activity import (
    OLDEST_SECONDS,
    Activity,
    GpuSettings,
    UnusableAnswerError,
    read_answer,
    steps,
)
from components.hub.files.lab_hub.culler import (
    MOST_SILENCES,
    Culler,
    CullerSettings,
    Hub,
    Server,
    is_over,
    running_servers,
)
from components.hub.files.lab_hub.limits import RECORD, Record

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMESPACE = "hub-test"
HALF_HOUR = 1800
GPU = GpuSettings(prometheus="http://prometheus.test:9090", idleSeconds=HALF_HOUR, thresholdPercent=5)
SETTINGS = CullerSettings(everySeconds=60, gpu=GPU)
IDLE = Activity(peak=0.0, gpus=1, points=30, age=10.0)


def server(user: str = "ana", *, minutes: float = 60, gpus: int = 1, left: float | None = None) -> Server:
    """Return a server that has run for some minutes, with some left."""
    now = datetime.now(UTC)
    ends = None if left is None else (now + timedelta(minutes=left)).strftime("%Y-%m-%dT%H:%M:%SZ")
    record = Record(namespace=NAMESPACE, pod=f"jupyter-{user}", gpus=gpus, walltimeEnds=ends)
    return Server(user, "", now - timedelta(minutes=minutes), record)


class FakeHub(Hub):
    """A hub with some servers, which notes what it is asked to end."""

    def __init__(self, *servers: Server, problem: Exception | None = None) -> None:
        super().__init__("http://localhost:8081/hub/api", "token")
        self._servers, self._problem = servers, problem
        self.ended: list[str] = []

    async def servers(self) -> list[Server]:
        """Return its servers."""
        return list(self._servers)

    async def end(self, server: Server) -> bool:
        """Note it."""
        if self._problem is not None:
            raise self._problem
        self.ended.append(server.user)
        return True


def look(
    monkeypatch: pytest.MonkeyPatch,
    hub: FakeHub,
    answer: Mapping[tuple[str, str], Activity] | Exception,
    settings: CullerSettings = SETTINGS,
) -> list[str]:
    """Look once, Prometheus answering so; return whom it ended."""

    async def ask(_settings: GpuSettings) -> Mapping[tuple[str, str], Activity]:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(culler_module, "ask_prometheus", ask)
    asyncio.run(Culler(hub, settings).look())
    return hub.ended


def seen(activity: Activity, user: str = "ana") -> Mapping[tuple[str, str], Activity]:
    """Return what Prometheus knows of one user's pod."""
    return {(NAMESPACE, f"jupyter-{user}"): activity}


@pytest.mark.parametrize(
    "activity",
    [
        Activity(peak=5.0, gpus=1, points=30, age=10),
        Activity(peak=None, gpus=1, points=30, age=10),
        Activity(peak=0.0, gpus=0, points=30, age=10),
        Activity(peak=0.0, gpus=1, points=29, age=10),
        Activity(peak=0.0, gpus=1, points=30, age=OLDEST_SECONDS + 1),
        Activity(peak=0.0, gpus=1, points=30, age=None),
        Activity(peak=float("nan"), gpus=1, points=30, age=10),
    ],
    ids=["busy", "no peak", "no GPU", "gap", "old", "no age", "no number"],
)
def test_a_server_lives_unless_all_is_known_of_its_gpus(activity: Activity, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(monkeypatch, FakeHub(server()), seen(activity)) == []


def test_an_idle_server_is_ended_and_its_like_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = FakeHub(
        server("ana"),
        server("young", minutes=29),
        server("cpu", gpus=0),
        server("pair", gpus=2),
        server("unknown"),
    )
    answer = {key: value for user in ("ana", "young", "cpu", "pair") for key, value in seen(IDLE, user).items()}
    answer["elsewhere", "jupyter-unknown"] = IDLE
    assert look(monkeypatch, hub, answer) == ["ana"]


@pytest.mark.parametrize(
    "problem", [OSError("away"), HTTPClientError(503), HTTPClientError(599), UnusableAnswerError("text")], ids=repr
)
def test_without_prometheus_only_walltimes_end_servers(problem: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = FakeHub(server("ana"), server("over", left=-1))
    assert look(monkeypatch, hub, problem) == ["over"]


def test_prometheus_is_not_asked_where_nobody_wants_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = CullerSettings(everySeconds=60, gpu=None)
    assert look(monkeypatch, FakeHub(server()), AssertionError("asked"), nobody) == []
    assert look(monkeypatch, FakeHub(server(gpus=0)), AssertionError("asked")) == []


def test_a_server_that_cannot_be_ended_keeps_no_other_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = FakeHub(server("one", left=-1), server("two", left=-1), problem=OSError("away"))
    assert look(monkeypatch, hub, {}) == []


@pytest.mark.parametrize(("left", "expected"), [(None, False), (5.0, False), (-0.1, True)])
def test_a_walltime_is_over_when_its_end_has_come(left: float | None, *, expected: bool) -> None:
    assert is_over(server(left=left), datetime.now(UTC)) is expected


def test_only_servers_that_are_up_and_noted_are_looked_at() -> None:
    record = Record(namespace=NAMESPACE, pod="p", gpus=1, walltimeEnds=None)
    up = {"ready": True, "pending": None, "started": "2026-11-23T10:00:00.000000Z", "user_options": {RECORD: record}}
    servers = {
        "": up,
        "starting": {**up, "ready": False, "pending": "spawn"},
        "stopping": {**up, "pending": "stop"},
        "before": {**up, "user_options": {"profile": "gpu"}},
        "empty": {**up, "user_options": None},
        "timeless": {**up, "started": None},
    }
    assert list(running_servers({"name": "ana", "servers": servers})) == [
        Server("ana", "", datetime(2026, 11, 23, 10, tzinfo=UTC), record)
    ]
    assert list(running_servers({"name": "ben"})) == []


@pytest.mark.parametrize(("seconds", "expected"), [(1800, 30), (3600, 30), (600, 30), (12, 12), (100, 33)])
def test_a_window_has_about_thirty_points(seconds: int, expected: int) -> None:
    assert steps(seconds) == expected


def vector(*samples: tuple[Mapping[str, str], str], **more: object) -> str:
    """Return an answer of Prometheus."""
    result = [{"metric": labels, "value": [1763892000.0, value]} for labels, value in samples]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}, **more})


def test_an_answer_is_read_by_the_pod_that_holds_the_gpu() -> None:
    own = {"namespace": NAMESPACE, "pod": "jupyter-ana"}
    prefixed = {
        "namespace": "gpu-operator",
        "pod": "exporter",
        "exported_namespace": NAMESPACE,
        "exported_pod": "jupyter-ben",
    }
    found = read_answer(
        vector(
            ({**own, "what": "peak"}, "3.5"),
            ({**own, "what": "gpus"}, "2"),
            ({**own, "what": "points"}, "30"),
            ({**own, "what": "age"}, "12.25"),
            ({**prefixed, "what": "peak"}, "0"),
            # The same pod told by a second exporter: the worse counts.
            ({**own, "what": "points", "exported_pod": "jupyter-ana", "exported_namespace": NAMESPACE}, "7"),
            ({"namespace": "gpu-operator", "what": "peak"}, "99"),
        )
    )
    assert found == {
        (NAMESPACE, "jupyter-ana"): Activity(peak=3.5, gpus=2, points=7, age=12.25),
        (NAMESPACE, "jupyter-ben"): Activity(peak=0.0),
    }


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "<html>",
        "[]",
        "null",
        "{}",
        '{"status": "error", "error": "bad query"}',
        '{"status": "success", "data": {"resultType": "matrix", "result": []}}',
        vector(({"pod": "p", "namespace": "n"}, "1")),
        vector(({"pod": "p", "namespace": "n", "what": "peak"}, "much")),
        vector(({"pod": "p", "namespace": "n", "what": "peak"}, "0"), warnings=["a part is missing"]),
    ],
)
def test_what_is_no_whole_answer_is_refused(answer: str) -> None:
    with pytest.raises(UnusableAnswerError):
        read_answer(answer)


@pytest.mark.parametrize("problem", [OSError("refused"), HTTPClientError(500), KeyError("items")], ids=repr)
def test_it_ends_when_the_hub_is_gone_and_not_before(problem: Exception) -> None:
    answers: list[Exception | None] = [None, *[problem] * (MOST_SILENCES - 1), None, *[problem] * MOST_SILENCES]

    class Moody(FakeHub):
        async def servers(self) -> list[Server]:
            answer = answers.pop(0)
            if answer is not None:
                raise answer
            return []

    quick = CullerSettings(everySeconds=0, gpu=None)
    asyncio.run(Culler(Moody(), quick).run())
    assert answers == []
