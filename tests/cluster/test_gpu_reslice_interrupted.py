"""A change of slices that is cut off, crossed by another one, or loses its node or API server on the way."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
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
    Bed,
    became,
    ended,
    interrupted,
)
from simulated_operator import Fault

from labctl.control_plane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Callable

NODES = ("gpu-1", "gpu-2")

PHASES = ("draining", "refreshing", "cutting", "rolling-back")


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("phase", PHASES)
def test_a_run_cut_off_in_any_phase_is_gone_on_from(bed: Bed, phase: str, by: signal.Signals) -> None:
    wanted = bed.plan(LARGE).nodes["gpu-1"].labels["nvidia.com/mig.config"]
    bed.operator.work_seconds = 1.5
    if phase == "draining":
        bed.pod("notebook", SMALL_SLICE)
        bed.running("notebook")
    if phase == "rolling-back":
        bed.operator.faults[wanted] = Fault.FAILS
    process = bed.start(bed.plan(LARGE))
    eventually(lambda: bed.phase() == phase, 30)
    run = interrupted(process, by)
    if by is signal.SIGINT:
        assert run.code == 130
        assert "gpu-1: left " in run.out
        assert "cordoned by this command; the same command goes on from there" in run.out
    assert not bed.takes_pods()
    record = bed.record()
    assert record is not None
    assert record["former"]["allocatable"] == {SMALL_SLICE: 7}

    if phase == "draining":
        bed.end("notebook")
    again = bed.run(bed.plan(LARGE))
    if phase == "rolling-back":
        assert again.code == ROLLED_BACK, again
        bed.assert_at_rest(**{SMALL_SLICE: 7})
        bed.operator.faults.clear()
        again = bed.run(bed.plan(LARGE))
    assert again.code == DONE, again
    bed.assert_at_rest(**{LARGE_SLICE: 2})


def test_a_node_that_somebody_else_cordoned_stays_cordoned(bed: Bed) -> None:
    bed.api.merge("/api/v1/nodes/gpu-1", {"spec": {"unschedulable": True}})
    bed.well(bed.plan(LARGE))
    assert bed.offers() == {LARGE_SLICE: "2"}
    assert not bed.takes_pods()


def test_another_plan_over_one_that_is_half_applied(bed: Bed) -> None:
    bed.operator.work_seconds = 2
    process = bed.start(bed.plan(LARGE))
    eventually(lambda: bed.phase() == "cutting", 30)
    interrupted(process, signal.SIGKILL)
    third = {"2g.20gb": 3}
    run = bed.well(bed.plan(third))
    assert became(run) == {"gpu-1": "as planned"}
    bed.assert_at_rest(**{"nvidia.com/mig-2g.20gb": 3})
    assert len(bed.layouts()) == 2


def test_a_run_leaves_the_field_to_one_with_another_plan(bed: Bed) -> None:
    bed.pod("notebook", SMALL_SLICE)
    bed.running("notebook")
    first = bed.start(bed.plan(LARGE))
    eventually(lambda: bed.phase() == "draining")
    second = bed.start(bed.plan({"2g.20gb": 3}))
    run = ended(first)
    assert run.code == 69, run
    assert "another run with another plan goes on with node gpu-1" in run.err
    bed.end("notebook")
    assert ended(second).code == DONE
    bed.assert_at_rest(**{"nvidia.com/mig-2g.20gb": 3})


def test_groups_change_side_by_side_and_share_the_config_maps(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed(*NODES)
    documents = bed.plans(
        {
            "small": (["gpu-1"], {"kind": "mig", "layout": SMALL}),
            "turns": (["gpu-2"], {"kind": "timeSlicing", "replicas": 4}),
        }
    )
    processes = [bed.start(document) for document in documents.values()]
    assert [ended(process).code for process in processes] == [DONE, DONE]
    bed.assert_at_rest()
    assert (bed.offers("gpu-1"), bed.offers("gpu-2")) == ({SMALL_SLICE: "7"}, {"nvidia.com/gpu.shared": "4"})
    sharing = bed.node("gpu-2")["metadata"]["labels"]["nvidia.com/device-plugin.config"]
    assert set(bed.map("gpu-sharing")) == {"exclusive", sharing}

    # A host moves from one group to the other; the commands of both run at once.
    moved = bed.plans({"small": (NODES, {"kind": "mig", "layout": SMALL})})
    assert bed.run(documents["turns"], "release").code == DONE
    bed.well(moved["small"])
    bed.assert_at_rest(**{SMALL_SLICE: 7})
    assert set(bed.map("gpu-sharing")) == {"exclusive"}


def test_a_node_that_goes_away_meanwhile_is_reported(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed(*NODES)
    bed.well(bed.plan(SMALL, batch=2))
    bed.operator.work_seconds = 2
    process = bed.start(bed.plan(LARGE))
    eventually(lambda: bed.phase("gpu-1") == "cutting", 30)
    bed.api.delete("/api/v1/nodes/gpu-1")
    run = ended(process)
    assert run.code == BUSY, run
    assert became(run) == {"gpu-1": "not-reached", "gpu-2": "as planned"}
    assert "gpu-1: not-reached: there is no such node" in run.out
    assert bed.takes_pods("gpu-2")


def test_the_api_server_goes_and_comes_back(gpu_plane: ControlPlane, bed: Bed) -> None:
    bed.pod("notebook", SMALL_SLICE)
    bed.running("notebook")
    process = bed.start(bed.plan(LARGE, deadline="2m", settle="1m"))
    eventually(lambda: bed.phase() == "draining")
    gpu_plane.stop()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    gpu_plane.start()
    bed.end("notebook")
    run = ended(process, 120)
    assert run.code == DONE, run
    bed.assert_at_rest(**{LARGE_SLICE: 2})


def test_release_gives_up_labels_but_never_under_somebodys_feet(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed(*NODES)
    bed.well(bed.plan(SMALL, batch=2))
    bed.pod("notebook", SMALL_SLICE)
    busy = bed.running("notebook")["spec"]["nodeName"]
    (idle,) = set(NODES) - {busy}
    before = bed.layout(busy)
    run = bed.run(bed.plan(SMALL), "release")
    assert run.code == DONE, run
    assert f"{busy}: labels stay, GPUs are in use by {bed.users}/notebook" in run.out
    assert bed.layout(busy) == before
    assert before in bed.layouts()
    eventually(lambda: bed.layout(idle) == "all-disabled")
    bed.end("notebook")
    assert bed.run(bed.plan(SMALL), "release").code == DONE
    eventually(lambda: bed.layout(busy) == "all-disabled")


def test_a_kubeconfig_for_nobody_is_refused(bed: Bed, tmp_path: Path) -> None:
    broken = Bed(bed.api, "nonsense", bed.namespace, bed.nodes, bed.operator)
    run = broken.run(bed.plan(LARGE))
    assert run.code == 64
    assert "RESLICE_KUBECONFIG is not a kubeconfig" in run.err
