"""Processes: recognised for certain, ended gently and then not, and never somebody else's."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from labctl.control_plane.processes import LOG_LIMIT_BYTES, ProcessTable, ended, memory_bytes
from labctl.control_plane.progress import silent

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "MARK": "ours"}


@pytest.fixture
def table(tmp_path: Path) -> Generator[ProcessTable]:
    directory = tmp_path / "plane"
    directory.mkdir()
    table = ProcessTable(directory=directory, records=directory / "run", logs=directory / "logs")
    yield table
    table.end(["etcd"], grace_seconds=0, progress=silent)


@pytest.fixture
def etcd(tmp_path: Path) -> Path:
    """A program called etcd that does what its arguments say."""
    path = tmp_path / "etcd"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", path)
    return path


def launch(table: ProcessTable, program: Path, *arguments: str) -> int:
    return table.launch("etcd", [str(program), *arguments], environment=ENVIRONMENT, fingerprint="f").pid


def record_of(tmp_path: Path) -> Path:
    return tmp_path / "plane" / "run" / "etcd.json"


def test_a_process_runs_detached_with_an_environment_of_its_own(
    table: ProcessTable, etcd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETCD_NAME", "somebody's")
    pid = launch(table, etcd, "60")
    assert os.getsid(pid) == pid
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert sorted(filter(None, environment)) == [b"MARK=ours", b"PATH=/usr/bin:/bin"]
    found = table.find("etcd", pytest.fail)
    assert found is not None
    assert (found.pid, found.fingerprint) == (pid, "f")
    assert memory_bytes(pid) > 0


def test_an_ended_process_is_not_found(table: ProcessTable, etcd: Path, tmp_path: Path) -> None:
    pid = launch(table, etcd, "60")
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while table.find("etcd", pytest.fail) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not record_of(tmp_path).exists()
    assert memory_bytes(pid) == 0


def test_ending_is_gentle_first(table: ProcessTable, etcd: Path) -> None:
    launch(table, etcd, "60")
    began = time.monotonic()
    assert table.end(["kwok", "etcd"], grace_seconds=10, progress=pytest.fail) == ("etcd",)
    assert time.monotonic() - began < 5
    assert table.find("etcd", pytest.fail) is None
    assert table.end(["etcd"], grace_seconds=10, progress=pytest.fail) == ()


def test_what_does_not_listen_is_killed_and_told(table: ProcessTable, tmp_path: Path) -> None:
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    launch(table, Path(sys.executable), "-c", script)
    log = tmp_path / "plane" / "logs" / "etcd.log"
    deadline = time.monotonic() + 10
    while log.read_text() != "deaf\n":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    told: list[str] = []
    assert table.end(["etcd"], grace_seconds=0.2, progress=told.append) == ("etcd",)
    assert told == ["etcd did not stop within 0 s; killing it"]


@pytest.mark.parametrize("change", ["start_ticks", "boot_id", "command"])
def test_a_record_that_fits_another_process_never_ends_it(
    table: ProcessTable, etcd: Path, tmp_path: Path, change: str
) -> None:
    launch(table, etcd, "60")
    record = json.loads(record_of(tmp_path).read_text())
    table.end(["etcd"], grace_seconds=5, progress=pytest.fail)
    with subprocess.Popen(["/bin/sleep", "60"]) as bystander:
        while not Path(f"/proc/{bystander.pid}/cmdline").read_bytes():
            time.sleep(0.01)  # in the middle of its exec
        fields = Path(f"/proc/{bystander.pid}/stat").read_text().rpartition(")")[2].split()
        stale = {**record, "pid": bystander.pid, "start_ticks": int(fields[19]), "command": ["/bin/sleep", "60"]}
        stale[change] = {"start_ticks": int(fields[19]) - 1, "boot_id": "another boot", "command": record["command"]}[
            change
        ]
        record_of(tmp_path).write_text(json.dumps(stale))
        told: list[str] = []
        assert table.end(["etcd"], grace_seconds=0, progress=told.append) == ()
        assert bystander.poll() is None
        assert not record_of(tmp_path).exists()
        # After a reboot every pid is somebody else's: nothing to tell.
        assert len(told) == (0 if change == "boot_id" else 1)
        assert all(f"pid {bystander.pid}" in line and "left alone" in line for line in told)
        bystander.kill()


@pytest.mark.parametrize("content", ["", "{", '{"pid": 1}', '{"pid": "one"}', "[]"])
def test_a_process_whose_record_was_cut_off_is_known_by_its_command_line(
    table: ProcessTable, tmp_path: Path, content: str
) -> None:
    script = tmp_path / "wait.py"
    script.write_text("input()")
    program = tmp_path / "etcd"
    program.symlink_to(sys.executable)
    ours = [str(program), "-c", "import time; time.sleep(60)", f"--data-dir={tmp_path}/plane/etcd"]
    pid = table.launch("etcd", ours, environment=ENVIRONMENT, fingerprint="f").pid
    record_of(tmp_path).write_text(content)
    found = table.find("etcd", pytest.fail)
    assert found is not None
    assert (found.pid, found.fingerprint) == (pid, "")
    assert table.find("kwok", pytest.fail) is None


def test_another_control_planes_process_is_not_ours(table: ProcessTable, tmp_path: Path) -> None:
    program = tmp_path / "etcd"
    program.symlink_to(sys.executable)
    other = [program, "-c", "import time; time.sleep(60)", f"--data-dir={tmp_path}/plane2/etcd"]
    with subprocess.Popen(other) as bystander:
        assert table.find("etcd", pytest.fail) is None
        assert table.end(["etcd"], grace_seconds=0, progress=pytest.fail) == ()
        assert bystander.poll() is None
        bystander.kill()


def test_a_long_log_is_set_aside(table: ProcessTable, etcd: Path, tmp_path: Path) -> None:
    log = tmp_path / "plane" / "logs" / "etcd.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * (LOG_LIMIT_BYTES + 1))
    launch(table, etcd, "not a number")
    assert log.stat().st_size < 1000
    assert (log.parent / "etcd.log.1").stat().st_size == LOG_LIMIT_BYTES + 1


def test_a_record_is_of_one_process_not_of_one_pid(table: ProcessTable, etcd: Path) -> None:
    record = table.launch("etcd", [str(etcd), "60"], environment=ENVIRONMENT, fingerprint="f")
    assert not ended(record)
    table.end(["etcd"], grace_seconds=5, progress=pytest.fail)
    assert ended(record)
