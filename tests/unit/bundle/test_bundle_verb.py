"""The verb as a person types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import urllib3

from labctl.cli import run
from labctl.exit_codes import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from bundle_samples import SmallBundle

SDK_WARNING = "ignore:This resource is deprecated.*CopyToRemote:DeprecationWarning"
"""The SDK's own, when it is first loaded."""


@pytest.mark.filterwarnings(SDK_WARNING)
def test_the_list_for_people_for_programs_and_as_a_file(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    file = tmp_path / "bundle.lock.json"
    asked = ["bundle", "--stack", "prod", "--architecture", "arm64", "--distribution", "noble"]
    assert run([*asked, "--lock", str(file)]) == ExitCode.OK
    shown = capsys.readouterr().out
    assert run([*asked, "--json", "--image", "docker.io/library/nginx:1.29"]) == ExitCode.OK
    printed = capsys.readouterr().out
    written = json.loads(file.read_text())
    assert {file["architecture"] for file in written["files"]} == {"arm64"}
    assert [packages["distribution"] for packages in written["packages"]] == ["noble"]
    more = json.loads(printed)
    assert {"reference": "docker.io/library/nginx:1.29", "wanted_by": ["the command line"]} in more["images"]
    more["images"] = [image for image in more["images"] if image["wanted_by"] != ["the command line"]]
    assert more == written
    for name in ("Files for hosts", "kubelet", "Packages of noble", "registry.k8s.io/pause", "jupyterhub"):
        assert name in shown


@pytest.mark.filterwarnings(SDK_WARNING)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bundle", "--architecture", "s390x"], "--architecture is amd64 or arm64, not s390x"),
        (["bundle", "--apt-source", "noble"], "is not CODENAME=LINE"),
        (["bundle", "serve", "--folder", "absent"], "there is no folder absent"),
        (["bundle", "serve", "--folder", ".", "--listen", "8080"], "it is not HOST:PORT"),
        (["bundle", "serve", "--folder", ".", "--certificate", "c"], "belong together"),
    ],
)
def test_a_wrong_command_line_is_said_to_be(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(root)
    assert run(arguments) == ExitCode.USAGE
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serving_until_it_is_told_to_stop(root: Path, small_bundle: SmallBundle, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "labctl", "bundle", "serve", "--folder", str(small_bundle.folder)]
    with subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True, cwd=root, env={**os.environ}
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "Ctrl-C ends it" in line
        url = next(word for word in line.split() if word.startswith("http://"))
        with urllib3.PoolManager(timeout=10, retries=False) as pool:
            assert pool.request("GET", f"{url}/v2/_catalog").status == 200
        process.send_signal(number)
        assert process.wait(10) == ExitCode.OK
        assert "GET /v2/_catalog 200" in process.stderr.read()
