"""The command itself: two revisions in, a comment and a code out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pull_requests import substituted
from review_repository import Repository

from labctl.cli import run
from labctl.exit_codes import ExitCode

EDIT = substituted("Pulumi.test.yaml", "name: notebooks, path", "name: lectures, path")


@pytest.fixture
def inside(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> Path:
    repository.branch("verb", EDIT)
    monkeypatch.chdir(repository.folder)
    return repository.folder


def test_two_revisions_become_one_comment_and_one_document(
    inside: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    comment = tmp_path / "comment.md"
    asked = ("review", "--base", "main", "--head", "verb", "--stack", "test", "--output", str(comment), "--json")
    assert run(asked) == ExitCode.REFUSED
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["exitCode"] == ExitCode.REFUSED
    assert document["passes"] is False
    (stack,) = document["stacks"]
    assert [item["namedBy"] for item in stack["destroyed"]] == [None, None]
    assert stack["counts"] == {"create": 2, "delete": 2, "update": 2}
    text = comment.read_text(encoding="utf-8")
    assert text.startswith("<!-- labctl review: revisions -->\n")
    assert "labctl review --base main --head verb --json" not in text, "nothing was left out"
    description = tmp_path / "description.md"
    description.write_text("".join(f"allow-destroy: {item['urn']}\n" for item in stack["destroyed"]), encoding="utf-8")
    assert run((*asked[:-1], "--description", str(description))) == ExitCode.OK
    assert "(all named)" in comment.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "say what is reviewed"),
        (("--head", "main"), "say what is reviewed"),
        (("--base", "main", "--preview", "x=test"), "say what is reviewed"),
        (("--preview", "x.json"), "which stack is it of"),
        (("--preview", "nowhere.json=test"), "nowhere.json"),
        (("--base", "main", "--description", "nowhere.md"), "nowhere.md"),
        (("--base", "nowhere"), "there is no revision 'nowhere'"),
        (("--base", "main", "--head", "main", "--stack", "nowhere"), "there is no Pulumi.nowhere.yaml"),
    ],
)
def test_what_is_not_understood_is_said(
    inside: Path, arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(("review", *arguments)) == ExitCode.USAGE
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_preview_of_ours_is_read_like_the_official_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}/state")
    assert run(("preview", "--stack", "dev", "--json")) == ExitCode.OK
    (tmp_path / "dev.json").write_text(capsys.readouterr().out, encoding="utf-8")
    assert run(("review", "--preview", f"{tmp_path}/dev.json=dev", "--json")) == ExitCode.OK
    (stack,) = json.loads(capsys.readouterr().out)["stacks"]
    assert stack["policies"]["newlyBroken"] == []
    assert stack["policies"]["newlyExcused"], "the exceptions of this project hold for a preview, too"
    summary = json.loads((tmp_path / "dev.json").read_text(encoding="utf-8"))["changeSummary"]
    assert stack["counts"] == summary


def test_a_wrong_file_of_exceptions_is_said_and_one_that_is_mended_passes(
    inside: Path, repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.branch("wrong", substituted("policies/exceptions.yaml", "rule: no-host-path", "rule: no-hostpath"))
    asked = ("review", "--base", "main", "--head", "wrong", "--stack", "dev")
    assert run(asked) == ExitCode.INVALID
    assert "there is no rule 'no-hostpath'" in " ".join(capsys.readouterr().err.split())
    assert run(("review", "--base", "wrong", "--head", "main", "--stack", "dev")) == ExitCode.OK


def test_an_engine_that_printed_nothing_fails_and_hides_no_other_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    (tmp_path / "prod.json").write_text("", encoding="utf-8")
    (tmp_path / "test.json").write_text('{"changeSummary": {"same": 3}}', encoding="utf-8")
    given = [f"--preview={tmp_path}/{stack}.json={stack}" for stack in ("prod", "test")]
    assert run(("review", *given)) == ExitCode.FAILED
    comment = capsys.readouterr().out
    assert "no preview was printed" in comment
    assert "Not touched: `test` (3 resources as they are)" in comment
