"""What the API is told of pods that run here, and which pods kwok leaves alone."""

from __future__ import annotations

from typing import cast

from labctl.control_plane.client import JsonValue
from labctl.control_plane.kwok import STAGES
from labctl.control_plane.pods.model import RUN_LABEL, RUN_LOCALLY, Container, Metadata, Pod
from labctl.control_plane.pods.status import ContainerState, event, status_patch

POD = Pod(metadata=Metadata(name="jupyter-ada", namespace="hub-dev", uid="u-1"))
NOTEBOOK = Container(name="notebook", image="notebook@sha256:1")


def status(*states: ContainerState, phase: str) -> dict[str, JsonValue]:
    patch = status_patch(POD, states, phase=phase, address="127.70.0.1", since="2026-01-01T00:00:00Z")
    return cast("dict[str, JsonValue]", patch["status"])


def holds(found: dict[str, JsonValue], kind: str) -> bool:
    conditions = cast("list[dict[str, str]]", found["conditions"])
    return next(each["status"] for each in conditions if each["type"] == kind) == "True"


def test_a_pod_is_ready_when_all_its_containers_are() -> None:
    began = ContainerState(container=NOTEBOOK, started_at="2026-01-01T00:00:00Z")
    ready = ContainerState(container=NOTEBOOK, started_at="2026-01-01T00:00:00Z", is_ready=True)
    assert not holds(status(began, phase="Running"), "Ready")
    assert holds(status(ready, phase="Running"), "Ready")
    assert not holds(status(ready, began, phase="Running"), "Ready")
    assert not holds(status(ready, phase="Failed"), "Ready")
    assert status(ready, phase="Running")["podIPs"] == [{"ip": "127.70.0.1"}]


def test_how_a_container_ended_is_told_and_no_other_state_beside_it() -> None:
    ended = ContainerState(container=NOTEBOOK, started_at="a", finished_at="b", exit_code=137, message="killed")
    (shown,) = cast("list[dict[str, JsonValue]]", status(ended, phase="Failed")["containerStatuses"])
    state = cast("dict[str, JsonValue]", shown["state"])
    assert state["running"] is None
    assert state["waiting"] is None
    assert cast("dict[str, JsonValue]", state["terminated"])["exitCode"] == 137
    assert cast("dict[str, JsonValue]", state["terminated"])["reason"] == "Error"


def test_init_containers_have_a_list_of_their_own() -> None:
    first = ContainerState(container=NOTEBOOK, is_init=True)
    found = status(first, ContainerState(container=NOTEBOOK), phase="Pending")
    assert not holds(found, "Initialized")
    assert len(cast("list[object]", found["initContainerStatuses"])) == 1
    done = ContainerState(container=NOTEBOOK, is_init=True, started_at="a", exit_code=0)
    assert holds(status(done, phase="Pending"), "Initialized")


def test_an_event_names_its_pod() -> None:
    said = event(POD, "NotRun", "no such program", is_warning=True)
    assert said["type"] == "Warning"
    assert cast("dict[str, str]", said["involvedObject"])["uid"] == "u-1"


def test_every_stage_of_pods_leaves_those_alone_that_run_here() -> None:
    stages = [text for text in STAGES.read_text(encoding="utf-8").split("\n---\n") if "kind: Pod\n" in text]
    assert len(stages) == 3
    key = f"- key: '.metadata.labels[\"{RUN_LABEL}\"]'"
    left_alone = f"{key}\n      operator: 'NotIn'\n      values:\n      - '{RUN_LOCALLY}'"
    for stage in stages:
        assert left_alone in stage
