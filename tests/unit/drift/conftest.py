"""Hosts in this process that really run what they are fed, and steps of the tests' own for them to check."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

import pytest
from drift_hosts import SCRIPTS, USER_PUBLIC, Asking
from ssh_server import SshHost, serving

from components.nodes import steps
from labctl.ssh import Connector


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """A folder with the project's own library and the tests' scripts, in place of the project's."""
    folder = tmp_path / "components" / "drift" / "files"
    folder.mkdir(parents=True)
    for name in (*steps.COMMON, "facts", "gpu-facts", "health-facts"):
        shutil.copy(steps.script_paths()[name], folder)
    for name, text in SCRIPTS.items():
        (folder / f"{name}.sh").write_text(text, encoding="utf-8")
    monkeypatch.setattr(steps, "COMPONENTS", tmp_path / "components")
    for kept in (steps.read_script, steps.script_paths):
        kept.cache_clear()
    yield folder
    for kept in (steps.read_script, steps.script_paths):
        kept.cache_clear()


@pytest.fixture
def asking(scripts: Path, tmp_path: Path) -> Generator[Asking]:
    del scripts
    connector = Connector()
    yield Asking(folder=tmp_path, connector=connector)
    connector.close()


@pytest.fixture
def server() -> Generator[SshHost]:
    """One host that is listening."""
    with serving(SshHost(authorized=(USER_PUBLIC,))) as host:
        yield host


@pytest.fixture
def servers() -> Generator[Callable[[int], list[SshHost]]]:
    """Makes any number of hosts that listen."""
    with ExitStack() as stack:
        yield lambda count: [stack.enter_context(serving(SshHost(authorized=(USER_PUBLIC,)))) for _ in range(count)]


@pytest.fixture
def sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put a sudo on the hosts that asks for a password as the real one does with -S, and return that password."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "sudo"
    program.write_text(
        """#!/bin/bash
ask=false
while [[ ${1:-} == -* ]]; do
    case $1 in
        -S) ask=true ;;
        -n) echo 'sudo: a password is required' >&2; exit 1 ;;
        -p) shift ;;
        -v) valid=true ;;
    esac
    shift
done
if $ask; then
    IFS= read -r given
    if [[ $given != 'correct horse' ]]; then echo 'Sorry, try again.' >&2; exit 1; fi
fi
if [[ ${valid:-} ]]; then exit 0; fi
exec "$@"
""",
        encoding="utf-8",
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin")
    return "correct horse"
