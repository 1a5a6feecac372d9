"""What a shell offers: by the protocol, in a real bash, and soon enough for a person who waits."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

LABCTL = Path(sys.executable).parent / "labctl"
SLOW = (
    "pulumi",
    "pydantic_core._fake",
    "labctl.engine",
    "labctl.lab",
    "labctl.control_plane",
    "boto3",
    "google.protobuf",
)
"""What no completion may load."""


def complete(shell: str, line: str, folder: Path, **variables: str) -> list[str]:
    """Return what is offered after `line`, by the protocol of the shells."""
    words = line.split(" ")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "_LABCTL_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        **variables,
    }
    answer = subprocess.run([str(LABCTL)], cwd=folder, env=environment, check=False, capture_output=True, text=True)
    assert "Traceback" not in answer.stderr, answer.stderr
    return [line for line in answer.stdout.splitlines() if line]


@pytest.fixture
def filled(project: Path) -> Path:
    """Return a project whose dev stack has outputs, a lock and a history."""
    place = project / ".lab" / "state" / ".pulumi"
    stack = {"urn": "urn:pulumi:dev::research-compute::pulumi:pulumi:Stack::s", "type": "pulumi:pulumi:Stack"}
    one = {"urn": "urn:pulumi:dev::research-compute::kubernetes:core/v1:Namespace::hub", "type": "kubernetes:x:y"}
    deployment = {"resources": [{**stack, "outputs": {"hubUrl": "x", "hubName": "y", "cluster": "z"}}, one]}
    for name, content in {
        "stacks/research-compute/dev.json": {"version": 3, "checkpoint": {"latest": deployment}},
        "locks/organization/research-compute/dev/1f2e-33.json": {"pid": 1},
        "history/research-compute/dev/dev-1.history.json": {},
        "history/research-compute/dev/dev-2.history.json": {},
    }.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return project


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("labctl hist", ["history"]),
        ("labctl up --stack ", ["dev", "next", "prod", "test"]),
        ("labctl up -s p", ["prod"]),
        ("labctl outputs --stack dev hub", ["hubName", "hubUrl"]),
        ("labctl outputs ", ["cluster", "hubName", "hubUrl"]),
        ("labctl outputs --stack prod ", []),
        ("labctl history --show ", ["2", "1"]),
        ("labctl up --ref", ["--refresh"]),
        ("labctl hosts k", ["keys"]),
        ("labctl unlock ", ["1f2e-33"]),
    ],
)
def test_bash_is_offered_what_there_is(filled: Path, line: str, offered: list[str]) -> None:
    assert complete("bash", line, filled) == offered


def test_what_may_be_destroyed_is_a_urn_of_the_state(filled: Path) -> None:
    line = "labctl destroy --allow-destroy urn:pulumi:dev::research-compute::k"
    assert complete("bash", line, filled) == ["urn:pulumi:dev::research-compute::kubernetes:core/v1:Namespace::hub"]


def test_the_hosts_of_a_stack_are_those_of_its_file(filled: Path) -> None:
    hosts = complete("bash", "labctl drift --stack prod --host ", filled)
    config = yaml.safe_load((filled / "Pulumi.prod.yaml").read_text())["config"]
    cluster = config.get("research-compute:cluster") or config["cluster"]
    assert hosts == sorted(cluster["nodes"]["hosts"])


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_zsh_and_fish_are_offered_the_same(filled: Path, shell: str) -> None:
    offered = " ".join(complete(shell, "labctl up --stack ", filled))
    assert all(stack in offered for stack in ("dev", "next", "prod", "test"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_script(tmp_path: Path, shell: str) -> None:
    source = complete(shell, "", tmp_path, _LABCTL_COMPLETE=f"source_{shell}")
    text = "\n".join(source)
    assert "_LABCTL_COMPLETE" in text
    assert f"complete_{shell}" in text


def test_nothing_is_offered_outside_a_project(tmp_path: Path) -> None:
    assert complete("bash", "labctl up --stack ", tmp_path) == []
    assert complete("bash", "labctl outputs ", tmp_path) == []


def test_a_broken_state_offers_nothing_and_says_nothing(filled: Path) -> None:
    (filled / ".lab/state/.pulumi/stacks/research-compute/dev.json").write_text("{broken")
    assert complete("bash", "labctl outputs ", filled) == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
def test_a_real_bash_completes_the_stack(filled: Path) -> None:
    script = "\n".join(complete("bash", "", filled, _LABCTL_COMPLETE="source_bash"))
    session = f"""
{script}
complete -p labctl >/dev/null || exit 9
COMP_WORDS=(labctl preview --stack p); COMP_CWORD=3; COMP_LINE="labctl preview --stack p"; COMP_POINT=${{#COMP_LINE}}
function_of=$(complete -p labctl | sed -n 's/.*-F \\([^ ]*\\) .*/\\1/p')
"$function_of" labctl p --stack
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    environment = {"PATH": f"{LABCTL.parent}:{os.environ['PATH']}", "HOME": str(filled)}
    answer = subprocess.run(
        ["bash", "--norc", "-c", session],  # noqa: S607 - the machine's own bash
        cwd=filled,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == ["prod"]


def test_it_is_installed_by_the_option_of_that_name(tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }
    answer = subprocess.run(
        [str(LABCTL), "--install-completion", "bash"],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert ".bash_completions/labctl.sh" in (tmp_path / ".bashrc").read_text()
    assert "_LABCTL_COMPLETE" in (tmp_path / ".bash_completions" / "labctl.sh").read_text()


def test_a_completion_loads_nothing_slow(filled: Path) -> None:
    program = (
        "import sys, atexit\n"
        f"slow = {SLOW!r}\n"
        "atexit.register(lambda: sys.stderr.write(' '.join(n for n in sys.modules if n.startswith(slow))))\n"
        "from labctl.__main__ import main\nmain()\n"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(filled),
        "_LABCTL_COMPLETE": "complete_bash",
        "COMP_WORDS": "labctl outputs ",
        "COMP_CWORD": "2",
    }
    path = filled / "labctl"
    path.write_text(program)
    answer = subprocess.run(
        [sys.executable, str(path)], cwd=filled, env=environment, check=False, capture_output=True, text=True
    )
    assert "hubUrl" in answer.stdout
    loaded = [name for name in answer.stderr.split() if name not in {"pulumi.automation", "pulumi.dynamic"}]
    assert loaded == [], "put the import into the function that needs it"
