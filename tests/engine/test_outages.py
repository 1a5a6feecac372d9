"""The API server does not answer: nothing is lost or doubled, and the next run goes on."""

import re
import socket
from pathlib import Path
from typing import Final

import pytest
from contract_api import Api
from contract_engines import PROJECT, EmbeddedEngine
from normal_form import state_by_urn, steps_by_urn

PROGRAMS: Final = [Path(__file__).with_name("cases") / "mutable-contents" / f"step{number}.py" for number in (1, 2)]


@pytest.fixture
def closed_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.cluster
def test_a_server_that_does_not_answer_costs_nothing_but_the_run(
    tmp_path: Path, namespace: str, kubeconfig: str, api: Api, closed_port: int
) -> None:
    engine = EmbeddedEngine(folder=tmp_path, config={f"{PROJECT}:namespace": namespace})
    dead = re.sub(r"https://127\.0\.0\.1:\d+", f"https://127.0.0.1:{closed_port}", kubeconfig)
    here = tmp_path / "kubeconfig"

    here.write_text(dead, encoding="utf-8")
    first = engine.preview(PROGRAMS[0])
    assert (first.exit_status, first.plan["changeSummary"]) == (0, {"create": 4})
    outcome = engine.up(PROGRAMS[0])
    assert outcome.exit_status == 1
    assert str(closed_port) in outcome.text

    here.write_text(kubeconfig, encoding="utf-8")
    assert engine.up(PROGRAMS[0]).exit_status == 0
    before = state_by_urn(engine.export())

    here.write_text(dead, encoding="utf-8")
    assert engine.up(PROGRAMS[1]).exit_status == 1
    assert engine.destroy().exit_status == 1
    after = state_by_urn(engine.export())
    assert after.keys() == before.keys()
    kept = [urn for urn in before if "::pulumi:providers:" not in urn]
    assert {urn: after[urn]["inputs"] for urn in kept if "inputs" in after[urn]} == {
        urn: before[urn]["inputs"] for urn in kept if "inputs" in before[urn]
    }

    here.write_text(kubeconfig, encoding="utf-8")
    assert engine.up(PROGRAMS[1]).exit_status == 0
    assert steps_by_urn(engine.preview(PROGRAMS[1]).plan) == {}
    assert not engine.export()["deployment"].get("pending_operations")  # what nobody knew the end of is settled
    live = api.find(f"/api/v1/namespaces/default/configmaps/{namespace}")
    assert live is not None
    assert live["data"] == {"kept": "one", "added": "3"}
    assert engine.destroy().exit_status == 0
    assert api.find(f"/api/v1/namespaces/default/configmaps/{namespace}") is None
