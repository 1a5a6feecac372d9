"""The real project's pins promoted, in a copy of it in git, from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pin_texts import bumped, git

from labctl.cli import run
from labctl.exit_codes import ExitCode
from labctl.promotion.errors import ChangedMeanwhileError
from labctl.promotion.pins import read_pins
from labctl.promotion.repository import write_at_once

PROD = "stacks/pins/prod.yaml"


def changed_files(project: Path) -> list[str]:
    return git(project, "status", "--porcelain").split()[1::2]


def test_from_a_command_to_a_commit(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    old = read_pins(project, "prod")
    assert run(["promote", "test", "prod", "--commit", "--message", "said.txt"]) == ExitCode.OK
    said = (project / "said.txt").read_text()
    assert said == capfd.readouterr().out
    assert git(project, "log", "-1", "--format=%B").strip() == said.strip()
    assert git(project, "show", "--name-only", "--format=").split() == [PROD]
    kubernetes = old["kubernetes"].version
    new = read_pins(project, "prod")
    assert new["kubernetes"].version == bumped(kubernetes, 2)
    assert new["charts/jupyterhub"] == old["charts/jupyterhub"]
    assert f"kubeadm {bumped(kubernetes, 2)[1:]} runs" in (project / PROD).read_text()
    assert "What it changes in prod" in said
    assert "run kubernetes, control-plane, version" in said
    assert f"Kubernetes  {kubernetes} -> {bumped(kubernetes, 2)}  (patch)" in said
    assert "labctl promote test prod --major --only charts/jupyterhub" in said
    assert run(["promote", "test", "prod"]) == ExitCode.OK
    assert "nothing to promote from test to prod" in capfd.readouterr().out


def test_a_dry_run_of_a_major_version_names_the_values_and_writes_nothing(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = ["promote", "test", "prod", "--major", "--only", "charts/jupyterhub", "--json", "--dry-run"]
    assert run(asked) == ExitCode.OK
    shape = json.loads(capfd.readouterr().out)
    assert [move["name"] for move in shape["moves"]] == ["charts/jupyterhub"]
    assert [kept["name"] for kept in shape["kept"]] == ["Kubernetes"]
    assert "labctl charts --stack prod" in shape["message"]
    releases = {release["chart"]: release for release in shape["stacks"][0]["releases"]}
    old = read_pins(project, "prod")["charts/jupyterhub"].version
    assert (releases["jupyterhub"]["from"], releases["jupyterhub"]["to"]) == (old, bumped(old, 0))
    assert shape["written"] is False
    assert changed_files(project) == []


def test_somebodys_work_in_the_file_is_not_mixed_up(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with (project / PROD).open("a") as file:
        file.write("# Ada is at work here.\n")
    mine = (project / PROD).read_bytes()
    assert run(["promote", "test", "prod"]) == ExitCode.REFUSED
    assert "not committed" in capfd.readouterr().err
    assert (project / PROD).read_bytes() == mine


def test_a_source_that_is_not_valid_is_refused(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = project / "stacks/pins/test.yaml"
    text = path.read_text()
    path.write_text(text.replace("kubernetes: v1", "kubernetes: v9", 1))
    assert run(["promote", "test", "prod"]) == ExitCode.INVALID
    assert "is not sound" in capfd.readouterr().err
    path.write_text(text.replace("kubernetes: v1", "kubernetes: latest # v1", 1))
    assert run(["promote", "test", "prod"]) == ExitCode.INVALID
    assert "stacks/pins/test.yaml" in capfd.readouterr().err
    assert changed_files(project) == ["stacks/pins/test.yaml"]


@pytest.mark.parametrize("pair", [("next", "prod"), ("dev", "next"), ("prod", "test"), ("staging", "prod")])
def test_no_other_way(project: Path, pair: tuple[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["promote", *pair]) == ExitCode.REFUSED
    assert "labctl promote" in capfd.readouterr().err
    assert changed_files(project) == []


def test_pins_side_by_side(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["pins", "--json"]) == ExitCode.OK
    shape = json.loads(capfd.readouterr().out)
    assert shape["environments"] == ["dev", "next", "test", "prod"]
    rows = {row["pin"]: row for row in shape["pins"]}
    assert rows["kubernetes"]["differs"] is True
    assert rows["kubernetes"]["versions"]["test"] == read_pins(project, "test")["kubernetes"].version
    assert run(["pins", "--stack", "prod"]) == ExitCode.OK
    out = capfd.readouterr().out
    assert "prod" in out
    assert "test" not in out.splitlines()[0]
    assert run(["pins", "--stack", "staging"]) == ExitCode.USAGE


def test_a_file_that_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "prod.yaml"
    path.write_text("theirs\n")
    with pytest.raises(ChangedMeanwhileError):
        write_at_once(path, "ours\n", expected="as it was\n")
    assert path.read_text() == "theirs\n"
    assert [found.name for found in tmp_path.iterdir()] == ["prod.yaml"]


@pytest.mark.parametrize("moment", ["os.fsync", "shutil.copymode", "pathlib.Path.replace"])
def test_killed_at_any_moment_leaves_the_old_file(tmp_path: Path, moment: str) -> None:
    path = tmp_path / "prod.yaml"
    path.write_text("old\n")
    path.chmod(0o640)
    code = (
        "import os, pathlib, shutil, signal\n"
        "from labctl.promotion.repository import write_at_once\n"
        f"{moment} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"write_at_once(pathlib.Path({str(path)!r}), 'new', expected='old\\n')\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old\n"
    write_at_once(path, "new\n", expected="old\n")
    assert path.read_text() == "new\n"
    assert path.stat().st_mode & 0o777 == 0o640
