"""One process at a time changes a stack, and a lock left behind is told from one that is held."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from labctl.engine.providers.base import Operation
from labctl.engine.state import (
    Fate,
    FileStackFiles,
    JournalFullError,
    ProcessStamp,
    StackLockedError,
    StateWriteError,
    UnknownLockError,
    UpdateKind,
)
from labctl.engine.state.bucket import FileBucket

if TYPE_CHECKING:
    from pathlib import Path

    from one_stack import Lab

HOLDER = """
    import sys, time
    from labctl.engine.state import FileBackend
    lock = FileBackend(sys.argv[1]).files("lab", "dev").lock()
    lock.acquire()
    print("held", flush=True)
    {then}
"""


def holder(files: FileStackFiles, root: Path, then: str) -> subprocess.Popen[str]:
    del files
    script = textwrap.dedent(HOLDER).format(then=then)
    process = subprocess.Popen([sys.executable, "-c", script, f"file://{root}"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def leave(files: FileStackFiles, lock_id: str, **content: object) -> None:
    stated = {"pid": 1, "username": "ada", "hostname": "elsewhere", "timestamp": "2026-08-20T10:00:00.123456789Z"}
    key = f".pulumi/locks/organization/lab/dev/{lock_id}.json"
    files.bucket.write(key, json.dumps(stated | content).encode())


def test_second_is_refused_and_told_who_holds_it(files: FileStackFiles) -> None:
    first = files.lock()
    first.acquire()
    with pytest.raises(StackLockedError) as caught:
        files.lock().acquire()
    message = str(caught.value)
    assert "stack organization/lab/dev is locked by 1 other process(es)" in message
    assert f"@{socket.gethostname()} (pid {os.getpid()})" in message
    assert "no longer runs" not in message
    first.release()
    second = files.lock()
    second.acquire()
    second.release()
    assert files.lock().others() == ()


def test_lock_file_is_the_official_one(files: FileStackFiles) -> None:
    lock = files.lock()
    lock.acquire()
    (key,) = files.bucket.list(".pulumi/locks/organization/lab/dev")
    content = json.loads(files.bucket.read(key) or b"")
    lock.release()
    # The official CLI reads these four, and passes over what else there is (encoding/json).
    assert {key: type(value) for key, value in content.items() if key != "process"} == {
        "pid": int,
        "username": str,
        "hostname": str,
        "timestamp": str,
    }
    assert content["timestamp"].endswith("Z")
    assert content["process"].keys() == {"bootId", "pidNamespace", "startTicks"}


def test_lock_of_the_official_cli_is_respected(files: FileStackFiles) -> None:
    leave(files, "1c", timestamp="2026-08-20T12:00:00.123456789+02:00")
    with pytest.raises(StackLockedError, match=r"ada@elsewhere \(pid 1\), since 2026-08-20 10:00:00 UTC"):
        files.lock().acquire()
    assert len(files.lock().others()) == 1


@pytest.mark.parametrize(
    ("age", "words"),
    [(5, "5 seconds ago"), (60, "1 minute ago"), (7_300, "2 hours ago"), (200_000, "2 days ago")],
)
def test_age_is_told(files: FileStackFiles, age: int, words: str) -> None:
    leave(files, "x", timestamp=(datetime.now(UTC) - timedelta(seconds=age)).isoformat())
    assert words in files.lock().others()[0].describe()


def test_unreadable_lock_is_one_all_the_same(files: FileStackFiles) -> None:
    files.bucket.write(".pulumi/locks/organization/lab/dev/y.json", b"{")
    with pytest.raises(StackLockedError, match="lock y by"):
        files.lock().acquire()


def test_killed_process_is_told_and_its_lock_freed_only_on_request(files: FileStackFiles, tmp_path: Path) -> None:
    process = holder(files, tmp_path / "state", "time.sleep(60)")
    (alive,) = files.lock().others()
    assert not alive.dead
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert files.lock().others()[0].dead, "ended, and its parent has not asked yet"
    process.communicate()
    (dead,) = files.lock().others()
    assert dead.dead
    with pytest.raises(StackLockedError, match="that process no longer runs"):
        files.lock().acquire()
    with pytest.raises(UnknownLockError, match=f"its locks are: {dead.id}"):
        files.lock().release_other("another")
    assert files.lock().release_other(dead.id) == dead
    assert files.lock().others() == ()


def own_stamp(**changes: str | int) -> dict[str, object]:
    stamp = ProcessStamp.of(os.getpid())
    assert stamp is not None
    return stamp.to_json() | changes


def test_number_used_again_by_another_process_is_not_the_holder(files: FileStackFiles) -> None:
    leave(files, "z", pid=os.getpid(), hostname=socket.gethostname(), process=own_stamp(startTicks=1))
    assert files.lock().others()[0].fate is Fate.GONE


@pytest.mark.parametrize(
    ("process", "fate"),
    [
        ({}, Fate.RUNS),
        ({"bootId": "another"}, Fate.UNKNOWN),
        ({"pidNamespace": "pid:[1]"}, Fate.UNKNOWN),
    ],
)
def test_container_of_the_same_host_name_is_not_taken_for_this_one(
    files: FileStackFiles, process: dict[str, str | int], fate: Fate
) -> None:
    leave(files, "z", pid=os.getpid(), hostname=socket.gethostname(), process=own_stamp(**process))
    (found,) = files.lock().others()
    assert found.fate is fate
    assert not found.dead


def test_lock_of_the_official_cli_is_never_surely_dead(files: FileStackFiles) -> None:
    gone = subprocess.Popen(["true"])  # noqa: S607 - of this system
    gone.wait()
    leave(files, "z", pid=gone.pid, hostname=socket.gethostname())
    (found,) = files.lock().others()
    assert found.fate is Fate.UNKNOWN
    assert "no such process here, if that host is this one and not another container" in found.describe()


def test_each_lock_comes_with_its_command(files: FileStackFiles) -> None:
    leave(files, "1c")
    leave(files, "2d", username="eve")
    with pytest.raises(StackLockedError) as caught:
        files.lock().acquire()
    lines = str(caught.value).splitlines()
    assert lines[0] == "stack organization/lab/dev is locked by 2 other process(es):"
    assert [line.strip().partition(",")[0] for line in lines[1:3]] == [
        "lock 1c by ada@elsewhere (pid 1)",
        "lock 2d by eve@elsewhere (pid 1)",
    ]
    assert [line.strip() for line in lines[4:]] == ["labctl unlock 1c --stack dev", "labctl unlock 2d --stack dev"]


@pytest.mark.parametrize(
    ("then", "number", "status"),
    [
        ("time.sleep(60)", signal.SIGTERM, 143),
        ("time.sleep(60)", signal.SIGINT, -signal.SIGINT),
        ("sys.exit(3)", None, 3),
        ("raise SystemError", None, 1),
    ],
)
def test_own_lock_goes_with_its_process(
    files: FileStackFiles, tmp_path: Path, then: str, number: signal.Signals | None, status: int
) -> None:
    process = holder(files, tmp_path / "state", f"sys.stderr.close(); {then}")
    if number is not None:
        process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == status
    assert files.lock().others() == ()


@pytest.mark.parametrize(
    "cut", [KeyboardInterrupt(), SystemExit(143), StateWriteError("the lock", "no answer in time")]
)
def test_lock_whose_taking_is_cut_off_is_not_left_behind(
    files: FileStackFiles, monkeypatch: pytest.MonkeyPatch, cut: BaseException
) -> None:
    write = FileBucket.write

    def written_and_cut_off(bucket: FileBucket, key: str, content: bytes) -> None:
        write(bucket, key, content)
        raise cut

    lock = files.lock()
    with monkeypatch.context() as patch:
        patch.setattr(FileBucket, "write", written_and_cut_off)
        with pytest.raises(type(cut)):
            lock.acquire()
    assert files.lock().others() == ()


def test_lock_whose_release_is_interrupted_is_still_to_be_given_back(
    files: FileStackFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(bucket: FileBucket, key: str) -> None:
        raise KeyboardInterrupt(bucket, key)

    lock = files.lock()
    lock.acquire()
    with monkeypatch.context() as patch:
        patch.setattr(FileBucket, "delete", interrupted)
        with pytest.raises(KeyboardInterrupt):
            lock.release()
    assert lock.present()
    lock.release()  # what the end of the process does
    assert not lock.present()


@pytest.mark.parametrize(
    "content",
    [
        b'{"pid":null}',
        b'{"pid":[1]}',
        b'{"pid":1e999}',
        b'{"pid":1,"timestamp":"9999-12-31T23:59:59-23:00"}',
        b"[" * 100_000,
        b"\xff",
        b"",
    ],
)
def test_lock_that_nobody_would_write_is_one_all_the_same(files: FileStackFiles, content: bytes) -> None:
    files.bucket.write(".pulumi/locks/organization/lab/dev/odd.json", content)
    with pytest.raises(StackLockedError, match="labctl unlock odd --stack dev"):
        files.lock().acquire()


def test_lock_given_back_while_they_are_listed_is_none(files: FileStackFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(files, "going")

    def gone(bucket: FileBucket, key: str) -> bytes | None:
        del bucket, key

    monkeypatch.setattr(FileBucket, "read", gone)
    assert files.lock().others() == ()


def named(lab: Lab, *names: str) -> list[str]:
    """Make resources in a run of one's own, and return what the state has then."""
    with lab.open() as stack:
        lab.start(stack)
        for name in names:
            stack.done(stack.begin(Operation.CREATING, lab.resource(name)), lab.resource(name))
    return [state.name for state in lab.open(UpdateKind.PREVIEW).snapshot.resources]


@pytest.mark.parametrize("begun", [0, 1, 3])
def test_live_run_whose_lock_was_released_loses_nothing_of_anybody(lab: Lab, files: FileStackFiles, begun: int) -> None:
    with lab.open() as stack:
        lab.start(stack)
    slow = lab.open()
    for number in range(begun):
        slow.begin(Operation.CREATING, lab.resource(f"slow{number}"))
    for holder in files.lock().others():
        files.lock().release_other(holder.id)
    other = lab.open()
    other.done(other.begin(Operation.CREATING, lab.resource("other")), lab.resource("other"))
    for _ in range(2):
        with pytest.raises(JournalFullError, match="lock was released by somebody"):
            slow.begin(Operation.CREATING, lab.resource("late"))
    with pytest.raises(JournalFullError) if begun else nullcontext():
        slow.close()  # where it has changed nothing it writes nothing, and leaves what the other one writes
    assert files.journal_path.exists()
    other.abandon()
    found = lab.open(UpdateKind.PREVIEW).snapshot
    assert {state.name for state in found.resources} == {"lab-dev", "default", "other"}
    assert [item.resource.name for item in found.pending_operations] == [f"slow{number}" for number in range(begun)]


def test_run_whose_lock_was_released_saves_nothing(lab: Lab, files: FileStackFiles) -> None:
    slow = lab.open()
    lab.start(slow)
    for holder in files.lock().others():
        files.lock().release_other(holder.id)
    assert named(lab, "other") == ["lab-dev", "default", "other"]
    with pytest.raises(JournalFullError, match="lock was released by somebody"):
        slow.close()
    assert named(lab) == ["lab-dev", "default", "other"]
