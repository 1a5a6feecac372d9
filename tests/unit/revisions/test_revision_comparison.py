"""Two folders with a program, compared: what the plan has, and what the program can see."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from labctl.graph.values import Plain
from labctl.revisions import StackChange, compare_trees
from labctl.revisions.errors import RehearsalError

PROGRAM = ("__main__.py", "Pulumi.yaml", "Pulumi.dev.yaml", "Pulumi.test.yaml", "components", "stacks", "policies")
CANARY = "CANARY-of-the-environment"


@pytest.fixture(scope="module")
def program(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(root, tmp_path_factory.mktemp("program") / "base")


def copied(source: Path, target: Path) -> Path:
    target.mkdir()
    for name in PROGRAM:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (source / name).is_file():
            shutil.copy2(source / name, target / name)
    return target


def edited(program: Path, folder: Path, name: str, old: str, new: str) -> Path:
    target = copied(program, folder / "head")
    path = target / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    return target


def summary(change: StackChange) -> Mapping[str, Plain]:
    assert change.error is None
    return cast("Mapping[str, Plain]", change.preview["changeSummary"])


def steps(change: StackChange) -> list[dict[str, Plain]]:
    return cast("list[dict[str, Plain]]", change.preview["steps"])


def test_another_cluster_replaces_everything_that_its_provider_holds(program: Path, tmp_path: Path) -> None:
    head = edited(program, tmp_path, "Pulumi.dev.yaml", "name: sensorlab-dev", "name: sensorlab-other")
    found = summary(compare_trees(program, head, ["dev"])["dev"])
    assert isinstance(found["replace"], int)
    assert found["replace"] > 50


def test_a_kubeconfig_that_nobody_knows_is_no_change(program: Path) -> None:
    assert set(summary(compare_trees(program, program, ["dev"])["dev"])) == {"same"}


def test_protection_stops_no_plan_and_is_said(program: Path, tmp_path: Path) -> None:
    head = edited(program, tmp_path, "Pulumi.test.yaml", "name: notebooks, path", "name: lectures, path")
    change = compare_trees(program, head, ["test"])["test"]
    gone = [step for step in steps(change) if step["op"] == "delete"]
    assert [cast("dict[str, Plain]", step["oldState"]).get("protect") for step in gone] == [True, True]


def test_a_program_sees_nothing_of_the_environment(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "PULUMI_CONFIG_PASSPHRASE", "KUBECONFIG", "SSH_AUTH_SOCK"):
        monkeypatch.setenv(name, CANARY)
    seen = tmp_path / "seen.json"
    spy = f"import json, os\nopen({str(seen)!r}, 'w').write(json.dumps(dict(os.environ)))\n"
    head = edited(program, tmp_path, "__main__.py", "import pulumi\n", spy + "import pulumi\n")
    assert compare_trees(program, head, ["dev"])["dev"].error is None
    assert CANARY not in json.loads(seen.read_text()).values()


def test_a_program_that_ends_its_process_is_said_with_its_last_words(program: Path, tmp_path: Path) -> None:
    ends = "import os, sys\nsys.stderr.write('I give up')\nsys.stderr.flush()\nos._exit(3)\n"
    head = edited(program, tmp_path, "__main__.py", "import pulumi\n", ends)
    with pytest.raises(RehearsalError, match="I give up"):
        compare_trees(program, head, ["dev"])


def test_a_program_that_fails_is_an_error_of_its_stack(program: Path, tmp_path: Path) -> None:
    head = edited(program, tmp_path, "__main__.py", "import pulumi\n", "raise ValueError('no idea')\n")
    change = compare_trees(program, head, ["dev"])["dev"]
    assert change.error is not None
    assert "no idea" in change.error
    assert not change.preview
