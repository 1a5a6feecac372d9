"""A change of slices on a real API server and scheduler, by an operator that is played: every way it can go."""

from __future__ import annotations

import subprocess
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from cluster_api import eventually
from reslice_bed import (
    BUSY,
    DONE,
    LARGE,
    LARGE_SLICE,
    ROLLED_BACK,
    SMALL,
    SMALL_SLICE,
    STUCK,
    Bed,
    became,
    ended,
    now,
)
from simulated_operator import Fault

from components.gpu.reslice.record import EVICTION_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Callable

NODES = ("gpu-1", "gpu-2")


def test_the_first_cut_and_nothing_to_do_after_it(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed(*NODES)
    run = bed.well(bed.plan(SMALL))
    assert became(run) == dict.fromkeys(NODES, "as planned")
    bed.assert_at_rest(**{SMALL_SLICE: 7})
    assert bed.layout() in bed.layouts()
    assert sorted(name for name, _ in bed.operator.applied) == list(NODES)

    versions = [bed.node(name)["metadata"]["managedFields"] for name in NODES]
    again = bed.well(bed.plan(SMALL))
    assert again.out.splitlines()[:-1] == ["gpu-1: unchanged", "gpu-2: unchanged"]
    assert len(bed.operator.applied) == 2
    assert [bed.node(name)["metadata"]["managedFields"] for name in NODES] == versions


def test_running_pods_are_waited_for(bed: Bed) -> None:
    old = bed.layout()
    bed.pod("notebook", SMALL_SLICE)
    bed.running("notebook")
    process = bed.start(bed.plan(LARGE))
    eventually(lambda: bed.phase() == "draining")
    assert not bed.takes_pods()
    bed.pod("late", SMALL_SLICE)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    assert bed.running("notebook")["metadata"].get("annotations", {}).get(EVICTION_ANNOTATION) is None
    assert bed.offers() == {SMALL_SLICE: "7"}
    assert {old, bed.plan(LARGE).nodes["gpu-1"].labels["nvidia.com/mig.config"]} <= bed.layouts()

    bed.end("notebook")
    run = ended(process)
    assert run.code == DONE, run
    assert f"gpu-1: draining: GPUs are in use by {bed.users}/notebook" in run.out
    bed.assert_at_rest(**{LARGE_SLICE: 2})
    assert old not in bed.layouts()
    bed.pod("new", LARGE_SLICE)
    assert bed.running("new")["spec"]["nodeName"] == "gpu-1"
    bed.end("new")


def test_a_node_that_stays_busy_is_given_back_as_it_was(bed: Bed) -> None:
    before = bed.layout()
    bed.pod("notebook", SMALL_SLICE)
    bed.running("notebook")
    run = bed.run(bed.plan(LARGE, deadline="2s"))
    assert run.code == BUSY, run
    assert f"gpu-1: busy: still busy after 2s: {bed.users}/notebook" in run.out
    assert bed.layout() == before
    assert bed.exists("notebook")
    bed.assert_at_rest(**{SMALL_SLICE: 7})


def test_eviction_after_a_notice_and_only_on_the_named_host(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed(*NODES)
    bed.well(bed.plan(SMALL, batch=2))
    for node in NODES:
        bed.pod(f"on-{node}", SMALL_SLICE)
        where = bed.running(f"on-{node}")["spec"]["nodeName"]
        bed.api.merge(f"/api/v1/nodes/{where}", {"spec": {"unschedulable": True}})
    pods = {bed.running(f"on-{node}")["spec"]["nodeName"]: f"on-{node}" for node in NODES}
    assert set(pods) == set(NODES)
    for node in NODES:
        bed.api.merge(f"/api/v1/nodes/{node}", {"spec": {"unschedulable": None}})

    process = bed.start(bed.plan(LARGE, busy="evict", hosts=["gpu-2"], notice="3s", deadline="15s", batch=2))
    told = eventually(lambda: bed.running(pods["gpu-2"])["metadata"].get("annotations", {}).get(EVICTION_ANNOTATION))
    assert datetime.fromisoformat(told) > now()
    events = bed.api.get(f"/api/v1/namespaces/{bed.users}/events?fieldSelector=reason%3DGPUSlicesChange")["items"]
    (event,) = events
    assert event["involvedObject"]["name"] == pods["gpu-2"]
    assert f"evicted at {told}" in event["message"]
    eventually(lambda: not bed.exists(pods["gpu-2"]))
    assert now() >= datetime.fromisoformat(told)

    run = ended(process)
    assert run.code == BUSY, run
    assert became(run) == {"gpu-1": "busy", "gpu-2": "as planned"}
    assert bed.exists(pods["gpu-1"])
    assert EVICTION_ANNOTATION not in bed.running(pods["gpu-1"])["metadata"].get("annotations", {})
    bed.assert_at_rest()
    assert (bed.offers("gpu-1"), bed.offers("gpu-2")) == ({SMALL_SLICE: "7"}, {LARGE_SLICE: "2"})


def test_an_eviction_that_a_budget_forbids_ends_at_the_deadline(bed: Bed) -> None:
    api, users = bed.api, bed.users
    limits = {"limits": {SMALL_SLICE: "1"}}
    container = {"name": "main", "image": "registry.example/x@sha256:" + "0" * 64, "resources": limits}
    template = {
        "metadata": {"labels": {"app": "service"}},
        "spec": {
            "containers": [container],
            "nodeSelector": {"test": bed.namespace},
            "terminationGracePeriodSeconds": 0,
        },
    }
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "service"}}, "template": template}
    api.post(f"/apis/apps/v1/namespaces/{users}/deployments", {"metadata": {"name": "service"}, "spec": spec})
    path = f"/apis/apps/v1/namespaces/{users}/deployments/service"
    eventually(lambda: api.get(path)["status"].get("readyReplicas", 0) == 1, 60)
    budgets = f"/apis/policy/v1/namespaces/{users}/poddisruptionbudgets"
    budget = {"minAvailable": 1, "selector": {"matchLabels": {"app": "service"}}}
    api.post(budgets, {"metadata": {"name": "keeps-it"}, "spec": budget})
    eventually(lambda: api.get(f"{budgets}/keeps-it").get("status", {}).get("expectedPods", 0) > 0, 60)

    run = bed.run(bed.plan(LARGE, busy="evict", hosts=["gpu-1"], notice="0s", deadline="4s"))
    assert run.code == BUSY, run
    assert "gpu-1: busy: still busy after 4s: " in run.out
    assert "The disruption budget keeps-it needs 1 healthy pods and has 1 currently" in run.out
    (pod,) = api.get(f"/api/v1/namespaces/{users}/pods")["items"]
    assert EVICTION_ANNOTATION not in pod["metadata"].get("annotations", {})
    bed.assert_at_rest(**{SMALL_SLICE: 7})


@pytest.mark.parametrize("fault", [Fault.FAILS, Fault.HANGS, Fault.MISCOUNTS])
def test_a_node_that_does_not_come_back_as_planned_is_rolled_back(make_bed: Callable[..., Bed], fault: Fault) -> None:
    bed = make_bed(*NODES)
    bed.well(bed.plan(SMALL, batch=2))
    before, wanted = bed.layout(), bed.plan(LARGE).nodes["gpu-1"].labels["nvidia.com/mig.config"]
    bed.operator.faults[wanted] = fault
    run = bed.run(bed.plan(LARGE, settle="30s" if fault is Fault.FAILS else "8s"))
    assert run.code == ROLLED_BACK, run
    assert became(run) == {"gpu-1": "rolled-back", "gpu-2": "not-reached"}
    assert "gpu-2: not-reached: not begun, because gpu-1 did not come back as planned" in run.out
    assert {bed.layout(name) for name in NODES} == {before}
    bed.assert_at_rest(**{SMALL_SLICE: 7})

    bed.operator.faults.clear()
    bed.well(bed.plan(LARGE, batch=2))
    bed.assert_at_rest(**{LARGE_SLICE: 2})


def test_a_roll_back_that_fails_too_leaves_the_node_cordoned_and_says_so(bed: Bed) -> None:
    before, wanted = bed.layout(), bed.plan(LARGE).nodes["gpu-1"].labels["nvidia.com/mig.config"]
    bed.operator.faults |= {wanted: Fault.MISCOUNTS, before: Fault.FAILS}
    run = bed.run(bed.plan(LARGE, settle="8s"))
    assert run.code == STUCK, run
    assert "gpu-1: stuck: it offers 1x nvidia.com/mig-3g.40gb and not 2x nvidia.com/mig-3g.40gb" in run.out
    assert "rolled back, and then: it offers 1x nvidia.com/mig-3g.40gb and not 7x nvidia.com/mig-1g.10gb" in run.out
    assert bed.phase() == "stuck"
    assert not bed.takes_pods()

    bed.operator.faults.clear()
    bed.well(bed.plan(LARGE))
    bed.assert_at_rest(**{LARGE_SLICE: 2})
