"""``labctl doctor`` on the local hub: it answers, starts a server for the test user, and is stopped."""

from __future__ import annotations

import json
from collections.abc import Generator

import pytest
from cluster_api import Object
from lab_copy import LabCopy, copy_project

from labctl.exit_codes import ExitCode
from labctl.local_hub.hub import LocalHub
from labctl.local_hub.programs import obtain_programs


@pytest.fixture(scope="module")
def hub_lab(tmp_path_factory: pytest.TempPathFactory) -> Generator[LabCopy]:
    """A lab whose hub runs."""
    obtain_programs(print)
    copied = copy_project(tmp_path_factory.mktemp("project"))
    lab = LabCopy(copied.root, copied.stack, {"LAB_HUB": "1"})
    lab.well("up", "--yes")
    yield lab
    LocalHub(lab.root / ".lab" / lab.stack, lab.plane).wipe()
    lab.plane.wipe()


def findings(lab: LabCopy, code: ExitCode, *arguments: str) -> list[Object]:
    ended = lab.run("doctor", "--json", "--only", "hub", *arguments)
    assert ended.code == code, ended.text
    return json.loads(ended.out)["checks"][0]["findings"]


def test_it_answers_and_starts_a_server(hub_lab: LabCopy) -> None:
    (found,) = findings(hub_lab, ExitCode.OK)
    assert "answers (JupyterHub " in found["what"]
    (found,) = findings(hub_lab, ExitCode.OK, "--spawn")
    assert "the test user's server started and stopped" in found["what"]
    pods = hub_lab.api.get("/api/v1/namespaces/hub-dev/pods")["items"]
    assert [pod["metadata"]["name"] for pod in pods if pod["metadata"]["name"].startswith("jupyter-")] == []


def test_it_is_stopped(hub_lab: LabCopy) -> None:
    LocalHub(hub_lab.root / ".lab" / hub_lab.stack, hub_lab.plane).stop()
    (found,) = findings(hub_lab, ExitCode.UNHEALTHY)
    assert found["state"] == "problem"
    assert "the proxy does not answer" in found["what"]
    assert found["remedy"] == "labctl up --stack dev, which starts it"
    hub_lab.well("up", "--yes")
    findings(hub_lab, ExitCode.OK)
