"""A lab whose run is stopped, or loses its API server or its disk: run again, it is what it would have been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest
from lab_copy import LabCopy, await_lines, ended, interrupted
from lab_facts import Undisturbed, finish, is_undisturbed, objects_of_ours, state_of


def test_one_interrupt_finishes_what_is_under_way_and_starts_nothing_more(
    empty: LabCopy, undisturbed: Undisturbed
) -> None:
    stopped = interrupted(empty, 60, "up", "--yes", by=signal.SIGINT)
    assert stopped.code == 130
    assert "stopping: what is under way is finished first" in stopped.err
    assert not empty.journal.exists()
    assert not empty.locks
    assert not empty.deployment().get("pending_operations"), "what was under way was finished"
    state = state_of(empty, finished=False)
    assert 0 < len(state) < len(undisturbed.state)
    made = objects_of_ours(empty.api)
    assert 0 < len(made) < len(undisturbed.objects)
    finish(empty)
    is_undisturbed(empty, undisturbed)


def test_a_second_interrupt_ends_at_once(deployed: LabCopy, undisturbed: Undisturbed) -> None:
    process = deployed.start("destroy", "--yes")
    await_lines(deployed, 30, process)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("stopping"):
            break
    process.send_signal(signal.SIGINT)
    assert ended(process).code == 130
    finish(deployed)
    is_undisturbed(deployed, undisturbed)


def test_an_interrupted_destruction_goes_on(deployed: LabCopy, undisturbed: Undisturbed) -> None:
    stopped = interrupted(deployed, 40, "destroy", "--yes", by=signal.SIGINT)
    assert stopped.code == 130
    left = state_of(deployed, finished=False)
    assert 0 < len(left) < len(undisturbed.state)
    finish(deployed)
    is_undisturbed(deployed, undisturbed)


def test_the_api_server_dies_and_the_next_run_brings_it_back(empty: LabCopy, undisturbed: Undisturbed) -> None:
    process = empty.start("up", "--yes")
    await_lines(empty, 50, process)
    (pid,) = [part.pid for part in empty.plane.status().components if part.name == "kube-apiserver"]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    failed = ended(process)
    assert failed.code == 1
    assert "Traceback" not in failed.text
    server = empty.plane.status().server
    assert server
    assert server in failed.err, "which server is gone is said"
    assert not empty.locks
    finish(empty)
    is_undisturbed(empty, undisturbed)


def test_the_whole_control_plane_dies(empty: LabCopy, undisturbed: Undisturbed) -> None:
    process = empty.start("up", "--yes")
    await_lines(empty, 90, process)
    for part in empty.plane.status().components:
        if part.pid:
            os.kill(part.pid, signal.SIGKILL)
    process.kill()
    ended(process)
    finish(empty)
    is_undisturbed(empty, undisturbed)


# -- a disk that is full -----------------------------------------------------------------------------------------------


def test_a_journal_that_cannot_grow_stops_the_run(empty: LabCopy, undisturbed: Undisturbed) -> None:
    for kibibytes in (0, 30, 120):
        stopped = empty.run("up", "--yes", largest_file=kibibytes << 10)
        assert stopped.code in (1, 6), stopped.text
        assert "Traceback" not in stopped.text
        assert "unforeseen" not in stopped.text
        assert "too large" in stopped.err.lower()
    finish(empty)
    is_undisturbed(empty, undisturbed)


@pytest.fixture
def small_disk(empty: LabCopy) -> Generator[Path]:
    """The state on a disk of its own with 256 KiB."""
    if os.geteuid() != 0 or os.environ.get("LAB_TESTS") != "all":
        pytest.skip("mounting a small disk needs root; LAB_TESTS=all allows it")
    folder = empty.root / ".lab" / "state"
    kept = folder.rename(folder.with_name("state-kept"))
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], check=True)  # noqa: S607 - root's
    yield folder
    subprocess.run(["umount", str(folder)], check=True)  # noqa: S607 - root's own
    folder.rmdir()
    kept.rename(folder)
    empty.well("refresh", "--yes")


def test_a_full_disk_loses_nothing_that_was_done(empty: LabCopy, undisturbed: Undisturbed, small_disk: Path) -> None:
    full = empty.run("up", "--yes")
    assert full.code in (1, 6), full.text
    assert "No space left on device" in full.err
    assert "Traceback" not in full.text
    still = empty.run("up", "--yes")
    assert still.code in (1, 6), "it is still full"
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)  # noqa: S607 - root's own
    finish(empty)
    is_undisturbed(empty, undisturbed)
    empty.well("destroy", "--yes")


def test_a_state_that_cannot_be_written_is_kept_beside_it(deployed: LabCopy, undisturbed: Undisturbed) -> None:
    text = deployed.file.read_text(encoding="utf-8")
    backup = deployed.state.with_name(f"{deployed.state.name}.bak")
    backup.unlink()
    backup.mkdir()
    deployed.edit("name: GPU, 40 GB", "name: Renamed")
    failed = deployed.run("up", "--yes")
    assert failed.code == 6, failed.text
    assert str(backup) in failed.err
    assert deployed.journal.exists()
    assert not deployed.locks
    backup.rmdir()
    deployed.well("preview", "--expect-no-changes")
    assert "Nothing to do" in finish(deployed).out
    deployed.file.write_text(text, encoding="utf-8")
    finish(deployed)
    is_undisturbed(deployed, undisturbed)


# -- what a killed run leaves -----------------------------------------------------------------------------------------


def test_a_damaged_journal_is_left_alone_and_a_torn_one_read(empty: LabCopy, undisturbed: Undisturbed) -> None:
    interrupted(empty, 45, "up", "--yes")
    content = empty.journal.read_bytes()
    lines = content.split(b"\n")
    damaged = b"\n".join([*lines[:20], b"rubbish", *lines[21:]])
    empty.journal.write_bytes(damaged)
    refused = empty.run("up", "--yes")
    assert refused.code == 6
    assert f"{empty.journal}:21" in refused.err
    assert empty.journal.read_bytes() == damaged
    empty.journal.write_bytes(content[: content.rstrip(b"\n").rfind(b"\n") + 40])
    finish(empty)
    is_undisturbed(empty, undisturbed)


def left_lock(lab: LabCopy, **holder: object) -> Path:
    """Write the lock of a run that is not there any more; return its path."""
    content = {"pid": 1, "username": "ada", "hostname": "elsewhere", "timestamp": "2026-01-02T03:04:05Z", **holder}
    folder = lab.root / ".lab" / "state" / ".pulumi" / "locks" / "organization" / "research-compute" / lab.stack
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "11111111-2222-3333-4444-555555555555.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_the_lock_of_another_machine_is_released_by_name_only(deployed: LabCopy) -> None:
    path = left_lock(deployed)
    refused = deployed.run("up", "--yes")
    assert refused.code == 5
    for word in ("ada@elsewhere", "2026-01-02 03:04:05", f"labctl unlock {path.stem}"):
        assert word in refused.err
    assert path.exists()
    deployed.well("preview")
    assert "released" in deployed.well("unlock", path.stem).out
    deployed.well("up", "--yes")


def test_two_runs_at_once_the_second_says_whose_lock_it_is(deployed: LabCopy, undisturbed: Undisturbed) -> None:
    first = deployed.start("destroy", "--yes")
    await_lines(deployed, 10, first)
    first.send_signal(signal.SIGSTOP)
    second = deployed.run("up", "--yes")
    assert second.code == 5
    assert f"(pid {first.pid})" in second.err
    first.send_signal(signal.SIGCONT)
    assert ended(first).code == 0
    assert objects_of_ours(deployed.api) == {}
