"""How one stack differs between two revisions of the project."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from labctl.cli import run
from labctl.exit_codes import ExitCode


def test_files_here_against_a_revision(revisions: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stack, pins = revisions / "Pulumi.dev.yaml", revisions / "stacks" / "pins" / "dev.yaml"
    assert run(["diff", "dev", "--base", "HEAD", "--exit-code"]) == ExitCode.OK
    assert "differ in nothing" in capfd.readouterr().out
    text = stack.read_text()
    stack.write_text(re.sub(r"culling: \{idle: \w+", "culling: {idle: 99h", text, count=1))
    assert stack.read_text() != text
    pins.write_text(re.sub(r"(?<=chart: jupyterhub\n    version: )\S+", "4.99.0", pins.read_text()))
    assert run(["diff", "dev", "--base", "HEAD", "--json", "--exit-code"]) == ExitCode.CHANGES
    shape = json.loads(capfd.readouterr().out)
    assert (shape["one"], shape["other"]) == ("dev at HEAD", "dev at the working tree")
    assert [(item["pin"], item["other"]) for item in shape["versions"]] == [("charts/jupyterhub", "4.99.0")]
    assert [(item["path"], item["other"]) for item in shape["configuration"]] == [("hub.culling.idle", "99h")]
    (items,) = shape["changed"].values()
    assert {item["path"]: item.get("byVersion", False) for item in items} == {
        "values.cull.timeout": False,
        "version": True,
    }
    assert (shape["onlyOne"], shape["onlyOther"]) == ([], [])
    stack.write_text("config: {research-compute:cluster: {name: x}}\n")
    assert run(["diff", "dev", "--base", "HEAD"]) == ExitCode.INVALID
    assert "dev cannot be built at the working tree" in capfd.readouterr().err


def test_what_is_not_there(revisions: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["diff", "dev", "--base", "no-such-branch"]) == ExitCode.USAGE
    assert "no revision 'no-such-branch'" in capfd.readouterr().err
    assert run(["diff", "prod-nowhere", "--base", "HEAD"]) == ExitCode.USAGE
    assert "neither HEAD nor the working tree has a Pulumi.prod-nowhere.yaml" in capfd.readouterr().err
