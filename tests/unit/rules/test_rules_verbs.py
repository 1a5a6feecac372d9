"""`labctl preview` shows broken rules and ends with 14; `labctl up` refuses before it touches anything."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from rule_graphs import ROOT

from labctl.cli import run
from labctl.engine.operations import deploy
from labctl.engine.plan import Op
from labctl.engine.report import Report
from labctl.engine.run import Run
from labctl.engine.state import Snapshot
from labctl.exit_codes import ExitCode
from labctl.lab import Lab, open_lab
from labctl.rules import BrokenRulesError, broken_rules, planned_resources
from labctl.verbs import up as up_verb

COPIED = ("Pulumi.yaml", "Pulumi.next.yaml", "Pulumi.dev.yaml", "__main__.py")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a project of its own whose rules have no exception."""
    for name in COPIED:
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    return tmp_path


def exceptions(project: Path, text: str | None = None) -> None:
    (project / "policies").mkdir()
    if text is None:
        shutil.copy(ROOT / "policies" / "exceptions.yaml", project / "policies")
    else:
        (project / "policies" / "exceptions.yaml").write_text(text, encoding="utf-8")


def test_a_preview_without_violations(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exceptions(project)
    assert run(["preview", "--stack", "next", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["policyViolations"] == []
    assert run(["preview", "--stack", "next"]) == ExitCode.OK
    assert "Rules broken" not in capsys.readouterr().out


def test_a_preview_shows_what_is_broken_and_says_so(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["preview", "--stack", "next"]) == ExitCode.POLICY
    told = capsys.readouterr()
    assert "Rules broken: 7" in told.out
    assert "kubernetes:core/v1:Namespace gpu-namespace" in told.out
    assert "mandatory pod-security at metadata.labels" in told.out
    assert "mandatory rules are broken in 7 places" in told.err
    assert "Traceback" not in told.out + told.err
    assert run(["preview", "--stack", "next", "--json"]) == ExitCode.POLICY
    found = json.loads(capsys.readouterr().out)["policyViolations"]
    assert len(found) == 7
    assert found == sorted(found, key=lambda each: (each["urn"], each["path"], each["rule"]))


def test_a_wrong_file_of_exceptions(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exceptions(project, "exceptions: [{rule: pod-security, resource: a::b, reason: no}]\n")
    assert run(["preview", "--stack", "next"]) == ExitCode.INVALID
    assert "policies/exceptions.yaml is wrong, nothing was touched: exceptions.yaml: exceptions.0.reason" in (
        capsys.readouterr().err
    )


def test_the_json_of_a_plan_is_what_the_rules_judge() -> None:
    lab = open_lab("next", ROOT)
    planned = Run(old=Snapshot((), ()), providers=lab.providers())
    deploy(lab.program(), planned)
    resources = planned_resources(planned.report)
    assert {each.urn for each in resources} == {step.urn for step in planned.report.visible() if step.op is Op.CREATE}
    assert broken_rules(ROOT, "next", resources) == ()


class TouchedError(Exception):
    """Something was about to be touched."""


def nothing(_lab: Lab) -> None:
    """Miss no secret: the fixture's stack has none."""


def touched(*_arguments: object, **_options: object) -> None:
    raise TouchedError


@pytest.fixture
def update(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every way to touch something raise, but for the plan."""
    monkeypatch.setattr(Lab, "require_deployable", nothing)
    monkeypatch.setattr(up_verb, "deploy", touched)
    monkeypatch.setattr(up_verb, "_forget_gone", touched)


@pytest.mark.usefixtures("update")
def test_an_update_is_refused_before_anything_is_touched(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", "--stack", "next", "--yes", "--no-hub"]) == ExitCode.POLICY
    told = capsys.readouterr()
    assert "Rules broken: 7" in told.err
    assert "refused, nothing was touched" in told.err
    assert not [path for path in (project / ".lab").rglob("*.json") if "research-compute" in str(path)], "no state"


@pytest.mark.usefixtures("update")
def test_an_update_that_keeps_the_rules_goes_on(project: Path) -> None:
    exceptions(project)
    with pytest.raises(TouchedError):
        up_verb.up("next", yes=True, refresh=False, parallel=1, allow_destroy=(), hub=False)


def test_a_refusal_counts() -> None:
    assert "a mandatory rule is broken;" in str(BrokenRulesError(1))
    assert BrokenRulesError.exit_code is ExitCode.POLICY
    assert planned_resources(Report()) == ()
