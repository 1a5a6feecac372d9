"""``labctl outputs``: all of them, one of them, as a script wants it; secrets only when asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labctl import cli
from labctl.engine.state import ResourceState, UpdateKind
from labctl.exit_codes import ExitCode
from labctl.graph.goal import STACK_TYPE
from labctl.graph.values import Inputs, Secret
from labctl.lab import open_lab

CANARY = "canary-0b63de"
VALUES: Inputs = {
    "url": "https://hub.lab.example.org",
    "nodes": ["a", "b"],
    "token": Secret(CANARY),
    "deep": {"user": "ada", "password": Secret(CANARY)},
}


@pytest.fixture
def exported(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project whose dev stack exports `VALUES`."""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "outputs-tests")
    urn = "urn:pulumi:dev::research-compute::pulumi:pulumi:Stack::research-compute-dev"
    with open_lab("dev").open(UpdateKind.UPDATE) as stack:
        stack.register(ResourceState(urn=urn, type=STACK_TYPE, custom=False))
        stack.outputs(urn, VALUES)
    return project


def said(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    capfd.readouterr()
    assert cli.run(["outputs", *arguments]) == 0
    return capfd.readouterr().out


def test_all_of_them_with_secrets_hidden(exported: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = said(capfd)
    assert "url: https://hub.lab.example.org\n" in out
    assert 'nodes: ["a", "b"]' in out
    assert "token: [secret]" in out
    assert "--show-secrets" in out
    assert CANARY not in out
    shown = said(capfd, "--show-secrets")
    assert f"token: {CANARY}" in shown
    assert f'"password": "{CANARY}"' in shown


def test_all_of_them_as_json(exported: Path, capfd: pytest.CaptureFixture[str]) -> None:
    hidden = json.loads(said(capfd, "--json"))
    assert hidden == {
        "deep": {"password": "[secret]", "user": "ada"},
        "nodes": ["a", "b"],
        "token": "[secret]",
        "url": "https://hub.lab.example.org",
    }
    assert json.loads(said(capfd, "--json", "--show-secrets"))["deep"]["password"] == CANARY


@pytest.mark.parametrize(
    ("arguments", "out"),
    [
        (["url"], "https://hub.lab.example.org\n"),
        (["nodes"], '["a", "b"]\n'),
        (["url", "--json"], '"https://hub.lab.example.org"\n'),
        (["token", "--show-secrets"], f"{CANARY}\n"),
        (["deep", "--show-secrets"], f'{{"user": "ada", "password": "{CANARY}"}}\n'),
    ],
)
def test_one_of_them_is_its_value_alone(
    exported: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], out: str
) -> None:
    found = said(capfd, *arguments)
    assert found == out or json.loads(found) == json.loads(out)


@pytest.mark.parametrize("name", ["token", "deep"])
def test_a_secret_is_not_given_as_a_placeholder(exported: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    assert cli.run(["outputs", name]) == ExitCode.USAGE
    out, err = capfd.readouterr()
    assert out == ""
    assert "--show-secrets" in err
    assert CANARY not in err


def test_an_unknown_name_is_told_the_known_ones(exported: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["outputs", "urll"]) == ExitCode.USAGE
    assert "its outputs: deep, nodes, token, url" in capfd.readouterr().err


def test_before_the_first_up_it_says_so(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["outputs", "url"]) == ExitCode.USAGE
    assert "`labctl up` has not run" in capfd.readouterr().err
