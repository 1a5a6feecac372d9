"""The history: what an entry says, that it is the official shape, and that it holds no secret."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from labctl.display.history import age, print_entry, print_history, print_state_changes
from labctl.engine.state import FileBackend, Passphrase, ResourceState, StackFiles, UpdateKind, open_stack
from labctl.engine.state.about import UpdateAbout
from labctl.graph.values import Secret
from labctl.history import past_of, state_changes
from labctl.lab import open_lab
from labctl.run_log.about import about_later, history_config
from labctl.run_log.origin import origin_of
from stacks.loading import load_stack_file

CANARY = "canary-77aa01c9d2"
PASSPHRASES = (Passphrase("history-tests", "a test"),)
OFFICIAL_KEYS = [
    "kind",
    "startTime",
    "message",
    "environment",
    "config",
    "version",
    "result",
    "endTime",
    "resourceChanges",
]
"""Of ``backend.UpdateInfo`` (pulumi, ``pkg/backend/updates.go``) as its file backend writes it."""
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"


@pytest.fixture
def files(tmp_path: Path) -> StackFiles:
    return FileBackend(f"file://{tmp_path}/state").files("research-compute", "dev")


def state(name: str, **inputs: object) -> ResourceState:
    urn = f"urn:pulumi:dev::research-compute::{CONFIG_MAP}::{name}"
    return ResourceState(urn=urn, type=CONFIG_MAP, custom=False, inputs=dict(inputs))  # pyright: ignore[reportArgumentType] - plain values


def run(
    files: StackFiles, *states: ResourceState, forget: tuple[str, ...] = (), about: UpdateAbout | None = None
) -> None:
    with open_stack(files, UpdateKind.UPDATE, passphrases=PASSPHRASES) as stack:
        if about is not None:
            stack.about = lambda: about
        for one in states:
            stack.register(one)
        for old in stack.snapshot.resources:
            if old.name in forget:
                stack.forget(old)
        stack.close(succeeded=not forget, changes={"create": len(states)})


def printed(show: object, *arguments: object, **named: object) -> str:
    console = Console(file=StringIO(), width=240, force_terminal=False)
    assert callable(show)
    show(console, *arguments, **named)
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


def test_an_entry_has_the_official_keys_and_what_the_run_says_of_itself(files: StackFiles) -> None:
    about = UpdateAbout(message="why", environment={"git.head": "abc"}, config={"lab:x": {"secure": "v1:abc"}})
    run(files, state("one"), about=about)
    entry = files.history()[0]
    assert list(entry) == OFFICIAL_KEYS
    assert isinstance(entry["startTime"], int)
    assert isinstance(entry["endTime"], int)
    assert entry["kind"] == "update"
    assert entry["result"] == "succeeded"
    assert entry["message"] == "why"
    assert entry["environment"] == {"git.head": "abc"}
    assert entry["config"] == {"lab:x": {"secure": "v1:abc"}}
    assert entry["resourceChanges"] == {"create": 1}


def test_versions_count_from_the_oldest_and_the_latest_comes_first(files: StackFiles) -> None:
    for number in range(3):
        run(files, state("one", data=number), about=UpdateAbout(message=f"m{number}"))
    runs = past_of(files)
    assert [(one.version, one.message) for one in runs] == [(3, "m2"), (2, "m1"), (1, "m0")]
    assert runs[0].document()["version"] == 3
    told = printed(print_history, "dev", runs[:2], count=3, now=datetime.now(UTC))
    assert "… and 1 older ones" in told
    assert "m2" in told
    assert "m0" not in told


def test_what_a_run_left_otherwise_is_found_without_a_passphrase(files: StackFiles) -> None:
    run(files, state("kept", a=1), state("changed", a=1, key=Secret("old")), state("gone", a=1))
    run(files, state("changed", a=2, key=Secret(CANARY)), state("new", a=1), forget=("gone",))
    last, first = past_of(files)
    changes = state_changes(first.resources(), last.resources())
    assert [(change.op, change.urn.rpartition("::")[2], change.paths) for change in changes] == [
        ("update", "changed", ("a", "key")),
        ("delete", "gone", ()),
        ("create", "new", ()),
    ]
    told = printed(print_state_changes, last, changes)
    assert CANARY not in told
    assert "key" in told
    assert not last.succeeded
    assert "update failed" in printed(print_history, "dev", [last], count=1, now=datetime.now(UTC))
    assert [change.op for change in state_changes(None, first.resources())] == ["create"] * 3


def test_an_entry_nobody_can_read_is_shown_as_one_that_says_nothing(files: StackFiles) -> None:
    run(files, state("one"))
    files.bucket.write(".pulumi/history/research-compute/dev/dev-9999999999999999999.history.json", b"{broken")
    newest = past_of(files)[0]
    assert (newest.version, newest.kind, newest.message, newest.changes, newest.resources()) == (2, "", "", {}, {})
    printed(print_history, "dev", past_of(files), count=2, now=datetime.now(UTC))


def test_the_official_clis_entry_is_read(files: StackFiles) -> None:
    entry = {
        "kind": "update",
        "startTime": 1_700_000_000,
        "message": "by the other",
        "environment": {"exec.kind": "cli", "git.head": "0123456789abcdef", "git.dirty": "true", "git.author": "Ada"},
        "config": {"lab:cluster": {"name": "x"}, "lab:token": {"secure": "AAA"}, "lab:plain": "text"},
        "version": 0,
        "result": "succeeded",
        "endTime": 1_700_000_012,
        "resourceChanges": {"create": 5, "read": 1},
    }
    files.bucket.write(".pulumi/history/research-compute/dev/dev-1.history.json", json.dumps(entry).encode())
    one = past_of(files)[0]
    assert one.who == "Ada"
    assert one.revision == "01234567+"
    assert one.document() | {"environment": {}} == {
        "version": 1,
        "kind": "update",
        "startTime": "2023-11-14T22:13:20.000Z",
        "message": "by the other",
        "environment": {},
        "config": {
            "lab:cluster": {"value": '{"name":"x"}', "secret": False, "objectValue": {"name": "x"}},
            "lab:token": {"value": "[secret]", "secret": True},
            "lab:plain": {"value": "text", "secret": False},
        },
        "result": "succeeded",
        "endTime": "2023-11-14T22:13:32.000Z",
        "resourceChanges": {"create": 5, "read": 1},
    }
    told = printed(print_entry, one)
    assert "git.author: Ada" in told
    assert "AAA" not in told
    assert "1 read" in told


def test_config_in_the_history_holds_no_plain_secret(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.some.yaml"
    path.write_text(
        "encryptionsalt: v1:abc\nconfig:\n  research-compute:cluster: {name: x, depth: 3}\n"
        f"  research-compute:token: {{secure: 'v1:sealed:text'}}\n  research-compute:inThePlain: {CANARY}\n"
        "  research-compute:flag: true\n  research-compute:count: 5\n"
    )
    config = history_config(load_stack_file(path), {"research-compute:inThePlain"})
    assert config == {
        "research-compute:cluster": {"name": "x", "depth": 3},
        "research-compute:token": {"secure": "v1:sealed:text"},
        "research-compute:inThePlain": "[secret]",
        "research-compute:flag": "true",
        "research-compute:count": "5",
    }
    assert CANARY not in json.dumps(config)


def git(folder: Path, *arguments: str) -> None:
    people = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@lab.example.org"}
    people |= {"GIT_COMMITTER_NAME": "Bob", "GIT_COMMITTER_EMAIL": "bob@lab.example.org"}
    nobody = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    subprocess.run(
        ["git", *arguments],  # noqa: S607 - the machine's own git
        cwd=folder,
        check=True,
        capture_output=True,
        env=os.environ | people | nobody,
    )


def test_the_revision_and_whether_the_tree_was_dirty_are_gits(tmp_path: Path) -> None:
    git(tmp_path, "init", "--initial-branch", "main")
    assert "git.head" not in origin_of(tmp_path).environment, "no commit yet"
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--message", "The first line\n\nand more")
    found = origin_of(tmp_path)
    (head,) = (tmp_path / ".git" / "refs" / "heads" / "main").read_text().split()
    expected = {
        "git.head": head,
        "git.headName": "refs/heads/main",
        "git.dirty": "false",
        "git.author": "Ada",
        "git.author.email": "ada@lab.example.org",
        "git.committer": "Bob",
        "git.committer.email": "bob@lab.example.org",
        "exec.kind": "labctl",
    }
    assert expected.items() <= dict(found.environment).items()
    assert found.title == "The first line"
    assert list(found.environment) == sorted(found.environment)
    (tmp_path / "other").write_text("two")
    assert origin_of(tmp_path).environment["git.dirty"] == "true", "a file that git does not know"
    (tmp_path / "other").unlink()
    git(tmp_path, "checkout", "--detach")
    assert origin_of(tmp_path).environment["git.headName"] == "HEAD"


def test_without_git_it_still_says_who_and_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = origin_of(tmp_path)
    assert found.title == ""
    assert found.environment["labctl.user"]
    assert found.environment["labctl.host"]
    assert not any(key.startswith("git.") for key in found.environment)


def test_a_run_of_continuous_integration_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_RUN_ID", "42")
    environment = origin_of(tmp_path).environment
    assert environment["ci.system"] == "GitHub Actions"
    assert environment["ci.build.id"] == "42"


def test_a_message_is_the_runs_own_or_the_revisions(tmp_path: Path, root: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--message", "The title")
    lab = open_lab("dev", root)
    assert about_later(tmp_path, lab.file, lab.cluster, "mine")().message == "mine"
    about = about_later(tmp_path, lab.file, lab.cluster, "")()
    assert about.message == "The title"
    assert "research-compute:cluster" in about.config


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(5, "5 s ago"), (61, "1 minute ago"), (7300, "2 hours ago"), (90_000, "1 day ago"), (-4, "0 s ago")],
)
def test_how_long_ago(seconds: int, told: str) -> None:
    now = datetime(2026, 11, 20, tzinfo=UTC)
    assert age(now - timedelta(seconds=seconds), now) == told


def test_times_and_revisions_are_whole_on_a_narrow_terminal(files: StackFiles) -> None:
    environment = {"labctl.user": "ada", "labctl.host": "a-machine-with-a-long-name", "git.head": "1f0c2ab4" * 5}
    run(files, state("one"), about=UpdateAbout(message="an exceptionally long reason", environment=environment))
    text = StringIO()
    runs = past_of(files)
    print_history(Console(file=text, width=80), "dev", runs, count=1, now=datetime.now(UTC))
    said = text.getvalue()
    assert f"{runs[0].start:%Y-%m-%d %H:%M}" in said
    assert "1f0c2ab4" in said
    assert "…" not in said
