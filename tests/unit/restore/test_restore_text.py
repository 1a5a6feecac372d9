"""The scripts as shells run them: names, patterns, locks, what is mounted; and the text a host is fed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from components.nodes.steps import read_script
from components.storage.backup_plan import RESTORE_SCRIPTS
from labctl.restore.host import restore_text

SECONDS = 60
Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Runs commands after the scripts, with programs of the test's own before the machine's."""
    programs = tmp_path / "bin"
    programs.mkdir()

    def run(body: str, **stubs: str) -> subprocess.CompletedProcess[str]:
        for name, text in stubs.items():
            (programs / name).write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
            (programs / name).chmod(0o755)
        scripts = "\n".join(read_script(name) for name in RESTORE_SCRIPTS)
        folders = f"BACKUP_SETTINGS={tmp_path}/settings BACKUP_WORK={tmp_path}/work RESTIC_CACHE_DIR={tmp_path}/cache"
        text = f"{folders}\nHERE={tmp_path}\n{scripts}\nPATH={programs}:$PATH\n{body}\n"
        return subprocess.run(
            ["bash"],  # noqa: S607 - the machine's own
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    return run


@pytest.mark.parametrize("name", [*RESTORE_SCRIPTS, "data-backup-run", "data-backup", "data-restore", "backups"])
def test_scripts_have_no_common_mistakes(name: str, tmp_path: Path) -> None:
    path = tmp_path / "script.sh"
    path.write_text(read_script(name), encoding="utf-8")
    # SC2154, SC2034: values and variables are other files'. SC2016: messages name commands in backquotes.
    done = subprocess.run(
        [Path(sys.executable).with_name("shellcheck"), "--shell=bash", "--exclude=SC2154,SC2034,SC2016", path],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("notes/a.txt", "notes/a.txt"),
        ("odd [1]*?", r"odd \[1\]\*\?"),
        ("a\\b", r"a\\b"),
        ("a&b/'c'", "a&b/'c'"),
    ],
)
def test_what_means_something_in_a_pattern_means_itself(shell: Shell, path: str, pattern: str) -> None:
    quoted = path.replace("'", "'\\''")
    assert shell(f"as_pattern '{quoted}'").stdout == pattern


def test_a_file_system_s_folder_in_a_copy(shell: Shell) -> None:
    assert shell("copy_name tank/homes/hub-prod/claim-ada").stdout == "tank+homes+hub-prod+claim-ada"


class TestRepository:
    OPEN = "echo RESTIC_REPOSITORY=/r >$BACKUP_SETTINGS; open_settings; "
    NONE = "echo 'Fatal: unable to open: Is there a repository at the following location?' >&2; exit 1"

    def test_no_settings(self, shell: Shell) -> None:
        done = shell("open_settings; echo on")
        assert (done.returncode, done.stdout) == (65, "")
        assert "backups are not set up on this host" in done.stderr

    def test_made_where_there_is_none_and_only_there(self, shell: Shell) -> None:
        log = 'echo "$1" >>"$RESTIC_CACHE_DIR/log"; '
        none = f"{log}[[ $1 == init ]] || {{ {self.NONE}; }}"
        done = shell(f"{self.OPEN} open_repository; cat $RESTIC_CACHE_DIR/log", restic=none)
        assert done.stdout == "unlock\ninit\n", done.stderr
        refusing = f"{log}echo 'Fatal: wrong password or no key found' >&2; exit 1"
        wrong = shell(f"{self.OPEN} open_repository", restic=refusing)
        assert wrong.returncode == 70
        assert wrong.stderr == "failed: the repository /r does not open: Fatal: wrong password or no key found\n"
        assert "init" not in shell("tail -n 1 $RESTIC_CACHE_DIR/log").stdout

    def test_another_s_lock_is_waited_for(self, shell: Shell) -> None:
        locked = """[[ $1 == unlock ]] && exit 0
        [[ -e $HERE/free ]] && { echo done; exit 0; }
        touch $HERE/free; echo 'Fatal: unable to create lock: repository is already locked by PID 1' >&2; exit 1"""
        waiting = "export HERE; REPOSITORY_PAUSE_SECONDS=0.1; "
        assert shell(f"{waiting} patiently backup", restic=locked).stdout == "done\n"
        impatient = f"{waiting} REPOSITORY_WAIT_SECONDS=0; rm $HERE/free; patiently backup || echo gave up"
        never = shell(impatient, restic=locked)
        assert never.stdout == "gave up\n"
        assert "already locked" in never.stderr

    def test_any_other_failure_is_not(self, shell: Shell) -> None:
        done = shell("patiently backup; echo on", restic="echo out; echo 'no space' >&2; exit 3")
        assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "no space\n")


def test_what_a_host_is_fed_runs_whole_or_not_at_all() -> None:
    text = restore_text({"WHAT": "one", "DATASET": "tank/it's"})
    assert "readonly DATASET='tank/it'\"'\"'s'\n" in text
    assert text.endswith("run_restore\n}\nmain </dev/null\nexit\n")
    for cut in (100, len(text) // 2, len(text) - 25):
        done = subprocess.run(
            ["bash", "-s", "restore"],  # noqa: S607 - the machine's own
            input=text[:cut],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.stdout == ""
        assert "unexpected end of file" in done.stderr or "unexpected EOF" in done.stderr
