"""What a real run leaves behind: its log, its entry in the history, its JSON; and what a no-op pays for that."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from pathlib import Path

import pytest
from lab_copy import LabCopy
from lab_facts import Undisturbed

MESSAGE = "Bring the lab up for the tests"


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@lab.example.org", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def repository(project_copy: LabCopy) -> str:
    """Make the copy a repository and return its revision."""
    git(project_copy.root, "init", "--initial-branch", "main")
    git(project_copy.root, "add", "--all")
    git(project_copy.root, "commit", "--quiet", "--message", "All of the lab\n\nin one commit")
    return git(project_copy.root, "rev-parse", "HEAD")


def latest_log(lab: LabCopy) -> Path:
    return Path(lab.well("logs", "--path").out.strip())


def test_a_run_is_in_the_history_in_the_official_shape_and_in_a_log(project_copy: LabCopy, repository: str) -> None:
    lab = project_copy
    up = lab.well("up", "--yes", "--json", "--message", MESSAGE)
    done = up.json
    assert done["result"] == "succeeded"
    assert done["changeSummary"]["create"] == len([step for step in done["steps"] if step["op"] == "create"])
    assert done["changeSummary"]["create"] > 100
    assert done["outputs"]["environment"] == "dev"

    (entry,) = json.loads(lab.well("history", "--json").out)
    assert entry["version"] == 1
    assert (entry["kind"], entry["result"], entry["message"]) == ("update", "succeeded", MESSAGE)
    assert entry["resourceChanges"] == done["changeSummary"]
    environment = entry["environment"]
    assert environment["git.head"] == repository
    assert environment["git.dirty"] == "false"
    assert environment["exec.kind"] == "labctl"
    assert entry["config"]["research-compute:cluster"]["objectValue"]["nodes"]
    stored = sorted((lab.state.parents[2] / "history" / "research-compute" / "dev").glob("*.history.json"))
    assert len(stored) == 1
    assert set(json.loads(stored[0].read_bytes())) == {
        "kind",
        "startTime",
        "message",
        "environment",
        "config",
        "version",
        "result",
        "endTime",
        "resourceChanges",
    }

    log = latest_log(lab)
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{6}Z-up-\d+\.log", log.name)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    said = log.read_text()
    created = [step["urn"] for step in done["steps"] if step["op"] == "create"]
    custom = [urn for urn in created if f"begin create {urn}\n" in said]
    assert len(custom) > 90
    assert all(re.search(rf"done create {re.escape(urn)} \(\d+\.\d\d\ds\)", said) for urn in custom)
    assert MESSAGE not in said
    assert f"git: {repository} refs/heads/main\n" in said
    assert said.splitlines()[-1].split(" ", 1)[1].startswith("ended with exit code 0 after ")


def test_a_no_op_is_in_the_history_with_its_counts_and_pays_little_for_its_log(
    project_copy: LabCopy, repository: str, undisturbed: Undisturbed
) -> None:
    lab = project_copy
    (lab.root / "untracked.txt").write_text("of nobody's")
    again = lab.well("up", "--yes", "--json").json
    assert again["changeSummary"].keys() == {"same"}
    newest = json.loads(lab.well("history", "--json", "--limit", "1").out)[0]
    assert newest["resourceChanges"] == again["changeSummary"]
    assert newest["message"] == "All of the lab"
    assert newest["environment"]["git.dirty"] == "true"
    (lab.root / "untracked.txt").unlink()
    said = latest_log(lab).read_text().splitlines()
    assert len(said) < 30
    changed = json.loads(lab.well("history", "--diff", "--json").out)
    assert changed["changes"] == []
    first = json.loads(lab.well("history", "--diff", "--show", "1", "--json").out)
    assert len(first["changes"]) > 100


def test_a_failed_run_says_where_its_log_is(project_copy: LabCopy, undisturbed: Undisturbed) -> None:
    lab = project_copy
    text = lab.file.read_text()
    lab.file.write_text(text.replace("simulated: true", "simulated: 17", 1))
    failed = lab.run("up", "--yes", "--json")
    lab.file.write_text(text)
    assert failed.code == 3
    assert failed.out == ""
    error = json.loads(failed.err.splitlines()[-1])["error"]
    assert (error["code"], error["name"]) == (3, "INVALID")
    assert "simulated" in Path(error["log"]).read_text()
    runs = json.loads(lab.well("logs", "--json").out)
    assert runs[0]["exitCode"] == 3
    plain = lab.run("destroy")
    assert plain.code == 1, "nobody to ask"
    assert f"log: {latest_log(lab)}" in plain.err


def test_json_without_yes_changes_nothing(project_copy: LabCopy, undisturbed: Undisturbed) -> None:
    lab = project_copy
    before = lab.state.read_bytes()
    refused = lab.run("destroy", "--json")
    assert refused.code == 2
    assert "say --yes" in json.loads(refused.err.splitlines()[-1])["error"]["message"]
    assert lab.state.read_bytes() == before


def test_a_folder_of_logs_that_cannot_be_written_stops_nobody(project_copy: LabCopy, undisturbed: Undisturbed) -> None:
    lab = project_copy
    logs = lab.root / ".lab" / "logs"
    kept = logs.rename(logs.with_name("logs-kept"))
    logs.write_text("not a folder")
    up = lab.well("up", "--yes")
    logs.unlink()
    kept.rename(logs)
    assert "Nothing to do" in up.out
    assert "this run has no whole log" in up.err


def test_what_exists_is_drawn(project_copy: LabCopy, undisturbed: Undisturbed, tmp_path: Path) -> None:
    lab = project_copy
    lab.well("graph", "--state", "--output", str(tmp_path / "state.svg"))
    lab.well("graph", "--program", "--output", str(tmp_path / "program.svg"))
    assert (tmp_path / "state.svg").read_text() == (tmp_path / "program.svg").read_text()
    lab.well("graph", "--plan", "--output", str(tmp_path / "plan.svg"))
    assert "nothing changes" in (tmp_path / "plan.svg").read_text()
    png = lab.run("graph", "--output", str(tmp_path / "picture.png"))
    assert png.code == 2
    assert ".svg" in png.err


def test_destruction_is_in_the_history_too(project_copy: LabCopy, undisturbed: Undisturbed) -> None:
    lab = project_copy
    gone = lab.well("destroy", "--yes", "--json", "-m", "The end").json
    assert gone["changeSummary"]["delete"] > 100
    newest = json.loads(lab.well("history", "--json", "--limit", "1").out)[0]
    assert (newest["kind"], newest["message"]) == ("destroy", "The end")
    stopped = lab.well("down", "--json").json
    assert "etcd" in stopped["stopped"]
    assert "The end" in lab.well("history").out
