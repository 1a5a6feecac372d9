"""Two people who apply at once, and locks that outlive who held them: real processes of the command line."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from labctl.exit_codes import ExitCode

ROOT: Final = Path(__file__).parents[2]
STACK_FILE: Final = ROOT / "tests" / "unit" / "data" / "config" / "bare-metal.happy.yaml"
PROGRAM: Final = '''"""Something drawn, and a command that lasts until somebody says go."""

from pulumi_command import local
from pulumi_random import RandomId

RandomId("drawn", byte_length=2)
local.Command("slow", create="echo made >> log; while [ ! -e go ]; do sleep 0.05; done")
'''
SECONDS: Final = 90.0
"""Longest that anything here may take on a busy machine."""
PAUSE_SECONDS: Final = 0.05


@dataclass
class Project:
    """A folder with a stack, and the runs of labctl on it."""

    folder: Path
    runs: list[subprocess.Popen[str]] = field(default_factory=list[subprocess.Popen[str]])

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``labctl`` with `arguments`."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PULUMI_CONFIG_PASSPHRASE": "two"}
        run = subprocess.Popen(
            [sys.executable, "-m", "labctl", *arguments, "--stack", "prod"],
            cwd=self.folder,
            env=environment | {"PYTHONPATH": str(ROOT), "COLUMNS": "400"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.runs.append(run)
        return run

    def up(self) -> tuple[int, str]:
        """Run ``labctl up`` to its end; return its exit code and what it said."""
        run = self.start("up", "--yes")
        said, _ = run.communicate(timeout=SECONDS)
        return run.returncode, said

    def await_command(self) -> None:
        """Return when the command has begun."""
        deadline = time.monotonic() + SECONDS
        while not (self.folder / "log").exists():
            assert time.monotonic() < deadline, "the command was never begun"
            time.sleep(PAUSE_SECONDS)

    def go(self) -> None:
        """Let the command end."""
        (self.folder / "go").touch()

    @property
    def locks(self) -> list[Path]:
        return list((self.folder / ".lab" / "state").glob(".pulumi/locks/**/*.json"))


@pytest.fixture
def project(tmp_path: Path) -> Generator[Project]:
    shutil.copy(ROOT / "Pulumi.yaml", tmp_path)
    shutil.copy(STACK_FILE, tmp_path / "Pulumi.prod.yaml")
    (tmp_path / "__main__.py").write_text(PROGRAM, encoding="utf-8")
    made = Project(tmp_path)
    yield made
    made.go()
    for run in made.runs:
        if run.poll() is None:
            run.kill()
            run.communicate()


def test_of_two_at_once_one_works_and_the_other_is_told_who_does(project: Project) -> None:
    first = project.start("up", "--yes")
    project.await_command()
    code, said = project.up()
    assert code == ExitCode.LOCKED, said
    assert re.search(rf"is locked by .*\n.*\(pid {first.pid}\), since .* ago\); that process runs", said)
    assert re.search(r"labctl unlock \S+ --stack prod", said)
    project.go()
    said, _ = first.communicate(timeout=SECONDS)
    assert first.returncode == ExitCode.OK, said
    code, said = project.up()
    assert (code, "Nothing to do" in said) == (ExitCode.OK, True), said
    assert (project.folder / "log").read_text(encoding="utf-8") == "made\n"
    assert project.locks == []


def test_two_started_together_never_both_work(project: Project) -> None:
    runs = [project.start("up", "--yes") for _ in range(2)]
    deadline = time.monotonic() + SECONDS
    while all(run.poll() is None for run in runs):
        assert time.monotonic() < deadline, "neither was refused"
        time.sleep(PAUSE_SECONDS)
    project.go()
    said = [run.communicate(timeout=SECONDS)[0] for run in runs]
    codes = sorted(run.returncode for run in runs)
    # Who comes while the other is just looking is refused as well: each may see the other's lock.
    assert codes in ([ExitCode.OK, ExitCode.LOCKED], [ExitCode.LOCKED, ExitCode.LOCKED]), said
    code, text = project.up()
    assert code == ExitCode.OK, text
    assert ("Nothing to do" in text) is (ExitCode.OK in codes), text
    assert (project.folder / "log").read_text(encoding="utf-8") == "made\n"
    assert project.locks == []


def test_a_killed_runs_lock_is_released_by_the_next_on_the_same_machine(project: Project) -> None:
    first = project.start("up", "--yes")
    project.await_command()
    assert len(project.locks) == 1
    first.kill()
    first.communicate()
    project.go()
    code, said = project.up()
    assert code == ExitCode.OK, said
    assert "released the lock of a process that is no more" in said
    # What became of the command nobody knows: it was run again.
    assert (project.folder / "log").read_text(encoding="utf-8") == "made\nmade\n"
    code, said = project.up()
    assert (code, "Nothing to do" in said) == (ExitCode.OK, True), said


def test_another_machines_lock_is_freed_only_by_name(project: Project) -> None:
    project.go()
    folder = project.folder / ".lab" / "state" / ".pulumi" / "locks" / "organization" / "research-compute" / "prod"
    folder.mkdir(parents=True)
    since = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    lock = {"pid": 1, "username": "ada", "hostname": "elsewhere.example", "timestamp": since}
    (folder / "0a1b.json").write_text(json.dumps(lock), encoding="utf-8")
    code, said = project.up()
    assert code == ExitCode.LOCKED, said
    assert re.search(r"ada@elsewhere\.example \(pid 1\), since .*2 hours ago", said), said
    assert not (project.folder / "log").exists()
    wrong = project.start("unlock", "another")
    said, _ = wrong.communicate(timeout=SECONDS)
    assert wrong.returncode != ExitCode.OK, said
    assert len(project.locks) == 1
    freed = project.start("unlock", "0a1b")
    said, _ = freed.communicate(timeout=SECONDS)
    assert freed.returncode == ExitCode.OK, said
    code, said = project.up()
    assert code == ExitCode.OK, said
