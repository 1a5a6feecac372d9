"""A stack in a bucket is the same as one in a folder, and the official CLI's own layout."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest
from one_stack import PASSPHRASES, PROJECT, SALT, STACK, Lab

from labctl.engine.providers.base import Operation
from labctl.engine.state import (
    CompressedStateError,
    FileBackend,
    JournalFullError,
    JournalMismatchError,
    MalformedStateError,
    OfficialJournalError,
    S3Backend,
    StackFiles,
    StackLockedError,
    StateChangedError,
    UpdateKind,
    open_stack,
)
from labctl.engine.state.bucket_exceptions import BucketUnreachableError
from labctl.graph.values import Secret

if TYPE_CHECKING:
    from labctl.engine.state import Stack
    from labctl.engine.state.s3_bucket import S3Bucket
    from labctl.graph.values import Inputs

JOURNAL = f".pulumi/stacks/{PROJECT}/{STACK}.journal"


@pytest.fixture
def held(bucket: S3Backend) -> StackFiles:
    return bucket.files(PROJECT, STACK)


@pytest.fixture
def s3_lab(held: StackFiles) -> Lab:
    return Lab(held)


def create(lab: Lab, stack: Stack, name: str) -> None:
    made = lab.resource(name)
    stack.done(stack.begin(Operation.CREATING, made), made)


def deploy(lab: Lab, *names: str) -> None:
    with lab.open() as stack:
        lab.start(stack)
        for name in names:
            create(lab, stack, name)


def names(stack: Stack) -> list[str]:
    return [state.name for state in stack.snapshot.resources]


def segments(held: StackFiles) -> list[str]:
    return [key.rpartition("/")[2] for key in held.bucket.tree(JOURNAL)]


def test_layout_is_the_official_one(s3_lab: Lab, bucket: S3Backend) -> None:
    deploy(s3_lab, "a")
    deploy(s3_lab, "a", "b")
    keys = [re.sub(r"\d{10,}", "NS", key) for key in bucket.bucket.tree(".pulumi")]
    history = [f".pulumi/history/lab/dev/dev-NS.{kind}.json" for kind in ("checkpoint", "history")]
    assert keys == [
        *history,
        *history,
        ".pulumi/meta.yaml",
        ".pulumi/stacks/lab/dev.json",
        ".pulumi/stacks/lab/dev.json.bak",
    ]
    assert bucket.bucket.read(".pulumi/meta.yaml") == b"version: 1\n"
    assert bucket.stacks("lab") == ["dev"]
    assert [entry["kind"] for entry in s3_lab.files.history()] == ["update", "update"]
    assert (
        len(
            json.loads(bucket.bucket.read(".pulumi/stacks/lab/dev.json.bak") or b"")["checkpoint"]["latest"][
                "resources"
            ]
        )
        == 3
    )


def test_same_bytes_as_in_a_folder(s3_lab: Lab, bucket: S3Backend, lab: Lab, backend: FileBackend) -> None:
    sealed: Inputs = {"stdin": Secret("hush")}
    for one in (lab, s3_lab):
        with one.open() as stack:
            one.start(stack)
            state = one.resource("a", inputs=sealed)
            stack.done(stack.begin(Operation.CREATING, state), state)
    for key in (".pulumi/meta.yaml", ".pulumi/stacks/lab/dev.json"):
        assert shape(bucket.bucket.read(key)) == shape(backend.bucket.read(key))


def shape(content: bytes | None) -> str:
    """Return a file with what is random or the time in it taken out: nonces and ciphertexts, dates."""
    assert content is not None
    text = re.sub(r'"v1:[^"]+"', '"SEALED"', content.decode())
    return re.sub(r'"\d{4}-[^"]+Z"', '"TIME"', text)


def test_secret_is_in_no_object(s3_lab: Lab, held: StackFiles) -> None:
    stack = s3_lab.open()
    s3_lab.start(stack)
    state = s3_lab.resource("a", inputs={"stdin": Secret("hush-canary")})
    stack.done(stack.begin(Operation.CREATING, state), state)
    stack.begin(Operation.UPDATING, replace(state, outputs={"stdout": Secret("hush-canary")}))
    contents = b"".join(held.bucket.read(key) or b"" for key in held.bucket.tree(".pulumi"))
    assert b"hush-canary" not in contents
    assert contents
    stack.abandon()


def test_begun_is_in_the_bucket_before_the_provider_is_asked(s3_lab: Lab, held: StackFiles) -> None:
    stack = s3_lab.open()
    s3_lab.start(stack)
    stack.begin(Operation.CREATING, s3_lab.resource("a"))
    assert segments(held) == ["000001.jsonl"]
    found = s3_lab.open(UpdateKind.PREVIEW)
    assert [item.resource.name for item in found.snapshot.pending_operations] == ["a"]
    stack.abandon()


def test_another_machine_finds_what_a_lost_one_had_begun(bucket: S3Backend, s3_lab: Lab, held: StackFiles) -> None:
    deploy(s3_lab, "a")
    lost = s3_lab.open()
    create(s3_lab, lost, "b")
    lost.begin(Operation.CREATING, s3_lab.resource("c"))
    another = Lab(S3Backend(bucket.url).files(PROJECT, STACK))
    with pytest.raises(StackLockedError):
        another.open()
    (holder,) = another.files.lock().others()
    another.files.lock().release_other(holder.id)
    found = another.open()
    assert sorted(names(found)) == ["a", "b", "default", "lab-dev"]
    assert [item.resource.name for item in found.snapshot.pending_operations] == ["c"]
    checkpoint = json.loads(held.read_checkpoint() or b"")["checkpoint"]["latest"]
    assert [item["resource"]["urn"].rpartition("::")[2] for item in checkpoint["pending_operations"]] == ["c"]
    found.close()


def take_over(bucket: S3Backend) -> Stack:
    """Open the stack as another machine whose user has released the first one's lock by its id."""
    files = S3Backend(bucket.url).files(PROJECT, STACK)
    for holder in files.lock().others():
        files.lock().release_other(holder.id)
    return open_stack(files, UpdateKind.UPDATE, passphrases=PASSPHRASES, salt=SALT)


@pytest.mark.parametrize("begun", [0, 1, 3])
def test_run_that_was_taken_over_begins_nothing_more(
    bucket: S3Backend, s3_lab: Lab, held: StackFiles, begun: int
) -> None:
    deploy(s3_lab)
    slow = s3_lab.open()
    for number in range(begun):
        slow.begin(Operation.CREATING, s3_lab.resource(f"slow{number}"))
    other = take_over(bucket)
    with pytest.raises(JournalFullError, match="lock was released by somebody"):
        slow.begin(Operation.CREATING, s3_lab.resource("late"))
    create(s3_lab, other, "other")
    with pytest.raises(JournalFullError):
        slow.begin(Operation.CREATING, s3_lab.resource("later"))
    if begun:
        with pytest.raises(JournalFullError):
            slow.close()
    else:
        slow.close()  # it has changed nothing, so it writes nothing
    other.close()
    found = s3_lab.open(UpdateKind.PREVIEW)
    assert names(found) == ["lab-dev", "default", "other"]
    assert [item.resource.name for item in found.snapshot.pending_operations] == [f"slow{n}" for n in range(begun)]
    assert segments(held) == ([f"{begun + 1:06}.jsonl"] if begun else [])


def test_run_that_changed_nothing_yet_does_not_overwrite_who_took_over(bucket: S3Backend, s3_lab: Lab) -> None:
    deploy(s3_lab, "a")
    slow = s3_lab.open()
    slow.register(replace(s3_lab.resource("a"), protect=True))
    other = take_over(bucket)
    create(s3_lab, other, "b")
    with pytest.raises(JournalFullError, match="lock was released by somebody"):
        slow.close()
    other.close()
    found = s3_lab.open(UpdateKind.PREVIEW)
    assert sorted(names(found)) == ["a", "b", "default", "lab-dev"]
    assert not any(state.protect for state in found.snapshot.resources)


def test_checkpoint_somebody_has_changed_stays(s3_lab: Lab, held: StackFiles) -> None:
    deploy(s3_lab, "a")
    stack = s3_lab.open()
    create(s3_lab, stack, "b")
    changed = json.dumps(json.loads(held.read_checkpoint() or b"")).encode()
    held.bucket.write(held.checkpoint_key, changed)
    with pytest.raises(StateChangedError, match="something else has changed it since this run read it"):
        stack.close()
    assert held.read_checkpoint() == changed
    with pytest.raises(
        JournalMismatchError, match=r"s3://lab-state/teams/compute/\.pulumi/stacks/lab/dev\.journal was left"
    ):
        s3_lab.open()


def test_crash_between_checkpoint_and_removal_of_the_journal(s3_lab: Lab, held: StackFiles) -> None:
    deploy(s3_lab, "a")
    stack = s3_lab.open()
    create(s3_lab, stack, "b")
    left: dict[str, bytes] = {}
    write = held.write_checkpoint

    def crash(content: bytes, before: bytes | None) -> None:
        left.update({key: held.bucket.read(key) or b"" for key in held.bucket.tree(JOURNAL)})
        write(content, before)

    held.write_checkpoint = crash
    stack.close()
    assert segments(held) == []
    for content in [dict(list(left.items())[keep:]) for keep in range(len(left) + 1)]:
        for key, piece in content.items():
            held.bucket.write(key, piece)
        found = s3_lab.open()
        assert sorted(names(found)) == ["a", "b", "default", "lab-dev"]
        assert found.snapshot.pending_operations == ()
        found.close()
        for key in held.bucket.tree(JOURNAL):  # a fence, or what lacks its first segment: nobody's
            held.bucket.delete(key)


def test_missing_segment_is_damage(s3_lab: Lab, held: StackFiles) -> None:
    deploy(s3_lab)
    stack = s3_lab.open()
    for name in "abc":
        create(s3_lab, stack, name)
    stack.begin(Operation.CREATING, s3_lab.resource("d"))
    stack.abandon()
    held.bucket.delete(held.bucket.tree(JOURNAL)[1])
    with pytest.raises(MalformedStateError, match="segment 2 before it is missing"):
        s3_lab.open()


def test_segments_that_go_while_they_are_listed_are_no_damage(
    s3_lab: Lab, held: StackFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(s3_lab)
    stack = s3_lab.open()
    for name in "abc":
        create(s3_lab, stack, name)
    stack.begin(Operation.CREATING, s3_lab.resource("d"))
    tree, listed = held.bucket.tree, held.bucket.tree(JOURNAL)
    stack.abandon()

    def as_a_run_ends(prefix: str) -> list[str]:
        monkeypatch.setattr(held.bucket, "tree", tree)
        for key in held.bucket.tree(JOURNAL):
            held.bucket.delete(key)
        return [key for key in listed if key != listed[1]]

    monkeypatch.setattr(held.bucket, "tree", as_a_run_ends)
    assert held.journal.read() == ()


def test_failure_that_nobody_foresaw_lets_no_operation_wait_for_ever(
    s3_lab: Lab, held: StackFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(s3_lab)
    stack = s3_lab.open()

    def create_no_more(key: str, content: bytes) -> bool:
        raise KeyError(key, content)

    monkeypatch.setattr(held.bucket, "create", create_no_more)
    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(stack.begin, Operation.CREATING, s3_lab.resource("a"))
        with pytest.raises(JournalFullError, match="unforeseen KeyError"):
            begun.result(10)
    stack.abandon()
    assert held.lock().others() == ()


def test_segment_whose_answer_was_lost_goes_with_a_run_that_changed_nothing(
    s3_lab: Lab, held: StackFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(s3_lab)
    stack, create_there = s3_lab.open(), cast("S3Bucket", held.bucket).create

    def stored_and_not_told(key: str, content: bytes) -> bool:
        create_there(key, content)
        raise BucketUnreachableError(key, "the endpoint", "no answer in time")

    monkeypatch.setattr(held.bucket, "create", stored_and_not_told)
    with pytest.raises(JournalFullError):
        stack.begin(Operation.CREATING, s3_lab.resource("never"))
    assert segments(held) == ["000001.jsonl"]
    stack.close()
    assert segments(held) == []
    assert not s3_lab.open(UpdateKind.PREVIEW).snapshot.pending_operations


def test_removed_stack_leaves_nothing(bucket: S3Backend, s3_lab: Lab) -> None:
    deploy(s3_lab, "a")
    lost = s3_lab.open()
    lost.begin(Operation.CREATING, s3_lab.resource("b"))
    take_over(bucket).close()
    bucket.remove_stack(PROJECT, STACK)
    assert bucket.bucket.tree(".pulumi") == [".pulumi/meta.yaml"]


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_compressed_state_is_not_taken_for_none(s3_lab: Lab, held: StackFiles, ending: str) -> None:
    held.bucket.write(f"{held.checkpoint_key}{ending}", b"\x1f\x8b")
    with pytest.raises(CompressedStateError, match="PULUMI_DIY_BACKEND_GZIP"):
        s3_lab.open(UpdateKind.PREVIEW)


def test_journal_of_the_official_cli_is_not_passed_over(s3_lab: Lab, held: StackFiles) -> None:
    deploy(s3_lab, "a")
    held.bucket.write(".pulumi/journal/lab/dev/1.json", b"{}")
    with pytest.raises(OfficialJournalError, match="`pulumi refresh --stack dev`"):
        s3_lab.open()
    assert held.lock().others() == ()
    assert names(s3_lab.open(UpdateKind.PREVIEW))
