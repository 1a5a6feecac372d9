"""The workflows of the check, as data, and their shell and script, run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest
import yaml
from review_repository import Repository, git

Object = dict[str, object]
BASH = shutil.which("bash") or "bash"
NAMES = ("preview", "preview-with-credentials", "review-comment")
PINNED = re.compile(r"^[\w-]+/[\w-]+@[0-9a-f]{40}$")


def workflow(root: Path, name: str) -> Object:
    loaded: object = yaml.load((root / ".github" / "workflows" / f"{name}.yml").read_text(), Loader=yaml.BaseLoader)  # noqa: S506 - `on` stays a text
    assert isinstance(loaded, dict)
    return cast("Object", loaded)


def steps(flow: Object) -> Iterator[Object]:
    for job in cast("dict[str, Object]", flow["jobs"]).values():
        yield from cast("list[Object]", job["steps"])


@pytest.mark.parametrize("name", NAMES)
def test_every_action_is_pinned_by_commit(root: Path, name: str) -> None:
    used = [str(step["uses"]) for step in steps(workflow(root, name)) if "uses" in step]
    assert used
    assert [each for each in used if not PINNED.match(each)] == []


@pytest.mark.parametrize("name", NAMES)
def test_nothing_from_outside_is_written_into_a_script(root: Path, name: str) -> None:
    for step in steps(workflow(root, name)):
        assert "${{" not in str(step.get("run", ""))
        assert "${{" not in str(cast("Object", step.get("with", {})).get("script", ""))


def test_permissions_are_the_least(root: Path) -> None:
    for name in NAMES[:2]:
        flow = workflow(root, name)
        assert flow["permissions"] == {"contents": "read"}
        assert all("permissions" not in job for job in cast("dict[str, Object]", flow["jobs"]).values())
    poster = workflow(root, "review-comment")
    assert poster["permissions"] == {}
    (job,) = cast("dict[str, Object]", poster["jobs"]).values()
    assert job["permissions"] == {"actions": "read", "pull-requests": "write"}


def test_what_runs_the_code_of_a_fork_has_no_secret(root: Path) -> None:
    text = (root / ".github" / "workflows" / "preview.yml").read_text()
    assert set(cast("Object", workflow(root, "preview")["on"])) == {"pull_request"}
    assert "secrets." not in text
    assert "github.token" not in text
    checkouts = [step for step in steps(workflow(root, "preview")) if "checkout" in str(step.get("uses"))]
    assert [cast("Object", step["with"])["persist-credentials"] for step in checkouts] == ["false"]


def test_what_has_secrets_is_of_this_repository_and_waits_for_somebody(root: Path) -> None:
    flow = workflow(root, "preview-with-credentials")
    (job,) = cast("dict[str, Object]", flow["jobs"]).values()
    assert job["environment"] == "preview"
    assert "github.event.pull_request.head.repo.full_name == github.repository" in str(job["if"])
    with_secrets = [step.get("name") for step in steps(flow) if "secrets." in str(step)]
    assert with_secrets == ["previews"]


def test_what_may_write_comments_runs_nothing_of_the_pull_request(root: Path) -> None:
    flow = workflow(root, "review-comment")
    assert set(cast("Object", flow["on"])) == {"workflow_run"}
    assert cast("Object", cast("Object", flow["on"])["workflow_run"])["workflows"] == list(NAMES[:2])
    assert all("run" not in step for step in steps(flow))
    assert {str(step["uses"]).partition("@")[0] for step in steps(flow)} == {
        "actions/github-script",
        "actions/download-artifact",
    }


def run_block(root: Path, flow: str, step: str) -> str:
    (found,) = (each for each in steps(workflow(root, flow)) if each.get("name") == step)
    return str(found["run"])


@pytest.fixture(scope="session")
def checkout(repository: Repository, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout as the workflow has it: the merge of a branch that renames a volume of ``test``."""
    folder = tmp_path_factory.mktemp("checkout") / "project"
    git(root, "clone", "--quiet", str(repository.folder), str(folder))
    git(folder, "checkout", "--quiet", "-b", "change")
    path = folder / "Pulumi.test.yaml"
    path.write_text(path.read_text().replace("name: notebooks, path", "name: lectures, path"))
    git(folder, "commit", "--quiet", "--all", "--message", "lectures")
    git(folder, "checkout", "--quiet", "main")
    git(folder, "merge", "--quiet", "--no-ff", "--message", "merge", "change")
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(sys.executable)
    labctl = binaries / "labctl"
    # Only one stack: the others would come out untouched, and cost their time.
    labctl.write_text(
        f'#!/bin/sh\nexport PYTHONPATH={root}\nexec {sys.executable} -P -m labctl "$@" $ONLY\n', encoding="utf-8"
    )
    labctl.chmod(0o755)
    return folder


def run_review(root: Path, checkout: Path, flow: str, body: object, **environment: str) -> tuple[int, Path]:
    event = checkout / "event.json"
    event.write_text(json.dumps({"pull_request": {"body": body}}), encoding="utf-8")
    summary = checkout / "summary.md"
    done = subprocess.run(
        [BASH, "--noprofile", "--norc", "-eo", "pipefail", "-c", run_block(root, flow, "review")],
        cwd=checkout,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(checkout.parent),
            "NUMBER": "12",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_STEP_SUMMARY": str(summary),
        }
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, checkout / "review"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (None, 4),
        ("$(touch oops) `touch oops`\n<!-- allow-destroy: * -->", 4),
        ("allow-destroy test: *::hub-notebooks-*\r\n", 0),
    ],
)
def test_the_step_of_the_check_writes_comment_and_verdict(root: Path, checkout: Path, body: object, code: int) -> None:
    ended, folder = run_review(root, checkout, "preview", body, ONLY="--stack test")
    assert ended == code
    assert (folder / "verdict").read_text() == str(code)
    assert (folder / "number").read_text() == "12"
    comment = (folder / "comment.md").read_text(encoding="utf-8")
    assert comment.startswith("<!-- labctl review: revisions -->\n")
    assert ("not named" in comment) is bool(code)
    assert not (checkout / "oops").exists()


def test_the_step_with_credentials_reviews_previews_and_forgets_them(root: Path, checkout: Path) -> None:
    previews = checkout / "previews"
    previews.mkdir()
    for stack in ("test", "prod"):
        urn = f"urn:pulumi:{stack}::research-compute::kubernetes:core/v1:Namespace::n"
        state: Object = {"urn": urn, "type": "kubernetes:core/v1:Namespace", "custom": True, "id": "n", "inputs": {}}
        document: Object = {"steps": [{"op": "delete", "urn": urn, "oldState": state}], "changeSummary": {"delete": 1}}
        (previews / f"{stack}.json").write_text(json.dumps(document), encoding="utf-8")
    ended, folder = run_review(root, checkout, "preview-with-credentials", "allow-destroy test: *", STACKS="test prod")
    assert ended == 4
    comment = (folder / "comment.md").read_text(encoding="utf-8")
    assert comment.startswith("<!-- labctl review: previews -->\n")
    assert "named by `allow-destroy test: *`" in comment
    assert comment.count("**not named**") == 1
    assert not previews.exists()


HARNESS = """
const [folder, given] = [process.argv[2], JSON.parse(process.argv[3])];
process.env.FOLDER = folder;
const said = [];
const core = { notice: (t) => said.push(["notice", t]), setFailed: (t) => said.push(["failed", t]) };
const calls = [];
const issues = {
  listComments: "comments",
  updateComment: async (a) => calls.push(["update", a]),
  createComment: async (a) => calls.push(["create", a]),
};
const github = {
  rest: { issues, pulls: { get: async (a) => ({ data: given.pull }) } },
  paginate: async () => given.comments,
};
const context = { repo: { owner: "o", repo: "r" }, payload: { workflow_run: given.run } };
(async () => {
  await (async () => { SCRIPT })();
  console.log(JSON.stringify({ said, calls }));
})();
"""
MARKER = "<!-- labctl review: revisions -->"
OPEN = {"sha": "a" * 40, "state": "open"}


def posted(
    root: Path,
    folder: Path,
    files: Mapping[str, str],
    pull: Mapping[str, str] = OPEN,
    comments: object = (),
    **about: object,
) -> Object:
    """Return what the script that makes the comment does with these files of an artifact."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here, which runs the workflow's script")
    (found,) = (step for step in steps(workflow(root, "review-comment")) if step.get("name") == "one comment")
    harness = folder / "harness.js"
    harness.write_text(HARNESS.replace("SCRIPT", str(cast("Object", found["with"])["script"])), encoding="utf-8")
    artifact = folder / "artifact"
    artifact.mkdir(exist_ok=True)
    for name, text in files.items():
        (artifact / name).write_text(text, encoding="utf-8")
    run = {
        "name": "preview",
        "head_sha": "a" * 40,
        "head_repository": {"id": 7},
        "html_url": "https://example.org/run",
        "conclusion": "failure",
        "repository": {"id": 1},
        **about,
    }
    given = {
        "pull": {"head": {"sha": pull["sha"], "repo": {"id": 7}}, "state": pull["state"]},
        "comments": comments,
        "run": run,
    }
    done = subprocess.run(
        [node, str(harness), str(artifact), json.dumps(given)], capture_output=True, text=True, check=True
    )
    return cast("Object", json.loads(done.stdout))


GOOD = {
    "number": "12",
    "comment.md": f"{MARKER}\n## One\n\n<details><summary>x</summary>\n\nimage@sha256:ab\n\n</details>\n",
}


def test_a_comment_is_made_once_and_then_kept_up_to_date(root: Path, tmp_path: Path) -> None:
    ((how, call),) = cast("list[tuple[str, Object]]", posted(root, tmp_path, GOOD)["calls"])
    assert how == "create"
    assert call["issue_number"] == 12
    body = str(call["body"])
    assert body.startswith(MARKER)
    assert "<details><summary>x</summary>" in body
    assert "image@sha256:ab" in body
    assert "failure" in body
    mine = {"id": 5, "user": {"login": "github-actions[bot]"}, "body": body}
    others = {"id": 4, "user": {"login": "somebody"}, "body": body}
    ((how, call),) = cast("list[tuple[str, Object]]", posted(root, tmp_path, GOOD, comments=[others, mine])["calls"])
    assert (how, call["comment_id"]) == ("update", 5)


@pytest.mark.parametrize(
    "files",
    [
        {"number": "12; x"},
        {"number": "0"},
        {"number": ""},
        {"comment.md": "hello"},
        {"comment.md": MARKER + "\n" + "x" * 60_001},
        {"comment.md": "<!-- labctl review: previews -->\nx"},
    ],
)
def test_an_artifact_of_another_shape_makes_no_comment(root: Path, tmp_path: Path, files: Mapping[str, str]) -> None:
    done = posted(root, tmp_path, {**GOOD, **files})
    assert done["calls"] == []
    assert [how for how, _ in cast("list[tuple[str, str]]", done["said"])] == ["failed"]


def test_the_number_counts_only_for_the_commit_that_was_run(root: Path, tmp_path: Path) -> None:
    assert posted(root, tmp_path, GOOD, OPEN | {"sha": "b" * 40})["calls"] == []
    assert posted(root, tmp_path, GOOD, OPEN | {"state": "closed"})["calls"] == []


def test_a_hostile_artifact_pings_and_links_nobody(root: Path, tmp_path: Path) -> None:
    text = (
        f"{MARKER}\n@everyone <a href=x>y</a> ![p](https://evil.example/x.png) <!-- x --> [l](https://evil.example)\n"
    )
    ((_, call),) = cast("list[tuple[str, Object]]", posted(root, tmp_path, GOOD | {"comment.md": text})["calls"])
    body = str(call["body"]).partition("<sub>")[0]
    for piece in ("@everyone", "<a", "](", "<!-- x"):
        assert piece not in body


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example",
        "WWW.evil.example",
        "[here]\n\n[here]: /settings",
        "&#64;everyone",
        "&#x40;everyone",
        "&commat;everyone",
        "fixes #12",
        "other/repository#12",
        "GH-12",
    ],
)
def test_a_hostile_text_is_no_link_either(root: Path, tmp_path: Path, text: str) -> None:
    files = GOOD | {"comment.md": f"{MARKER}\n{text} `a &lt; b` oci\n"}
    ((_, call),) = cast("list[tuple[str, Object]]", posted(root, tmp_path, files)["calls"])
    body = str(call["body"]).partition("<sub>")[0]
    assert text not in body
    assert body.replace("\u200b", "").strip() == files["comment.md"].strip(), "and it reads the same"
    assert "&lt;" in body


def test_a_fork_has_no_previews_with_credentials(root: Path, tmp_path: Path) -> None:
    files = GOOD | {"comment.md": "<!-- labctl review: previews -->\n## Nothing changes\n"}
    name = "preview-with-credentials"
    assert posted(root, tmp_path, files, name=name)["calls"] == []
    assert len(cast("list[object]", posted(root, tmp_path, files, name=name, repository={"id": 7})["calls"])) == 1
