"""Runs on a bucket that end as no run should: killed at any request, without a network, two at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bucket_runs import TURNS, WANTED
from one_stack import PROJECT, STACK, Lab

from labctl.engine.providers.base import Operation
from labctl.engine.state import Fate, JournalFullError, LockLeftError, StateWriteError, UpdateKind, open_stack

if TYPE_CHECKING:
    from bucket_server import BucketServer

RUNS = Path(__file__).with_name("bucket_runs.py")


def start(server: BucketServer, folder: Path, *what: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(RUNS), server.url, str(folder), *what],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


@pytest.mark.parametrize("event", ["before-send", "after-call"])
def test_killed_at_any_request_it_is_ended_by_the_next(server: BucketServer, tmp_path: Path, event: str) -> None:
    output, errors = start(server, tmp_path, event).communicate(timeout=300)
    cases = [json.loads(line) for line in output.splitlines()]
    assert not errors, errors
    assert len(cases) > 20, "requests of one run"
    assert [case["killed"] for case in cases] == [True] * (len(cases) - 1) + [False]
    assert any(case["fates"] for case in cases)
    for request, case in enumerate(cases, start=1):
        assert set(case["fates"]) <= {"gone"}, request
        # What the provider has done is in the state, or told to be pending: nothing is ever forgotten.
        assert set(case["made"]) <= set(case["known"]), request
        assert case["status"] == 0, request
        assert case["state"] == [*WANTED], request
        assert (case["pending"], case["left"], case["locks"]) == (0, [], 0), request


def test_two_at_once_lose_nothing_of_each_other(server: BucketServer, tmp_path: Path) -> None:
    people = [start(server, tmp_path, "race", person) for person in ("ada", "eve")]
    for person in people:
        _, errors = person.communicate(timeout=120)
        assert person.returncode == 0, errors
    found = open_stack(server.backend().files(PROJECT, "race"), UpdateKind.PREVIEW, passphrases=())
    expected = {f"{person}{turn}" for person in ("ada", "eve") for turn in range(TURNS)}
    assert {state.name for state in found.snapshot.resources} == expected


@pytest.fixture
def lab_there(server: BucketServer, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The stack in a bucket whose server may go away, which is not waited for as long as one's own would be."""
    monkeypatch.setattr("labctl.engine.state.s3_client.ATTEMPTS", 1)
    return Lab(server.backend().files(PROJECT, STACK))


def test_network_lost_in_the_middle(server: BucketServer, lab_there: Lab) -> None:
    with lab_there.open() as stack:
        lab_there.start(stack)
    stack = lab_there.open()
    under_way = stack.begin(Operation.CREATING, lab_there.resource("under-way"))
    server.stop()
    with pytest.raises(JournalFullError, match=r"does not answer .*no further operation was started. Run again"):
        stack.begin(Operation.CREATING, lab_there.resource("refused"))
    stack.done(under_way, lab_there.resource("under-way"))
    with pytest.raises(JournalFullError):
        stack.begin(Operation.CREATING, lab_there.resource("refused-too"))
    with pytest.raises(StateWriteError):
        stack.close()
    server.start()
    (holder,) = lab_there.files.lock().others()
    assert holder.fate is Fate.RUNS, "this process, whose run is over: shown, and to be released by its id"
    lab_there.files.lock().release_other(holder.id)
    with lab_there.open() as found:
        assert {item.resource.name for item in found.snapshot.pending_operations} == {"under-way"}


def test_network_back_before_the_end(server: BucketServer, lab_there: Lab) -> None:
    stack = lab_there.open()
    lab_there.start(stack)
    under_way = stack.begin(Operation.CREATING, lab_there.resource("under-way"))
    server.stop()
    with pytest.raises(JournalFullError):
        stack.begin(Operation.CREATING, lab_there.resource("refused"))
    stack.done(under_way, lab_there.resource("under-way"))
    server.start()
    stack.close()
    found = lab_there.open(UpdateKind.PREVIEW)
    assert [state.name for state in found.snapshot.resources] == ["lab-dev", "default", "under-way"]
    assert found.snapshot.pending_operations == ()
    assert lab_there.files.lock().others() == ()


def test_network_lost_after_the_last_write(server: BucketServer, lab_there: Lab) -> None:
    stack = lab_there.open()
    lab_there.start(stack)
    write = lab_there.files.write_history

    def last(*asked: object, **named: object) -> None:
        write(*asked, **named)  # pyright: ignore[reportArgumentType]
        server.stop()

    lab_there.files.write_history = last
    with pytest.raises(LockLeftError, match=r"labctl unlock \S+ --stack dev"):
        stack.close()
    server.start()
    assert len(lab_there.open(UpdateKind.PREVIEW).snapshot.resources) == 2
    lab_there.files.lock().release_other(lab_there.files.lock().others()[0].id)
