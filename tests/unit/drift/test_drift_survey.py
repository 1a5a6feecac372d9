"""Hosts that answer in every way a host can answer, asked by the real SSH connector."""

from __future__ import annotations

import fcntl
import hashlib
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from drift_hosts import Asking
from ssh_server import SshHost, key_pair

from labctl.drift import survey as surveying
from labctl.drift.findings import HostFinding, HostState, StepFinding, StepState
from labctl.drift.survey import AskedHost, survey
from labctl.engine.providers.command.veil import Veil
from labctl.graph.values import Secret


def step(found: HostFinding, name: str) -> StepFinding:
    return next(item for item in found.steps if item.step == name)


def checksum(folder: Path) -> str:
    """Return one of the names, modes, times and contents of all files below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        info = path.lstat()
        digest.update(f"{path} {info.st_mode} {info.st_mtime_ns}".encode())
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


def test_a_converged_host_differs_in_nothing(asking: Asking, server: SshHost, tmp_path: Path) -> None:
    (tmp_path / "wanted").write_text("right\n", encoding="utf-8")
    (tmp_path / "wanted").chmod(0o644)
    question = asking.question("file", WANTED_PATH=str(tmp_path / "wanted"), WANTED_TEXT="right")
    (found,) = asking.survey(asking.asked(server, question))
    assert (found.state, found.reason, step(found, "file").differs) == (HostState.CONVERGED, None, ())
    assert found.facts is not None
    assert found.facts.kernel


def test_everything_in_one_command_over_one_connection(asking: Asking, server: SshHost, tmp_path: Path) -> None:
    wanted = [
        asking.question("file", WANTED_PATH=str(tmp_path / str(index)), WANTED_TEXT="x" * 50_000) for index in range(12)
    ]
    (found,) = asking.survey(asking.asked(server, *wanted))
    assert [item.differs for item in found.steps] == [(f"file {tmp_path / str(index)}",) for index in range(12)]
    assert server.commands == ["bash -s check"]
    assert len(server.connections) == 1


def test_a_failing_step_stops_no_other(asking: Asking, server: SshHost, tmp_path: Path) -> None:
    names = ("broken", "refusing", "babbling")
    questions = [asking.question(name) for name in names]
    last = asking.question("file", WANTED_PATH=str(tmp_path / "wanted"), WANTED_TEXT="x")
    (found,) = asking.survey(asking.asked(server, *questions, last))
    assert [step(found, name).state for name in names] == [StepState.FAILED] * 3
    assert re.fullmatch(
        r"failed: step broken, desired, line \d+: false ended with status 1", step(found, "broken").reason or ""
    )
    assert step(found, "refusing").reason == "refused: the mirror is not whole"
    assert "no step's report" in (step(found, "babbling").reason or "")
    assert step(found, "file").differs == (f"file {tmp_path / 'wanted'}",)
    assert (found.state, found.reason) == (HostState.UNANSWERED, None)


def test_looking_changes_nothing(asking: Asking, server: SshHost, tmp_path: Path) -> None:
    inside = tmp_path / "host"
    inside.mkdir()
    (inside / "wanted").write_text("changed by hand\n", encoding="utf-8")
    question = asking.question("file", WANTED_PATH=str(inside / "wanted"), WANTED_TEXT="right")
    missing = asking.question("file", WANTED_PATH=str(inside / "deep" / "missing"), WANTED_TEXT="right")
    before = checksum(inside)
    (found,) = asking.survey(asking.asked(server, question, missing))
    assert found.state is HostState.DIFFERS
    assert checksum(inside) == before
    assert [path.name for path in (tmp_path / "worker-1").iterdir()] == ["lock"], "more than the lock was made"


def test_a_step_that_kills_its_shell_leaves_the_rest_unanswered(asking: Asking, server: SshHost) -> None:
    (found,) = asking.survey(asking.asked(server, asking.question("refusing"), asking.question("dying")))
    assert step(found, "refusing").reason == "refused: the mirror is not whole"
    assert step(found, "dying").state is StepState.UNANSWERED
    assert found.reason == "its answer is cut off: Killed"
    assert found.facts is None


def test_a_host_that_takes_too_long_is_named(asking: Asking, server: SshHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveying, "ANSWER_SECONDS", 2.0)
    (found,) = asking.survey(asking.asked(server, asking.question("refusing"), asking.question("stuck")))
    assert step(found, "refusing").state is StepState.FAILED, "what it said before is kept"
    assert step(found, "stuck").state is StepState.UNANSWERED
    assert found.reason == "no complete answer within 2 s"


def test_another_run_on_the_host_is_waited_for_once(
    asking: Asking, server: SshHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.drift.asking.LOCK_WAIT_SECONDS", 1)
    questions = [asking.question("refusing") for _ in range(3)]
    lock = tmp_path / "worker-1" / "lock"
    began = time.monotonic()
    with lock.open("w") as stream:
        stream.write("4711\n")
        stream.flush()
        fcntl.flock(stream, fcntl.LOCK_EX)
        (found,) = asking.survey(asking.asked(server, *questions))
    assert time.monotonic() - began < 2.5, "every step waited for the lock"
    assert {item.state for item in found.steps} == {StepState.FAILED}
    assert all("another run holds" in (item.reason or "") and "4711" in (item.reason or "") for item in found.steps)


def test_fifty_hosts_in_parallel_and_one_that_is_off(
    asking: Asking, servers: Callable[[int], list[SshHost]], tmp_path: Path
) -> None:
    hosts = servers(51)
    hosts[17].close()
    asked: list[AskedHost] = []
    for index, host in enumerate(hosts):
        name = f"worker-{index}"
        question = asking.question("file", name, WANTED_PATH=str(tmp_path / name / "wanted"), WANTED_TEXT=name)
        asked.append(asking.asked(host, question, name=name))
    findings = asking.survey(*asked)
    hosts[17].open()  # for the fixture to close
    assert [found.host for found in findings] == [f"worker-{index}" for index in range(51)]
    assert {found.state for index, found in enumerate(findings) if index != 17} == {HostState.DIFFERS}
    assert findings[17].state is HostState.UNANSWERED
    assert "cannot be reached (1 attempt)" in (findings[17].reason or "")
    assert all(len(host.commands) == 1 and len(host.connections) == 1 for host in (*hosts[:17], *hosts[18:]))


def test_a_host_with_another_key_is_not_asked(asking: Asking, server: SshHost) -> None:
    (found,) = asking.survey(asking.asked(server, asking.question("refusing"), host_key=key_pair()[1]))
    assert found.state is HostState.UNANSWERED
    assert "is not the host it should be" in (found.reason or "")
    assert server.commands == []


def test_sudo_with_its_password(asking: Asking, server: SshHost, sudo: str, tmp_path: Path) -> None:
    question = asking.question("file", WANTED_PATH=str(tmp_path / "wanted"), WANTED_TEXT="x")
    (found,) = asking.survey(asking.asked(server, question, user="ubuntu", sudo_password=sudo))
    assert (found.state, found.reason) == (HostState.DIFFERS, None)
    assert step(found, "file").differs == (f"file {tmp_path / 'wanted'}",)
    assert len(server.commands) == 1


def test_sudo_with_a_wrong_password(asking: Asking, server: SshHost, sudo: str) -> None:
    del sudo
    (found,) = asking.survey(asking.asked(server, asking.question("refusing"), user="ubuntu", sudo_password="wrong"))
    assert found.reason == "refused: sudo does not accept the password of nodes.ssh.sudoPassword"
    assert step(found, "refusing").state is StepState.UNANSWERED


def test_sudo_that_asks_for_a_password_nobody_gave(asking: Asking, server: SshHost, sudo: str) -> None:
    del sudo
    (found,) = asking.survey(asking.asked(server, asking.question("refusing"), user="ubuntu"))
    assert found.reason == "sudo: a password is required"


def test_no_secret_in_what_hosts_say(asking: Asking, server: SshHost) -> None:
    veil = Veil({"token": Secret("canary-4711")})
    question = asking.question("leaking", TOKEN="canary-4711")
    (found,) = asking.survey(asking.asked(server, question), hide=veil.hide)
    assert step(found, "leaking").reason == "failed: cannot log in with [secret]"
    assert "canary" not in repr(found)


def test_nothing_a_host_says_reaches_the_terminal_raw(asking: Asking, server: SshHost) -> None:
    (found,) = asking.survey(asking.asked(server, asking.question("cursor")))
    assert step(found, "cursor").differs == ("file /etc/\N{REPLACEMENT CHARACTER}[2Jx",)


def test_stopped_on_request(asking: Asking, server: SshHost) -> None:
    cancelled = threading.Event()
    server.on_command = lambda _: cancelled.set()
    asked = asking.asked(server, asking.question("stuck"))
    began = time.monotonic()
    (found,) = survey([asked], asking.connector, hide=str, cancelled=cancelled)
    assert time.monotonic() - began < 20
    assert found.state is HostState.UNANSWERED
