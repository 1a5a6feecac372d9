from __future__ import annotations

import socket
import time
from threading import Event
from typing import TYPE_CHECKING

import pytest
from kubernetes_samples import Answer, Call, FakeServer, failure

from labctl.engine.providers.kubernetes import client as client_module
from labctl.engine.providers.kubernetes.client import ApiError, Client, Request
from labctl.engine.providers.kubernetes.exceptions import ClusterUnreachableError
from labctl.engine.providers.kubernetes.kubeconfig import Access

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "FIRST_PAUSE_SECONDS", 0.001)


def in_turn(*answers: Answer) -> Callable[[Call], Answer]:
    """Return an answer function that gives each once and repeats the last."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def test_an_answer_is_read_as_json_and_the_query_is_sent(fake_server: FakeServer) -> None:
    fake_server.answer = lambda _: Answer(201, {"kind": "ConfigMap"})
    client = Client(Access(server=fake_server.url, token="t0ken"))

    status, body = client.send(
        Request(method="PATCH", path="/api/v1/x", query={"fieldManager": "a b"}, body={"a": 1}, content_type="text/x")
    )

    (call,) = fake_server.calls
    assert (status, body) == (201, {"kind": "ConfigMap"})
    assert call.path == "/api/v1/x?fieldManager=a+b"
    assert call.body == {"a": 1}
    assert call.headers["Content-Type"] == "text/x"
    assert call.headers["Authorization"] == "Bearer t0ken"
    client.close()


WEBHOOK = failure(500, "InternalError", 'failed calling webhook "x": connection refused')


@pytest.mark.parametrize("answer", [Answer(429), WEBHOOK, Answer(502), Answer(503), Answer(504)])
def test_what_may_pass_is_tried_again(fake_server: FakeServer, answer: Answer) -> None:
    fake_server.answer = in_turn(answer, answer, Answer(200, {"ok": True}))
    client = Client(Access(server=fake_server.url))

    assert client.send(Request(method="GET", path="/x"))[1] == {"ok": True}
    assert len(fake_server.calls) == 3


def test_a_lost_answer_is_asked_for_again(fake_server: FakeServer) -> None:
    fake_server.answer = in_turn(Answer(hangs_up=True), Answer(200, {"ok": True}))
    client = Client(Access(server=fake_server.url))

    assert client.send(Request(method="GET", path="/x"))[1] == {"ok": True}


def test_a_field_that_the_schema_lacks_is_an_internal_error_that_does_not_pass(fake_server: FakeServer) -> None:
    fake_server.answer = lambda _: failure(500, "", "failed to create typed patch object: .dat: field not declared")
    client = Client(Access(server=fake_server.url))

    with pytest.raises(ApiError, match="field not declared"):
        client.send(Request(method="PATCH", path="/x"))

    assert len(fake_server.calls) == 1


@pytest.mark.parametrize("answer", [Answer(hangs_up=True), WEBHOOK])
def test_what_must_not_happen_twice_is_sent_once(fake_server: FakeServer, answer: Answer) -> None:
    fake_server.answer = lambda _: answer
    client = Client(Access(server=fake_server.url))

    with pytest.raises((ApiError, ClusterUnreachableError)):
        client.send(Request(method="PATCH", path="/x", repeatable=False))

    assert len(fake_server.calls) == 1


def test_even_that_is_sent_again_when_the_server_did_nothing(fake_server: FakeServer) -> None:
    fake_server.answer = in_turn(Answer(429), Answer(200))
    client = Client(Access(server=fake_server.url))

    client.send(Request(method="PATCH", path="/x", repeatable=False))

    assert len(fake_server.calls) == 2


def test_the_pause_that_the_server_asks_for_is_kept(fake_server: FakeServer) -> None:
    fake_server.answer = in_turn(Answer(429, headers={"Retry-After": "1"}), Answer(200))
    client = Client(Access(server=fake_server.url))
    started = time.monotonic()

    client.send(Request(method="GET", path="/x"))

    assert time.monotonic() - started >= 0.95


def test_a_failure_is_told_as_the_server_tells_it(fake_server: FakeServer) -> None:
    causes: list[object] = [{"reason": "FieldManagerConflict", "field": ".spec.replicas"}]
    answer = failure(409, "Conflict", "Apply failed with 1 conflict", kind="deployments")
    body = answer.body
    assert isinstance(body, dict)
    details = body["details"]
    assert isinstance(details, dict)
    details["causes"] = [{"reason": "FieldManagerConflict", "field": ".spec.replicas"}]
    fake_server.answer = lambda _: answer
    client = Client(Access(server=fake_server.url))

    with pytest.raises(ApiError) as raised:
        client.send(Request(method="GET", path="/x"))

    error = raised.value
    assert (error.status, error.reason, error.message) == (409, "Conflict", "Apply failed with 1 conflict")
    assert error.subject_kind == "deployments"
    assert error.causes == causes
    assert len(fake_server.calls) == 1


def test_nobody_there_is_named_after_some_attempts() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        client = Client(Access(server=url))

        with pytest.raises(ClusterUnreachableError, match=url):
            client.send(Request(method="GET", path="/x"))

        assert client.probe(1.0)


def test_after_a_loss_others_are_tried_once_until_there_is_an_answer_again(fake_server: FakeServer) -> None:
    fake_server.answer = lambda _: Answer(hangs_up=True)
    client = Client(Access(server=fake_server.url))
    counts: list[int] = []
    for _ in range(2):
        with pytest.raises(ClusterUnreachableError):
            client.send(Request(method="GET", path="/x", attempts=3))
        counts.append(len(fake_server.calls))

    fake_server.answer = lambda _: Answer(200)
    client.send(Request(method="GET", path="/x"))
    fake_server.answer = in_turn(Answer(hangs_up=True), Answer(200))
    client.send(Request(method="GET", path="/x"))

    assert counts == [3, 4]
    assert len(fake_server.calls) == 7


def test_a_stop_ends_the_pauses(fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "FIRST_PAUSE_SECONDS", 30.0)
    fake_server.answer = lambda _: Answer(503)
    stopped = Event()
    stopped.set()
    client = Client(Access(server=fake_server.url))
    started = time.monotonic()

    with pytest.raises(ApiError):
        client.send(Request(method="GET", path="/x", cancelled=stopped))

    assert time.monotonic() - started < 5


def test_a_token_file_is_read_each_time(fake_server: FakeServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    client = Client(Access(server=fake_server.url, token_file=token))

    for text in ("one", "two"):
        token.write_text(text + "\n", encoding="utf-8")
        client.send(Request(method="GET", path="/x"))

    assert [call.headers["Authorization"] for call in fake_server.calls] == ["Bearer one", "Bearer two"]


def test_credentials_are_not_shown() -> None:
    assert "t0ken" not in repr(Access(server="https://x", token="t0ken", client_key=b"t0ken"))


def test_why_nobody_answers_is_said_in_plain_words() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused, and nobody else has the port
        client = Client(Access(server=f"https://127.0.0.1:{taken.getsockname()[1]}"))
        with pytest.raises(ClusterUnreachableError, match=r"\((\[Errno \d+\] )?Connection refused\): start it"):
            client.send(Request(method="GET", path="/x"))
        client.close()
