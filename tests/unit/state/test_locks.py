"""One process at a time changes a stack, and a lock left behind is told from one that is held."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from labctl.engine.state import StackFiles, StackLockedError, UnknownLockError

if TYPE_CHECKING:
    from pathlib import Path

HOLDER = """
    import sys, time
    from labctl.engine.state import FileBackend
    lock = FileBackend(sys.argv[1]).files("lab", "dev").lock()
    lock.acquire()
    print("held", flush=True)
    {then}
"""


def holder(files: StackFiles, root: Path, then: str) -> subprocess.Popen[str]:
    del files
    script = textwrap.dedent(HOLDER).format(then=then)
    process = subprocess.Popen([sys.executable, "-c", script, f"file://{root}"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def leave(files: StackFiles, lock_id: str, **content: object) -> None:
    stated = {"pid": 1, "username": "ada", "hostname": "elsewhere", "timestamp": "2026-08-20T10:00:00.123456789Z"}
    key = f".pulumi/locks/organization/lab/dev/{lock_id}.json"
    files.bucket.write(key, json.dumps(stated | content).encode())


def test_second_is_refused_and_told_who_holds_it(files: StackFiles) -> None:
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


def test_lock_file_is_the_official_one(files: StackFiles) -> None:
    lock = files.lock()
    lock.acquire()
    (key,) = files.bucket.list(".pulumi/locks/organization/lab/dev")
    content = json.loads(files.bucket.read(key) or b"")
    lock.release()
    assert content.keys() == {"pid", "username", "hostname", "timestamp"}
    assert content["timestamp"].endswith("Z")


def test_lock_of_the_official_cli_is_respected(files: StackFiles) -> None:
    leave(files, "1c", timestamp="2026-08-20T12:00:00.123456789+02:00")
    with pytest.raises(StackLockedError, match=r"ada@elsewhere \(pid 1\), since 2026-08-20 10:00:00 UTC"):
        files.lock().acquire()
    assert len(files.lock().others()) == 1


@pytest.mark.parametrize(
    ("age", "words"),
    [(5, "5 seconds ago"), (60, "1 minute ago"), (7_300, "2 hours ago"), (200_000, "2 days ago")],
)
def test_age_is_told(files: StackFiles, age: int, words: str) -> None:
    leave(files, "x", timestamp=(datetime.now(UTC) - timedelta(seconds=age)).isoformat())
    assert words in files.lock().others()[0].describe()


def test_unreadable_lock_is_one_all_the_same(files: StackFiles) -> None:
    files.bucket.write(".pulumi/locks/organization/lab/dev/y.json", b"{")
    with pytest.raises(StackLockedError, match="lock y by"):
        files.lock().acquire()


def test_killed_process_is_told_and_its_lock_freed_only_on_request(files: StackFiles, tmp_path: Path) -> None:
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


def test_number_used_again_by_another_process_is_not_the_holder(files: StackFiles) -> None:
    leave(files, "z", pid=os.getpid(), hostname=socket.gethostname(), timestamp="2020-01-01T00:00:00Z")
    assert files.lock().others()[0].dead


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
    files: StackFiles, tmp_path: Path, then: str, number: signal.Signals | None, status: int
) -> None:
    process = holder(files, tmp_path / "state", f"sys.stderr.close(); {then}")
    if number is not None:
        process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == status
    assert files.lock().others() == ()
