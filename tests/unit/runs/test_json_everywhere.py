"""Every verb speaks JSON, or has a reason not to; and so does every failure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from labctl import cli
from labctl.errors import RefusedError, ShownFailuresError
from labctl.exit_codes import ExitCode

EXEMPT = {
    "kubectl": "it becomes kubectl, which has -o json",
    "export": "what it prints is JSON: a deployment as `pulumi stack import` takes it",
    "bundle serve": "it serves until it is stopped and has no result",
}
"""Verbs without ``--json``, and why."""


def commands(group: object, path: str = "") -> Iterator[tuple[str, object]]:
    for name, command in getattr(group, "commands", {}).items():
        if getattr(command, "commands", None):
            yield from commands(command, f"{path}{name} ")
            if getattr(command, "invoke_without_command", False):
                yield f"{path}{name}", command
        else:
            yield f"{path}{name}", command


ALL = dict(commands(typer.main.get_command(cli.app)))


def options(command: object) -> set[str]:
    return {option for parameter in getattr(command, "params", []) for option in getattr(parameter, "opts", [])}


def test_the_walk_finds_the_verbs() -> None:
    assert {
        "up",
        "preview",
        "history",
        "graph",
        "logs",
        "outputs",
        "hosts keys",
        "bundle",
        "bundle serve",
    } <= ALL.keys()


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_verb_has_json_or_a_reason(name: str) -> None:
    has = "--json" in options(ALL[name])
    assert has != (name in EXEMPT), f"{name}: give it --json (docs/runs.md), or say in EXEMPT why not"


def test_no_exemption_is_left_over() -> None:
    assert EXEMPT.keys() <= ALL.keys()


@pytest.mark.parametrize(
    ("error", "code", "message", "failures"),
    [
        (RefusedError(["it holds data"]), ExitCode.REFUSED, "refused, nothing was touched:\n  it holds data", []),
        (ShownFailuresError([("urn:x", "no room")]), ExitCode.FAILED, "", [{"urn": "urn:x", "message": "no room"}]),
        (FileNotFoundError(2, "No such file", "x.pem"), ExitCode.FAILED, "No such file: x.pem", []),
    ],
    ids=["refused", "failures", "system"],
)
def test_a_failure_is_one_object_on_the_last_line_of_stderr(  # noqa: PLR0913, PLR0917 - a case and what it is held against
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: Exception,
    code: ExitCode,
    message: str,
    failures: list[dict[str, str]],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("labctl.verbs.preview.preview", fail)
    assert cli.run(["preview", "--json"]) == code
    out, err = capfd.readouterr()
    assert out == ""
    told = json.loads(err.splitlines()[-1])["error"]
    log = told.pop("log")
    assert told == {"code": int(code), "name": code.name, "message": message, "failures": failures}
    assert Path(log).is_relative_to(project / ".lab" / "logs" / "dev")


def test_a_command_line_nobody_understands_is_told_so_too(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["preview", "--json", "--nonsense"]) == ExitCode.USAGE
    told = json.loads(capfd.readouterr().err.splitlines()[-1])["error"]
    assert told["code"] == 2
    assert "--nonsense" in told["message"]
    assert told["log"] is None
    assert cli.run(["preview", "--nonsense"]) == ExitCode.USAGE
    assert capfd.readouterr().err.startswith("error: No such option: --nonsense")


def test_a_stack_there_is_not_is_the_same_code_either_way(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (["outputs", "--stack", "nope"], ["outputs", "--stack", "nope", "--json"]):
        assert cli.run(arguments) == ExitCode.USAGE
    assert "there is no Pulumi.nope.yaml" in json.loads(capfd.readouterr().err.splitlines()[-1])["error"]["message"]


@pytest.mark.parametrize("verb", ["history", "outputs", "logs", "graph"])
def test_stdout_is_json_and_nothing_else(project: Path, capfd: pytest.CaptureFixture[str], verb: str) -> None:
    assert cli.run([verb, "--json"]) == 0
    out, _ = capfd.readouterr()
    assert isinstance(json.loads(out), dict | list)
