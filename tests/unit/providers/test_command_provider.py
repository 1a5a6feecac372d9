"""Commands run as the official provider runs them, and secrets stay out of what people see."""

from __future__ import annotations

import os
import re
import threading
import time
from typing import TYPE_CHECKING

import pytest

from labctl.engine.providers.base import Context, Diff, Resource
from labctl.engine.providers.command import FACTORY
from labctl.engine.providers.command.exceptions import CommandFailedError, NotBuiltError, NotStartedError
from labctl.engine.providers.properties import InvalidPropertyError, UnknownPropertyError, UnsupportedTypeError
from labctl.graph.differences import Change
from labctl.graph.values import UNKNOWN, Secret

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.graph.values import Inputs

PROVIDER = FACTORY.configure({})
LOCAL = "command:local:Command"
URN = f"urn:pulumi:dev::lab::{LOCAL}::cmd"


def resource(inputs: Inputs, **outputs: str) -> Resource:
    return Resource(urn=URN, type=LOCAL, id="cmd00000000", inputs=inputs, outputs={**inputs, **outputs})


def create(inputs: Inputs, context: Context | None = None) -> Inputs:
    checked = PROVIDER.check(resource(inputs), None)
    return PROVIDER.create(resource(checked), context or Context()).outputs


def said(inputs: Inputs) -> str:
    return str(create(inputs)["stdout"])


def failure(inputs: Inputs, context: Context | None = None) -> str:
    with pytest.raises((CommandFailedError, NotStartedError)) as caught:
        create(inputs, context)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_stored_as_the_official_provider_stores_it() -> None:
    inputs: Inputs = {"create": "echo made; echo odd >&2", "delete": "true", "triggers": ["a"], "stdin": Secret("hush")}
    made = PROVIDER.create(resource(inputs), Context())
    assert re.fullmatch(r"cmd[0-9a-f]{8}", made.id)
    assert made.outputs == inputs | {"stdout": "made", "stderr": "odd"}
    assert PROVIDER.create(resource(inputs), Context()).id != made.id


@pytest.mark.parametrize(
    ("inputs", "stdout"),
    [
        ({"create": r"printf 'a\n\n'"}, "a\n"),
        ({"create": "printf ' a '"}, " a "),
        ({"create": "cat", "stdin": "line 1\nline 2"}, "line 1\nline 2"),
        ({"create": "cat"}, ""),
        ({"create": 'echo "$WHERE $PATH"', "environment": {"WHERE": Secret("here"), "PATH": "/bin"}}, "here /bin"),
        ({"create": "import sys; print(sys.argv[0])", "interpreter": ["python3", "-c"]}, "-c"),
        ({"create": "basename $PWD", "dir": "/usr/bin"}, "bin"),
        ({"create": Secret("echo sealed")}, "sealed"),
        ({"create": r"printf '\377'"}, "\N{REPLACEMENT CHARACTER}"),
        ({"delete": "exit 1"}, ""),
        ({"create": "echo ${PULUMI_COMMAND_STDOUT-unset}"}, "unset"),
    ],
)
def test_what_a_command_is_given_and_says(inputs: Inputs, stdout: str) -> None:
    assert said(inputs) == stdout


def test_folder_is_this_processs_by_default() -> None:
    assert said({"create": "pwd -P"}) == os.path.realpath(os.curdir)


def test_large_input_and_output_pass_through() -> None:
    text = "0123456789" * 100_000
    made = create({"create": "tee /dev/stderr", "stdin": text})
    assert made["stdout"] == made["stderr"] == text


def test_input_nobody_reads_is_no_failure() -> None:
    assert said({"create": "exec <&-; echo done", "stdin": "x" * 1_000_000}) == "done"


@pytest.mark.parametrize(
    ("inputs", "ran"),
    [({"create": "echo c", "update": "echo u"}, "u"), ({"create": "echo c"}, "c"), ({"delete": "exit 1"}, "before")],
)
def test_update_runs_update_or_else_create(inputs: Inputs, ran: str) -> None:
    old = resource({"create": "echo old"}, stdout="before", stderr="")
    updated = PROVIDER.update(old, inputs, Context())
    assert updated.id == old.id
    assert updated.outputs == inputs | {"stdout": ran, "stderr": ""}


def test_previous_output_is_in_the_environment_unless_unwanted() -> None:
    show = 'echo "${PULUMI_COMMAND_STDOUT-unset} ${PULUMI_COMMAND_STDERR-unset}"'
    old = Resource(urn=URN, type=LOCAL, id="i", inputs={}, outputs={"stdout": Secret("one"), "stderr": ""})
    assert PROVIDER.update(old, {"create": show}, Context()).outputs["stdout"] == "one unset"
    unwanted: Inputs = {"create": show, "addPreviousOutputInEnv": False}
    assert PROVIDER.update(old, unwanted, Context()).outputs["stdout"] == "unset unset"


def test_delete_runs_delete(tmp_path: Path) -> None:
    mark = tmp_path / "deleted"
    inputs: Inputs = {"create": "exit 1", "delete": 'echo "$PULUMI_COMMAND_STDOUT" > deleted', "dir": str(tmp_path)}
    PROVIDER.delete(resource(inputs, stdout="made", stderr=""), Context())
    assert mark.read_text() == "made\n"
    PROVIDER.delete(resource({"create": "exit 1"}, stdout="", stderr=""), Context())


def test_read_is_the_states_copy() -> None:
    old = resource({"create": "exit 1"}, stdout="x", stderr="")
    read = PROVIDER.read(old, Context())
    assert read is not None
    assert (read.id, read.outputs, read.inputs) == (old.id, old.outputs, old.inputs)


def test_preview_runs_nothing() -> None:
    inputs: Inputs = {"create": "exit 1", "update": "exit 1"}
    expected = inputs | {"stdout": UNKNOWN, "stderr": UNKNOWN}
    assert create(inputs, Context(preview=True)) == expected
    assert PROVIDER.update(resource(inputs), inputs, Context(preview=True)).outputs == expected


def test_failure_is_told_as_the_official_provider_tells_it() -> None:
    command = "echo partial; echo to-stderr >&2; exit 3"
    assert failure({"create": command}) == f'exit status 3: running "{command}":\npartial\nto-stderr'
    assert (
        failure({"create": 'echo "quoted"; kill -9 $$'})
        == 'signal: killed: running "echo \\"quoted\\"; kill -9 $$":\nquoted'
    )


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            {"create": "true", "interpreter": ["/no/such/shell"]},
            'No such file or directory (/no/such/shell): running "true"',
        ),
        ({"create": "true", "dir": "/no/such/folder"}, 'No such file or directory (/no/such/folder): running "true"'),
        ({"create": "true", "environment": {"X": "x" * 200_000}}, "Argument list too long"),
        ({"create": "echo \0"}, "an argument or variable holds a null byte"),
    ],
)
def test_what_cannot_start_is_told(inputs: Inputs, message: str) -> None:
    assert message in failure(inputs)


def test_secrets_are_hidden_in_messages_and_progress() -> None:
    lines: list[str] = []
    inputs: Inputs = {
        "create": Secret("echo token-1; cat; echo $WORD >&2; exit 1"),
        "stdin": Secret("canary-one\ncanary-two\n"),
        "environment": {"WORD": Secret("canary-three"), "PLAIN": "shown"},
    }
    message = failure(inputs, Context(report=lines.append))
    assert "canary" not in message + "".join(lines)
    assert message == 'exit status 1: running "[secret]":\ntoken-1\n[secret][secret]'
    assert sorted(lines) == ["[secret]", "[secret]", "[secret]", "token-1"]


@pytest.mark.parametrize(
    ("logging", "shown"),
    [
        (None, ["err", "out"]),
        ("stdoutAndStderr", ["err", "out"]),
        ("stdout", ["out"]),
        ("stderr", ["err"]),
        ("none", []),
    ],
)
def test_logging_chooses_what_is_shown(logging: str | None, shown: list[str]) -> None:
    lines: list[str] = []
    made = create({"create": "echo out; echo err >&2", "logging": logging}, Context(report=lines.append))
    assert sorted(lines) == shown
    assert (made["stdout"], made["stderr"]) == ("out", "err")


def test_lines_are_shown_as_they_come() -> None:
    moments: dict[str, float] = {}
    inputs: Inputs = {"create": "echo first; sleep 0.5; printf last"}

    def note(line: str) -> None:
        moments[line] = time.monotonic()

    create(inputs, Context(report=note))
    assert moments.keys() == {"first", "last"}
    assert moments["last"] - moments["first"] > 0.3


def test_cancelled_command_is_asked_to_stop_and_may_clean_up(tmp_path: Path) -> None:
    cancelled = threading.Event()
    inputs: Inputs = {
        "create": "trap 'touch cleaned; exit 7' INT; echo ready; while :; do sleep 0.05; done",
        "dir": str(tmp_path),
    }
    message = failure(inputs, Context(cancelled=cancelled, report=lambda _line: cancelled.set()))
    assert message.startswith('cancelled: running "trap')
    assert (tmp_path / "cleaned").exists()


def test_command_that_will_not_stop_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.engine.providers.command.process.GRACE_SECONDS", 0.3)
    cancelled = threading.Event()
    inputs: Inputs = {
        "create": "trap '' INT; (while :; do date >> beat; sleep 0.02; done) & echo ready; wait",
        "dir": str(tmp_path),
    }
    started = time.monotonic()
    failure(inputs, Context(cancelled=cancelled, report=lambda _line: cancelled.set()))
    assert time.monotonic() - started < 5
    size = (tmp_path / "beat").stat().st_size
    time.sleep(0.2)
    assert (tmp_path / "beat").stat().st_size == size


def test_time_limit() -> None:
    started = time.monotonic()
    assert failure({"create": "sleep 30"}, Context(timeout_seconds=0.3)).startswith("timed out after 0.3 s: running")
    assert time.monotonic() - started < 5


def test_diff() -> None:
    old = resource({"create": "a", "environment": {"X": "1"}, "triggers": ["t"]}, stdout="", stderr="")
    same: Inputs = {"create": Secret("a"), "environment": {"X": "1"}, "triggers": ["t"]}
    assert PROVIDER.diff(old, same, Context()) == Diff()
    changed: Inputs = {"create": "b", "environment": {"X": "2"}, "triggers": ["u"], "update": "c"}
    assert PROVIDER.diff(old, changed, Context()) == Diff(
        changes={
            "create": Change.UPDATE,
            "environment.X": Change.UPDATE,
            "triggers[0]": Change.UPDATE,
            "update": Change.ADD,
        }
    )
    assert PROVIDER.diff(old, {"create": "a", "environment": {"X": "1"}}, Context()) == Diff(
        changes={"triggers": Change.DELETE}, replace_paths=frozenset({"triggers"})
    )


@pytest.mark.parametrize(
    ("kind", "inputs", "error", "message"),
    [
        (LOCAL, {"creat": "x"}, UnknownPropertyError, r"did you mean create\?"),
        (LOCAL, {"assetPaths": ["x"]}, UnknownPropertyError, "no property assetPaths in the embedded engine"),
        (LOCAL, {"archivePaths": ["x"]}, UnknownPropertyError, "no property archivePaths in the embedded engine"),
        (LOCAL, {"create": 1}, InvalidPropertyError, "create must be a string"),
        (LOCAL, {"interpreter": "sh"}, InvalidPropertyError, "interpreter must be a list of strings"),
        (LOCAL, {"logging": "all"}, InvalidPropertyError, "logging must be one of stdoutAndStderr, stdout"),
        ("command:remote:CopyToRemote", {}, NotBuiltError, "command:remote:CopyToRemote is not built in the embedded"),
        ("command:remote:CopyFile", {}, NotBuiltError, "command:remote:CopyFile is not built in the embedded engine"),
        ("command:local:Other", {}, UnsupportedTypeError, "supported: command:local:Command"),
    ],
)
def test_refuses_what_it_has_not(kind: str, inputs: Inputs, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        PROVIDER.check(Resource(urn=URN, type=kind, inputs=inputs), None)


def test_unknown_inputs_pass_the_check() -> None:
    inputs: Inputs = {"create": UNKNOWN, "logging": UNKNOWN, "triggers": [UNKNOWN], "environment": {"A": UNKNOWN}}
    assert PROVIDER.check(resource(inputs), None) == inputs


def test_configuration() -> None:
    stored: Inputs = {"__internal": {}, "__pulumi-go-provider-version": "1.2.0", "version": "1.2.1"}
    assert FACTORY.check_config({"version": "1.2.1"}) == stored
    with pytest.raises(UnknownPropertyError, match="no property shell"):
        FACTORY.check_config({"shell": "bash"})
    assert FACTORY.diff_config(dict(stored), dict(stored)) == Diff()
