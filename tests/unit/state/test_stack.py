"""A run as the engine tells it, what is on disk at each moment, and what the next run finds."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from labctl.engine.providers.base import Operation
from labctl.engine.state import (
    BackendUrlError,
    FileBackend,
    FileStackFiles,
    JournalMismatchError,
    MalformedStateError,
    PassphraseMissingError,
    ReadOnlyStackError,
    Snapshot,
    Stack,
    StackLockedError,
    StateWriteError,
    UpdateKind,
    open_stack,
)
from labctl.graph.values import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from one_stack import Lab


def deploy(lab: Lab, *names: str) -> None:
    with lab.open() as stack:
        lab.start(stack)
        for name in names:
            state = lab.resource(name, inputs={"create": name, "stdin": Secret(f"hush {name}")})
            begun = stack.begin(Operation.CREATING, replace(state, id=""))
            stack.done(begun, state)


def names(found: Stack | Snapshot) -> list[str]:
    snapshot = found.snapshot if isinstance(found, Stack) else found
    return [state.name for state in snapshot.resources]


def test_run_is_in_the_checkpoint(lab: Lab, files: FileStackFiles) -> None:
    deploy(lab, "a", "b")
    stack = lab.open(UpdateKind.PREVIEW)
    assert names(stack) == ["lab-dev", "default", "a", "b"]
    a = stack.snapshot.resources[2]
    assert a.inputs["stdin"] == Secret("hush a")
    assert a.created == a.modified != ""
    content = files.read_checkpoint() or b""
    assert b"hush" not in content
    assert not files.journal_path.exists()
    latest = json.loads(content)["checkpoint"]["latest"]
    assert latest["secrets_providers"]["state"]["salt"] == lab.salt
    assert "pending_operations" not in latest


def test_nothing_to_do_touches_nothing(lab: Lab, files: FileStackFiles) -> None:
    deploy(lab, "a", "b")
    before, moment = files.read_checkpoint(), (files.bucket.read(f"{files.checkpoint_key}.bak"))
    with lab.open() as stack:
        for state in reversed(stack.snapshot.resources):
            stack.register(replace(state, created="", modified=""))
        assert not files.journal_path.exists()
    assert files.read_checkpoint() == before
    assert files.bucket.read(f"{files.checkpoint_key}.bak") == moment
    assert len(files.history()) == 2


def test_unchanged_secrets_keep_their_ciphertext(lab: Lab, files: FileStackFiles) -> None:
    deploy(lab, "a")
    before = json.loads(files.read_checkpoint() or b"")["checkpoint"]["latest"]["resources"][2]
    deploy_more = lab.open()
    for state in deploy_more.snapshot.resources:
        deploy_more.register(state)
    deploy_more.done(deploy_more.begin(Operation.CREATING, lab.resource("b")), lab.resource("b"))
    deploy_more.close()
    after = json.loads(files.read_checkpoint() or b"")["checkpoint"]["latest"]["resources"]
    assert [item["urn"].rpartition("::")[2] for item in after] == ["lab-dev", "default", "a", "b"]
    assert after[2] == before


def test_order_is_this_runs_then_what_it_has_not_reached(lab: Lab) -> None:
    deploy(lab, "a", "b")
    stack = lab.open()
    lab.start(stack)
    c = lab.resource("c")
    stack.done(stack.begin(Operation.CREATING, c), c)
    stack.register(stack.snapshot.resources[3])
    assert names(stack.current()) == ["lab-dev", "default", "c", "b", "a"]
    stack.abandon()


def test_times_follow_what_happened(lab: Lab) -> None:
    deploy(lab, "a", "b", "c")
    old = {state.name: state for state in lab.open(UpdateKind.PREVIEW).snapshot.resources}
    with lab.open() as stack:
        lab.start(stack)
        stack.register(replace(old["a"], created="", modified="", protect=True))
        updated = replace(old["b"], inputs={"create": "other"})
        stack.done(stack.begin(Operation.UPDATING, updated), updated)
        made = replace(old["c"], id="c-2")
        stack.done(stack.begin(Operation.CREATING, made), made)
    states = lab.open(UpdateKind.PREVIEW).snapshot.resources
    a, b, c, old_c = states[2:]
    assert (a.created, a.modified, a.protect) == (old["a"].created, old["a"].modified, True)
    assert b.created == old["b"].created
    assert b.modified > old["b"].modified
    assert c.created == c.modified > old["c"].created
    assert (old_c.id, old_c.delete, old_c.created) == ("c-1", True, old["c"].created)


def test_backup_and_history(lab: Lab, files: FileStackFiles, backend: FileBackend) -> None:
    deploy(lab, "a")
    first = files.read_checkpoint()
    with lab.open(UpdateKind.DESTROY) as stack:
        for state in reversed(stack.snapshot.resources):
            stack.done(stack.begin(Operation.DELETING, state))
        stack.close(succeeded=False, changes={"delete": 3}, config={"lab:cluster": "{}"})
    assert files.bucket.read(f"{files.checkpoint_key}.bak") == first
    latest, before = files.history()
    assert latest["kind"] == "destroy"
    assert latest["result"] == "failed"
    assert latest["resourceChanges"] == {"delete": 3}
    assert latest["config"] == {"lab:cluster": "{}"}
    assert before["kind"] == "update"
    assert before["result"] == "succeeded"
    copies = [key for key in files.bucket.list(".pulumi/history/lab/dev") if key.endswith(".checkpoint.json")]
    assert files.bucket.read(copies[0]) == first
    assert files.bucket.read(copies[1]) == files.read_checkpoint()
    assert names(lab.open(UpdateKind.PREVIEW)) == []
    backend.remove_stack("lab", "dev")
    assert backend.stacks("lab") == []
    assert files.history() == []


def test_files_are_private(lab: Lab, backend: FileBackend) -> None:
    deploy(lab, "a")
    stack = lab.open()
    stack.done(stack.begin(Operation.CREATING, lab.resource("b")), lab.resource("b"))
    for path in backend.root.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    stack.close()


def test_exception_closes_as_failed(lab: Lab, files: FileStackFiles) -> None:
    def fail() -> None:
        with lab.open() as stack:
            lab.start(stack)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert files.history()[0]["result"] == "failed"
    assert files.lock().others() == ()


def test_preview_neither_locks_nor_writes(lab: Lab, files: FileStackFiles) -> None:
    deploy(lab, "a")
    running = lab.open()
    stack = lab.open(UpdateKind.PREVIEW)
    with pytest.raises(ReadOnlyStackError, match="stack dev was opened for reading"):
        stack.begin(Operation.CREATING, lab.resource("b"))
    with pytest.raises(StackLockedError):
        lab.open()
    running.abandon()
    assert stack.close() is stack.snapshot
    assert len(files.history()) == 1


def test_lock_is_given_back_when_opening_fails(lab: Lab, files: FileStackFiles) -> None:
    files.bucket.write(files.checkpoint_key, b"not json")
    with pytest.raises(MalformedStateError, match="not JSON"):
        lab.open()
    files.bucket.write(files.checkpoint_key, b'{"version": 4, "checkpoint": {}}')
    with pytest.raises(MalformedStateError, match="checkpoint version 4, only 3 is known"):
        lab.open()
    assert files.lock().others() == ()


def test_cut_off_run_is_found_by_the_next(lab: Lab, files: FileStackFiles) -> None:
    deploy(lab, "a", "b")
    stack = lab.open()
    lab.start(stack)
    a, b = stack.snapshot.resources[2:]
    c, d = lab.resource("c"), lab.resource("d", inputs={"stdin": Secret("hush d")})
    stack.done(stack.begin(Operation.CREATING, c), c)
    stack.begin(Operation.CREATING, replace(d, id=""))
    stack.begin(Operation.UPDATING, replace(a, protect=True))
    stack.begin(Operation.DELETING, b)
    stack.outputs(lab.stack_urn, {"x": 1})
    stack.abandon()
    assert b"hush" not in files.journal_path.read_bytes()

    seen = lab.open(UpdateKind.PREVIEW)
    assert files.journal_path.exists()
    found = lab.open()
    assert not files.journal_path.exists()
    for opened in (seen, found):
        pending = {item.resource.name: item.operation.value for item in opened.snapshot.pending_operations}
        assert pending == {"d": "creating", "a": "updating", "b": "deleting"}
        assert sorted(names(opened)) == ["a", "b", "c", "default", "lab-dev"]
        assert opened.snapshot.pending_operations[0].resource.inputs == {"stdin": Secret("hush d")}
    latest = json.loads(files.read_checkpoint() or b"")["checkpoint"]["latest"]
    assert [item["type"] for item in latest["pending_operations"]] == ["creating", "updating", "deleting"]
    assert latest["pending_operations"][0]["resource"]["inputs"]["stdin"]["ciphertext"].startswith("v1:")
    found.close()


def test_torn_last_line_is_left_out(lab: Lab, files: FileStackFiles) -> None:
    deploy(lab, "a")
    stack = lab.open()
    stack.done(stack.begin(Operation.CREATING, lab.resource("b")), lab.resource("b"))
    whole = len(files.journal_path.read_bytes())
    stack.begin(Operation.CREATING, lab.resource("c"))
    stack.abandon()
    content = files.journal_path.read_bytes()
    for length in range(len(content)):
        files.journal_path.write_bytes(content[:length])
        found = names(lab.open(UpdateKind.PREVIEW))
        assert set(found) >= {"lab-dev", "default", "a"}
        assert ("b" in found) is (length >= whole)


def test_damaged_line_is_named(lab: Lab, files: FileStackFiles) -> None:
    deploy(lab, "a")
    stack = lab.open()
    stack.begin(Operation.CREATING, lab.resource("b"))
    stack.abandon()
    content = files.journal_path.read_bytes()
    files.journal_path.write_bytes(content.replace(b'"begin"', b'"began"'))
    with pytest.raises(MalformedStateError, match=r"journal.jsonl:2: unreadable journal line \(began\)"):
        lab.open()
    files.journal_path.write_bytes(content.replace(b'"begin"', b'"begin'))
    with pytest.raises(MalformedStateError, match=r"journal.jsonl:2: not a line of a journal"):
        lab.open()


def test_crash_after_the_checkpoint_and_before_the_journal_went(
    lab: Lab, files: FileStackFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(lab, "a")
    stack = lab.open()
    stack.done(stack.begin(Operation.CREATING, lab.resource("b")), lab.resource("b"))
    left = b""

    def crash(_content: bytes, before: bytes | None) -> None:
        nonlocal left
        left = files.journal_path.read_bytes()
        real(_content, before)

    real = files.write_checkpoint
    monkeypatch.setattr(files, "write_checkpoint", crash)
    stack.close()
    files.journal_path.write_bytes(left)
    found = lab.open()
    assert names(found).count("b") == 1
    assert found.snapshot.pending_operations == ()
    found.close()
    assert not files.journal_path.exists()


def test_journal_of_another_state_is_refused(lab: Lab, files: FileStackFiles) -> None:
    deploy(lab, "a")
    stack = lab.open()
    stack.begin(Operation.CREATING, lab.resource("b"))
    stack.abandon()
    checkpoint = json.loads(files.read_checkpoint() or b"")
    files.bucket.write(files.checkpoint_key, json.dumps(checkpoint).encode())
    with pytest.raises(JournalMismatchError, match="has been changed since by something else"):
        lab.open()
    assert files.journal_path.exists()


def test_saving_one_operation_costs_the_same_in_a_large_stack(lab: Lab, files: FileStackFiles) -> None:
    sizes: list[int] = []
    for count in (2, 200):
        deploy(lab, *(f"r{index}" for index in range(count)))
        stack = lab.open()
        stack.done(stack.begin(Operation.CREATING, lab.resource("one")), lab.resource("one"))
        sizes.append(files.journal_path.stat().st_size)
        stack.abandon()
        files.journal_path.unlink()
    assert abs(sizes[0] - sizes[1]) < 50  # times are written without trailing zeros


def test_many_threads(lab: Lab) -> None:
    stack = lab.open()
    lab.start(stack)

    def create(index: int) -> None:
        state = lab.resource(f"r{index:03}")
        stack.done(stack.begin(Operation.CREATING, state), state)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(create, range(200)))
    stack.abandon()
    found = lab.open(UpdateKind.PREVIEW)
    assert sorted(names(found))[:200] == sorted(["default", "lab-dev", *(f"r{index:03}" for index in range(200))])[:200]
    assert len(found.snapshot.resources) == 202
    assert found.snapshot.pending_operations == ()


def test_without_a_secret_no_passphrase_is_needed(files: FileStackFiles, lab: Lab) -> None:
    with open_stack(files, UpdateKind.UPDATE, passphrases=()) as stack:
        lab.start(stack)
        stack.done(stack.begin(Operation.CREATING, lab.resource("a")), lab.resource("a"))
    with open_stack(files, UpdateKind.UPDATE, passphrases=()) as stack:
        assert len(stack.snapshot.resources) == 3
        with pytest.raises(PassphraseMissingError):
            stack.begin(Operation.CREATING, lab.resource("b", inputs={"x": Secret("hush")}))
    assert "secrets_providers" not in json.loads(files.read_checkpoint() or b"")["checkpoint"]["latest"]


def test_new_salt_is_found_in_the_journal(files: FileStackFiles, lab: Lab) -> None:
    stack = open_stack(files, UpdateKind.UPDATE, passphrases=lab.passphrases)
    lab.start(stack)
    stack.begin(Operation.CREATING, lab.resource("plain"))
    stack.begin(Operation.CREATING, lab.resource("sealed", inputs={"x": Secret("hush")}))
    stack.abandon()
    found = open_stack(files, UpdateKind.UPDATE, passphrases=lab.passphrases)
    assert found.snapshot.pending_operations[1].resource.inputs == {"x": Secret("hush")}
    assert found.codec.manager.salt is not None
    assert found.codec.manager.salt == stack.codec.manager.salt
    found.close()


def test_unwritable_checkpoint_keeps_the_journal(
    lab: Lab, files: FileStackFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(lab, "a")
    stack = lab.open()
    stack.done(stack.begin(Operation.CREATING, lab.resource("b")), lab.resource("b"))

    def full(key: str, _content: bytes) -> None:
        raise StateWriteError(key, "No space left on device")

    monkeypatch.setattr(files.bucket, "write", full)
    with pytest.raises(StateWriteError, match="No space left"):
        stack.close()
    monkeypatch.undo()
    assert files.lock().others() == ()
    assert "b" in names(lab.open())


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("file:///srv/state", "/srv/state"),
        ("file://./state", "{base}/state"),
        ("file://.", "{base}"),
        ("file:///with%20space", "/with space"),
        ("file://~/x", "{home}/x"),
    ],
)
def test_backend_urls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, place: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    root = FileBackend(url, tmp_path / "project").root
    assert str(root) == place.format(base=tmp_path / "project", home=tmp_path / "home")


@pytest.mark.parametrize("url", ["gs://bucket", "file://", "/srv/state", ""])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(BackendUrlError, match=r"give a folder \(file:///srv/pulumi"):
        FileBackend(url)
