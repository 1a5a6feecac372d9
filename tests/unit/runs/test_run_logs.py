"""The log of a run: who may read it, what is in it, what never is, and that it fails nothing."""

from __future__ import annotations

import base64
import errno
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path

import pytest

from labctl import cli, run_log
from labctl.engine.plan import Op, Step
from labctl.engine.report import Failure, Report
from labctl.engine.state import ResourceState
from labctl.graph.values import Inputs, Secret
from labctl.run_log import RunLog
from labctl.run_log.files import create, logged_runs, rotate

CANARY = "canary-5f2e9a71c0"
URN = "urn:pulumi:dev::lab::kubernetes:core/v1:Secret::one"
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z .*")


def step(secret: str = CANARY) -> Step:
    inputs: Inputs = {"stringData": Secret({"password": secret}), "name": "one"}
    new = ResourceState(urn=URN, type="kubernetes:core/v1:Secret", custom=True, inputs=inputs)
    return Step(op=Op.CREATE, urn=URN, old=None, new=new)


def text_of(log: RunLog) -> str:
    assert log.path is not None
    return log.path.read_text()


def test_a_log_is_its_owners_alone_and_each_line_has_its_time(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "logs" / "dev", "up")
    log.begin(["up", "--yes"])
    log.line("one\ntwo")
    log.end(0)
    assert log.path is not None
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.path.parent.stat().st_mode) == 0o700
    lines = text_of(log).splitlines()
    assert all(LINE.fullmatch(line) for line in lines)
    assert [line.split(" ", 1)[1] for line in lines[2:4]] == ["one", "two"]
    assert "arguments: up --yes" in lines[1]
    run = logged_runs(log.path.parent)[0]
    assert (run.verb, run.pid, run.exit_code) == ("up", os.getpid(), 0)
    assert run.seconds is not None


def test_what_happens_to_each_resource_is_there(tmp_path: Path) -> None:
    log = RunLog(tmp_path, "up")
    report = Report(steps=[step()], notes=["careful"], failures=[Failure(URN, "no room")])
    log.plan(report)
    log.started(step())
    log.progressed(URN, "0 of 1 ready")
    log.finished(step(), 1.5, None)
    log.finished(step(), 2.0, Failure(URN, "no room"))
    log.failures(report)
    log.end(1)
    said = text_of(log)
    for part in (
        f"plan: create {URN}",
        "plan: 1 create",
        f"begin create {URN}",
        "one: 0 of 1 ready",
        f"done create {URN} (1.500s)",
        f"FAILED create {URN} (2.000s): no room",
        "note: careful",
        f"failure: {URN} no room",
        "ended with exit code 1 after",
    ):
        assert part in said


@pytest.mark.parametrize("how", ["given", "state", "step", "later-lines", "base64", "json"])
def test_no_secret_is_in_a_log_however_it_became_known(tmp_path: Path, how: str) -> None:
    log = RunLog(tmp_path, "up")
    secret = f'{CANARY}"\nsecond-{CANARY}' if how in {"later-lines", "json"} else CANARY
    if how == "step":
        log.started(step(secret))
    elif how == "state":
        log.hide_later(lambda: [{"deep": [{"x": Secret(secret)}]}])
    else:
        log.hide([secret])
    log.line(f"the server said {secret}!")
    log.line(json.dumps({"said": secret}))
    log.line(base64.b64encode(secret.encode()).decode())
    log.progressed(URN, f"exit status 1: {secret}")
    log.finished(step(), 1, Failure(URN, f"refused: {secret}"))
    with pytest.raises(ValueError, match=CANARY) as raised:
        int(secret)
    log.line("".join(traceback.format_exception(raised.value)))
    log.end(1)
    said = text_of(log)
    assert CANARY not in said
    assert base64.b64encode(secret.encode()).decode() not in said
    assert "the server said [secret]" in said


def test_a_passphrase_and_a_message_are_not_in_the_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", CANARY)
    log = RunLog(tmp_path, "up")
    log.begin(["up", "--message", "my word is my", "-m", CANARY, f"--message={CANARY}", "--yes", CANARY])
    said = text_of(log)
    log.end(0)
    assert CANARY not in said
    assert "arguments: up --message … -m … --message=… --yes [secret]" in said


def test_the_newest_logs_are_kept_within_number_and_size(tmp_path: Path) -> None:
    for second in range(10):
        descriptor, path = create(tmp_path, "up", datetime(2026, 11, 20, 10, 0, second, tzinfo=UTC))
        os.close(descriptor)
        path.write_bytes(b"x" * 100)
    (tmp_path / "mine.txt").write_text("not a log")
    rotate(tmp_path, most=7)
    assert [run.time[-3:-1] for run in logged_runs(tmp_path)] == ["09", "08", "07", "06", "05", "04", "03"]
    rotate(tmp_path, most_bytes=250)
    assert len(logged_runs(tmp_path)) == 2
    rotate(tmp_path, most_bytes=1)
    assert len(logged_runs(tmp_path)) == 1, "the newest stays"
    assert (tmp_path / "mine.txt").exists()


def test_a_log_is_never_longer_than_it_may_be_and_has_its_end(tmp_path: Path) -> None:
    log = RunLog(tmp_path, "up", most_bytes=2000)
    for number in range(1000):
        log.line(f"line {number}")
    log.end(3)
    assert log.path is not None
    assert log.path.stat().st_size < 3200
    assert "cut here" in text_of(log)
    assert logged_runs(tmp_path)[0].exit_code == 3


def test_a_run_that_was_killed_has_no_end(tmp_path: Path) -> None:
    RunLog(tmp_path, "up").line("begun")
    assert logged_runs(tmp_path)[0].exit_code is None


def test_a_full_disk_fails_no_run(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    run_log.start("preview", "dev")
    real = os.write
    monkeypatch.setattr("labctl.run_log.log.os.write", full)
    run_log.current().line("this cannot be written")
    monkeypatch.setattr("labctl.run_log.log.os.write", real)
    run_log.current().line("and this is not, either")
    path, problem = run_log.finish(0)
    assert path is not None
    assert problem is not None
    assert problem.errno == errno.ENOSPC
    assert "either" not in path.read_text()


def test_a_folder_that_cannot_be_written_fails_no_run(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # A file where the folder would be: as good as a read-only one, for root, too.
    (project / ".lab").mkdir()
    (project / ".lab" / "logs").write_text("")

    def nothing(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr("labctl.verbs.preview.preview", nothing)
    assert cli.run(["preview"]) == 0
    assert "this run has no whole log" in capfd.readouterr().err


def test_a_failed_run_says_where_its_log_is_and_keeps_the_traceback(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        run_log.current().hide([CANARY])
        raise ZeroDivisionError(CANARY)

    monkeypatch.setattr("labctl.verbs.preview.preview", broken)
    assert cli.run(["preview"]) == 1
    err = capfd.readouterr().err
    run = logged_runs(project / ".lab" / "logs" / "dev")[0]
    assert f"log: {run.path}" in err.replace("\n", "")
    said = run.path.read_text()
    assert "ZeroDivisionError: [secret]" in said
    assert "in broken" in said
    assert run.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["unlock", "--stack", "prod", "nobody"], "nobody"),
        (["doctor", "--stack", "prod", "--only", "api-server"], "api-server: "),
        (["preview", "--stack", "prod"], "create"),
    ],
)
def test_what_a_run_looked_at_is_in_its_log(
    project: Path, arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    code = cli.run(arguments)
    capfd.readouterr()
    run = logged_runs(project / ".lab" / "logs" / "prod")[0]
    assert (run.verb, run.exit_code) == (arguments[0], code)
    assert said in run.path.read_text()


def test_what_goes_wrong_without_a_log_gets_one(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("labctl.verbs.status.status", broken)
    assert cli.run(["status"]) == 1
    run = logged_runs(project / ".lab" / "logs" / "labctl")[0]
    assert "ZeroDivisionError" in run.path.read_text()
    assert "unforeseen" in capfd.readouterr().err


@pytest.mark.parametrize("stack", ["../../elsewhere", "..", "a/b", ""])
def test_a_stacks_name_leads_nowhere_else(project: Path, stack: str) -> None:
    run_log.start("up", stack)
    assert run_log.current().path is None
    assert not (project / ".lab").exists()


def test_a_killed_run_leaves_what_it_had_said(project: Path) -> None:
    program = (
        "import os, signal; from labctl import run_log; run_log.start('up', 'dev', ['up']);"
        "run_log.current().line('still here'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program], check=False, cwd=project)
    run = logged_runs(project / ".lab" / "logs" / "dev")[0]
    assert run.exit_code is None
    assert "still here" in run.path.read_text()


def test_addresses_and_names_in_a_sealed_connection_stay_readable(tmp_path: Path) -> None:
    log = RunLog(tmp_path, "up")
    connection = Secret({"host": "10.20.0.11", "user": "research", "privateKey": f"-----BEGIN KEY-----\n{CANARY}"})
    log.hide_later(lambda: [{"connection": connection}])
    log.line(f"10.20.0.11: research: {CANARY}")
    log.end(0)
    assert "10.20.0.11: research: [secret]" in text_of(log)


def test_each_of_many_secrets_is_hidden(tmp_path: Path) -> None:
    log = RunLog(tmp_path, "up")
    for number in range(500):
        log.started(step(f"{CANARY}-{number}"))
        log.finished(step(), 0.1, None)
    log.end(0)
    assert CANARY not in text_of(log)


@pytest.mark.parametrize("word", [f"-m{CANARY}", f"-ym{CANARY}"])
def test_a_message_in_the_same_word_as_its_option_is_not_in_the_arguments(tmp_path: Path, word: str) -> None:
    log = RunLog(tmp_path, "up")
    log.begin(["up", word, "--yes", "-ym", CANARY, "--parallel=2"])
    log.end(0)
    said = text_of(log)
    assert CANARY not in said
    assert "m… --yes -ym … --parallel=2" in said


def test_a_secret_with_quotes_and_umlauts_is_hidden_in_json_of_either_kind(tmp_path: Path) -> None:
    log = RunLog(tmp_path, "up")
    secret = f'{CANARY}"ü'
    log.hide([secret])
    log.line(json.dumps({"a": secret}, ensure_ascii=False))
    log.line(json.dumps({"a": secret}))
    log.end(0)
    assert CANARY not in text_of(log)


def test_a_line_waits_for_secrets_that_are_still_being_read(tmp_path: Path) -> None:
    log = RunLog(tmp_path, "up")
    asked, go_on = threading.Event(), threading.Event()

    def slow() -> list[Inputs]:
        asked.set()
        assert go_on.wait(10)
        return [{"password": Secret(CANARY)}]

    log.hide_later(slow)
    first = threading.Thread(target=log.line, args=("the first line",))
    first.start()
    assert asked.wait(10)
    second = threading.Thread(target=log.line, args=(f"the server said {CANARY}",))
    second.start()
    second.join(0.2)  # without the wait it is written by now
    go_on.set()
    first.join(10)
    second.join(10)
    log.end(0)
    assert "the server said [secret]" in text_of(log)


def test_a_stack_that_there_is_not_leaves_no_folder_and_has_no_logs(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["preview", "--stack", "tset"]) == 2
    assert not (project / ".lab" / "logs" / "tset").exists()
    for stack in ("tset", "../dev", "../../.."):
        assert cli.run(["logs", "--stack", stack]) == 2
        assert "stacks here: dev" in capfd.readouterr().err
    assert cli.run(["logs", "--stack", "dev"]) == 0
    assert "no run of dev has left a log here yet" in capfd.readouterr().out


def test_a_copy_of_a_stack_file_is_not_told_as_the_stack_itself(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "Pulumi.dev.old.yaml").write_bytes((project / "Pulumi.dev.yaml").read_bytes())
    assert cli.run(["preview", "--stack", "tset"]) == 2
    assert "stacks here: dev, dev.old, next" in capfd.readouterr().err


def test_names_of_logs_and_pins_are_whole_on_a_narrow_terminal(
    project: Path, root: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    run_log.start("restore-everything", "dev")
    path, _ = run_log.finish(0)
    assert path is not None
    assert cli.run(["logs"]) == 0
    said = capfd.readouterr().out
    assert "…" not in said
    rows = [line.split() for line in said.splitlines()[2:]]
    assert "".join(row[-1] for row in rows) == path.name
    shutil.copytree(root / "stacks" / "pins", project / "stacks" / "pins")
    assert cli.run(["pins"]) == 0
    said = capfd.readouterr().out
    assert "…" not in said
    assert "kubernetesImages/kube-controller-manager" in said


def test_words_of_a_program_in_a_sealed_release_stay_readable(tmp_path: Path) -> None:
    log = RunLog(tmp_path, "up")
    program = f"def ask(\n    status,\n    answer\n):\n    key = '{CANARY}'\n"
    log.hide_later(lambda: [{"values": Secret({"extraFiles": program})}])
    log.line("no answer: exit status 69")
    log.line(f"it was key = '{CANARY}'")
    log.end(1)
    assert "no answer: exit status 69" in text_of(log)
    assert CANARY not in text_of(log)
