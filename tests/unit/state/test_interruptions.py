"""Runs that end as no run should: killed, or on a full disk. The next one finds everything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from labctl.engine.state import FileBackend, UpdateKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from one_stack import Lab

    from labctl.engine.state import FileStackFiles

PREAMBLE = """
import resource, sys, time
from labctl.engine.providers.base import Operation
from labctl.engine.state import FileBackend, JournalFullError, ResourceState, StateWriteError, UpdateKind, open_stack

files = FileBackend(sys.argv[1]).files("lab", "dev")
stack = open_stack(files, UpdateKind.UPDATE, passphrases=())

def state(name, size=0):
    return ResourceState(urn="urn:pulumi:dev::lab::x:y:Z::" + name, type="x:y:Z", custom=True, id=name,
                         outputs={"text": "x" * size} if size else {})

def create(name, size=0):
    begun = stack.begin(Operation.CREATING, state(name))
    print("started", name, flush=True)
    stack.done(begun, state(name, size))

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

"""


def start(url: str, script: str) -> subprocess.Popen[str]:
    code = PREAMBLE + textwrap.dedent(script)
    return subprocess.Popen(
        [sys.executable, "-c", code, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(url: str, script: str) -> list[str]:
    output, errors = start(url, script).communicate(timeout=60)
    assert not errors, errors
    return output.splitlines()


def find(files: FileStackFiles, lab: Lab) -> tuple[set[str], set[str]]:
    """Return what a next run finds: names in the state, and names with a pending operation."""
    for holder in files.lock().others():
        assert holder.dead
        files.lock().release_other(holder.id)
    stack = lab.open()
    stack.close()
    pending = {item.resource.name for item in stack.snapshot.pending_operations}
    return {state.name for state in stack.snapshot.resources}, pending


@pytest.mark.parametrize("moment", ["begun", "done", "closing"])
def test_killed(backend: FileBackend, lab: Lab, files: FileStackFiles, moment: str) -> None:
    process = start(
        backend.url,
        """
        create("a")
        begun = stack.begin(Operation.CREATING, state("b"))
        print("begun", flush=True)
        time.sleep(0.2)
        stack.done(begun, state("b"))
        print("done", flush=True)
        time.sleep(0.2)
        write = files.bucket.write
        def slow(key, content):
            print("closing", flush=True)
            time.sleep(60)
        files.bucket.write = slow
        stack.close()
        """,
    )
    assert process.stdout is not None
    while process.stdout.readline().strip() != moment:
        assert process.poll() is None
    process.kill()
    process.communicate()
    found, pending = find(files, lab)
    assert (found, pending) == (({"a"}, {"b"}) if moment == "begun" else ({"a", "b"}, set()))


@pytest.mark.parametrize("room", [500, 700, 900, 1100, 1300])
def test_full_disk_starts_nothing_more(backend: FileBackend, lab: Lab, files: FileStackFiles, room: int) -> None:
    said = run(
        backend.url,
        f"""
        limit({room})
        try:
            for index in range(100):
                create(f"r{{index}}")
        except JournalFullError as error:
            print("refused", error)
        try:
            create("another")
        except JournalFullError:
            print("refused again")
        stack.abandon()
        """,
    )
    started = {line.split()[1] for line in said if line.startswith("started")}
    refused, again = said[-2:]
    assert "dev.journal.jsonl: File too large; no further operation was started" in refused
    assert again == "refused again"
    found, pending = find(files, lab)
    assert found | pending == started != set()
    assert not found & pending
    assert len(pending) <= 1


@pytest.mark.parametrize("room_later", [True, False])
def test_end_on_a_full_disk_is_found_pending(
    backend: FileBackend, lab: Lab, files: FileStackFiles, *, room_later: bool
) -> None:
    said = run(
        backend.url,
        f"""
        create("before")
        limit(3000)
        try:
            create("large", 5000)
        except JournalFullError as error:
            print("lost")
        try:
            create("after")
        except JournalFullError as error:
            print("refused")
        if {room_later}:
            limit(resource.RLIM_INFINITY)
        try:
            stack.close()
        except StateWriteError as error:
            print("not closed")
        """,
    )
    assert said == ["started before", "started large", "lost", "refused", *([] if room_later else ["not closed"])]
    found, pending = find(files, lab)
    assert (found, pending) == (({"before", "large"}, set()) if room_later else ({"before"}, {"large"}))


def test_room_again_lets_the_same_run_end_well(backend: FileBackend, lab: Lab, files: FileStackFiles) -> None:
    run(
        backend.url,
        """
        first = stack.begin(Operation.CREATING, state("large"))
        second = stack.begin(Operation.CREATING, state("small"))
        limit(3000)
        try:
            stack.done(first, state("large", 5000))
        except JournalFullError:
            limit(resource.RLIM_INFINITY)
        stack.done(second, state("small"))
        stack.abandon()
        """,
    )
    assert find(files, lab) == ({"large", "small"}, set())


def test_operation_that_was_refused_is_not_pending(backend: FileBackend, lab: Lab, files: FileStackFiles) -> None:
    said = run(
        backend.url,
        """
        create("first")
        limit(files.journal_path.stat().st_size + 20)
        try:
            create("refused")
        except JournalFullError:
            print("refused")
        limit(resource.RLIM_INFINITY)
        stack.forget(state("nothing"))
        stack.abandon()
        """,
    )
    assert said == ["started first", "refused"]
    assert find(files, lab) == ({"first"}, set())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.environ.get("LAB_TESTS") != "all" or os.geteuid() != 0:
        pytest.skip("mounts a file system: needs root and LAB_TESTS=all")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=192k", "tmpfs", str(folder)], check=True)  # noqa: S607 - of this system
    yield folder
    subprocess.run(["umount", str(folder)], check=True)  # noqa: S607 - of this system


def test_really_full_disk(small_disk: Path) -> None:
    said = run(
        f"file://{small_disk}",
        """
        try:
            for index in range(1000):
                create(f"r{index}", 3000)
        except JournalFullError as error:
            print(error)
        try:
            stack.close()
        except StateWriteError as error:
            print(error)
        """,
    )
    started = {line.split()[1] for line in said if line.startswith("started")}
    assert "No space left on device" in said[-2]
    assert "No space left on device" in said[-1]
    files = FileBackend(f"file://{small_disk}").files("lab", "dev")
    lines = [json.loads(line) for line in files.journal_path.read_bytes().splitlines()]
    begun = {line["resource"]["id"] for line in lines if line["event"] == "begin"}
    done = {line["resource"]["id"] for line in lines if line["event"] == "done"}
    assert started == begun
    assert len(begun - done) <= 1
    assert files.lock().others() == ()


def test_reading_while_another_runs(lab: Lab, files: FileStackFiles) -> None:
    stack = lab.open()
    lab.start(stack)
    for index in range(20):
        made = lab.resource(f"r{index}")
        stack.done(stack.begin(lab.creating, made), made)
        assert len(lab.open(UpdateKind.PREVIEW).snapshot.resources) == index + 3
    stack.close()
    assert len(lab.open(UpdateKind.PREVIEW).snapshot.resources) == 22
    assert not files.journal_path.exists()
