"""The capacity answers by the real scheduler: exact counts, full labs, what runs already, layouts, and no leftovers."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cluster_api import eventually
from lab_copy import LabCopy, ended

from labctl.capacity.answers import Case, count_each, fill_up, serve
from labctl.capacity.demand import Demand, even_demand
from labctl.capacity.machines import HOSTNAME_LABEL, Machine
from labctl.capacity.pods import Expression, Profile, Shape, Toleration
from labctl.capacity.reasons import message_counts
from labctl.capacity.simulator import Scheduler, running_scheduler
from labctl.control_plane import NodeTaint
from labctl.control_plane.progress import silent

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from components.model import Value

SLICE = "nvidia.com/mig-1g.10gb"
GIB = 2**30
HELD = Toleration(key="nvidia.com/gpu", operator="Exists", value="", effect="NoSchedule")
PACKING: Mapping[str, Value] = {
    "apiVersion": "kubescheduler.config.k8s.io/v1",
    "kind": "KubeSchedulerConfiguration",
    "profiles": [
        {"schedulerName": "default-scheduler"},
        {
            "schedulerName": "packing",
            "percentageOfNodesToScore": 100,
            "pluginConfig": [
                {
                    "name": "NodeResourcesFit",
                    "args": {
                        "scoringStrategy": {
                            "type": "MostAllocated",
                            "resources": [{"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1}],
                        }
                    },
                }
            ],
        },
    ],
}


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Generator[Scheduler]:
    with running_scheduler(tmp_path_factory.mktemp("capacity") / "runs", PACKING, print) as running:
        yield running


def machine(name: str, cpus: int = 8, slices: int = 0, pods: int = 110, **labels: str) -> Machine:
    taints = (NodeTaint(key="nvidia.com/gpu", value="present", effect="NoSchedule"),) if slices else ()
    extended = {SLICE: slices} if slices else {}
    return Machine(
        name=name,
        labels={HOSTNAME_LABEL: name, **labels},
        taints=taints,
        allocatable={"cpu": cpus * 1000, "memory": 64 * GIB, "pods": pods, **extended},
    )


def profile(slug: str, cpu: int = 1000, slices: int = 0, scheduler: str = "default-scheduler") -> Profile:
    requests = {"cpu": cpu, "memory": GIB, **({SLICE: slices} if slices else {})}
    shape = Shape(requests=tuple(sorted(requests.items())), tolerations=(HELD,) if slices else (), scheduler=scheduler)
    return Profile(slug=slug, name=slug, shape=shape, slice="1g.10gb" if slices else None, slice_count=slices)


def case(machines: list[Machine], profiles: list[Profile]) -> Case:
    return Case(machines=tuple(machines), profiles=tuple(profiles), packs=lambda name: name == "packing")


LAB = [
    *(machine(f"worker-{n}", cpus=6) for n in range(4)),
    machine("small", cpus=3, pods=2),
    *(machine(f"gpu-{n}", cpus=16, slices=7) for n in range(2)),
]
PROFILES = [profile("cpu"), profile("odd", cpu=1700), profile("gpu", cpu=2000, slices=1), profile("gpus", slices=3)]


def filled_by_hand(scheduler: Scheduler, lab: Case, shape: Shape) -> int:
    """Return how many pods of a shape the scheduler places on all the nodes of a lab, none of them left out."""
    scheduler.use(lab.machines)
    expected = lab.model().room(shape)
    return len(scheduler.place([shape] * (expected + 3), expected=expected).nodes)


def test_one_of_each_kind_of_node_multiplied_is_what_filling_all_nodes_gives(scheduler: Scheduler) -> None:
    lab = case(LAB, PROFILES)
    for per_node in (1, 2, 1000):
        assert count_each(scheduler, lab, silent, per_node=per_node) == {
            one.slug: filled_by_hand(scheduler, lab, one.shape) for one in PROFILES
        }


def test_nodes_with_a_load_are_counted_with_it(scheduler: Scheduler) -> None:
    loaded = [LAB[0].holding(profile("x", cpu=2500).shape, 2), *LAB[1:5], LAB[5].holding(PROFILES[2].shape, 4), LAB[6]]
    lab = case(loaded, PROFILES)
    counts = count_each(scheduler, lab, silent, per_node=2)
    assert counts == {one.slug: filled_by_hand(scheduler, lab, one.shape) for one in PROFILES}
    assert counts["cpu"] == 1 + 3 * 6 + 2
    assert counts["gpu"] == 3 + 7


def test_sums_that_promise_too_much_are_corrected_by_the_scheduler(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = case(LAB[:5], [PROFILES[0]])
    honest = Machine.room

    def promising(self: Machine, shape: Shape) -> int:
        return honest(self, shape) + 5

    monkeypatch.setattr(Machine, "room", promising)
    monkeypatch.setattr("labctl.capacity.simulator.SETTLE_SECONDS", 2.0)
    assert count_each(scheduler, lab, silent, per_node=1) == {"cpu": 4 * 6 + 2}


def test_a_mixture_is_full_when_one_does_not_fit_and_it_is_said_why(scheduler: Scheduler) -> None:
    lab = case(LAB, [PROFILES[0], PROFILES[2]])
    full = fill_up(scheduler, lab, Demand(source="test", shares={"cpu": 1.0, "gpu": 2.0}, users=None), silent)
    assert full.users["gpu"] == 14
    assert full.users["cpu"] in (7, 8)
    assert full.refusal.slug == "gpu"
    (short,) = full.refusal.shortages[:1]
    assert (short.resource, short.nodes) == (SLICE, ("gpu-0", "gpu-1"))
    taken = {one.resource: one for one in full.utilisation}
    assert taken[SLICE].share == 1.0
    assert taken["pods"].used == full.total
    assert taken["cpu"].used == full.users["cpu"] * 1000 + full.users["gpu"] * 2000
    said = message_counts(full.refusal.message)
    for found in full.refusal.shortages:
        # The scheduler names each lack of each node; ours names them too, where the pod is admitted at all.
        assert said[found.resource] == len(found.nodes) + len(found.without), full.refusal.message


def test_what_the_model_places_first_changes_little(scheduler: Scheduler) -> None:
    lab = case(LAB, [PROFILES[0], PROFILES[1]])
    demand = even_demand(["cpu", "odd"])
    whole = fill_up(scheduler, lab, demand, silent)
    partly = fill_up(scheduler, lab, demand, silent, by_scheduler=8)
    assert whole.by_scheduler == whole.total
    assert partly.by_scheduler < partly.total
    assert abs(whole.total - partly.total) <= 3


def test_pods_of_the_packing_scheduler_are_placed_and_packed(scheduler: Scheduler) -> None:
    packed = profile("packed", scheduler="packing")
    lab = case(LAB[:4], [packed])
    assert count_each(scheduler, lab, silent) == {"packed": 24}
    scheduler.use(lab.machines)
    assert sorted(Counter(scheduler.place([packed.shape] * 6, expected=6).nodes.values()).values()) == [6]
    assert serve(scheduler, lab, {"packed": 30}) == {"packed": 24}


def test_required_affinity_is_the_schedulers_too(scheduler: Scheduler) -> None:
    term = (Expression(key="zone", operator="In", values=("a", "b")),)
    lab = case([machine("n1", zone="a"), machine("n2", zone="c"), machine("n3")], [])
    shape = Shape(requests=(("cpu", 1000),), terms=(term,))
    assert filled_by_hand(scheduler, lab, shape) == 8 == lab.model().room(shape)


# -- the command -------------------------------------------------------------------------------------------------------

PILOT = Path(__file__).resolve().parents[2] / "docs" / "examples" / "rwth-pilot"


def no_leftovers(lab: LabCopy) -> None:
    folder = lab.root / ".lab" / lab.stack / "capacity"
    assert not folder.exists() or not list(folder.iterdir())
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert str(folder) not in process.read_bytes().decode(errors="replace")
        except OSError:
            continue


def test_the_pilot_of_rwth_is_served_and_full_at_a_multiple(project_copy: LabCopy) -> None:
    shutil.copy(PILOT / "Pulumi.dev-rwth.yaml", project_copy.root)
    lab = LabCopy(project_copy.root, "dev-rwth")
    drawn = lab.root / "pilot.svg"
    found = lab.well("capacity", "--json", "--demand", str(PILOT / "demand.yaml"), "--plot", str(drawn)).json
    assert len(found["profiles"]) == 33
    assert found["demand"]["total"] == 76
    assert found["demand"]["served"] is True
    assert found["full"]["users"] >= 76
    assert found["demand"]["multiple"] == pytest.approx(found["full"]["users"] / 76)
    assert found["full"]["refused"]["profile"] in {"machine-learning", "tensorflow", "pytorch"}
    assert found["full"]["refused"]["reason"] == "short of GPU slice whole.shared on gpu-1"
    # Seven nodes of 64 threads and 110 places each.
    fits = {one["profile"]: one["fits"] for one in found["profiles"]}
    assert fits["minimal"] == 7 * 110
    assert fits["algorithms"] == 7 * 64
    assert fits["lab-robotics"] == 7 * 32
    assert fits["machine-learning"] == 2 * 4
    assert drawn.read_text(encoding="utf-8").count("<rect") == 1 + 2 * (33 + len(found["full"]["utilisation"]))
    no_leftovers(lab)


def test_a_layout_that_serves_the_demand_is_found_and_its_lines_are_a_stack_file(
    project_copy: LabCopy, tmp_path: Path
) -> None:
    demand = tmp_path / "demand.yaml"
    demand.write_text("users: {gpu-half: 4, gpu-small: 4}\n", encoding="utf-8")
    before = project_copy.file.read_text(encoding="utf-8")
    found = project_copy.well("capacity", "--json", "--layouts", "--demand", str(demand)).json
    layouts = found["layouts"]
    assert found["demand"]["served"] is False
    assert sum(layouts["present"]["served"].values()) == 4 + 2
    assert layouts["best"]["served"] == {"gpu-half": 4, "gpu-small": 4}
    assert layouts["better"] is True
    # Only the groups are in the lines: they take the place of those in the file.
    start, end = before.index("      groups:\n", before.index("    gpu:\n")), before.index("    hub:\n")
    lines = [line for line in layouts["lines"] if line.strip() != "gpu:"]
    try:
        project_copy.file.write_text(before[:start] + "\n".join(lines) + "\n" + before[end:], encoding="utf-8")
        again = project_copy.well("capacity", "--json", "--demand", str(demand)).json
        assert again["demand"]["served"] is True
    finally:
        project_copy.file.write_text(before, encoding="utf-8")


def test_beside_what_runs_less_fits(project_copy: LabCopy) -> None:
    project_copy.well("up", "--yes")
    empty = {one["profile"]: one["fits"] for one in project_copy.well("capacity", "--json").json["profiles"]}
    api = project_copy.api
    limits = {SLICE: "1"}
    container = {"name": "n", "image": "x", "resources": {"requests": {"cpu": "4"}, "limits": limits}}
    spec = {"containers": [container], "tolerations": [{"operator": "Exists"}]}
    try:
        for number in range(3):
            api.post("/api/v1/namespaces/default/pods", {"metadata": {"name": f"busy-{number}"}, "spec": spec})
        eventually(
            lambda: all(api.get(f"/api/v1/namespaces/default/pods/busy-{n}")["spec"].get("nodeName") for n in range(3))
        )
        beside = project_copy.well("capacity", "--json", "--running").json
        fits = {one["profile"]: one["fits"] for one in beside["profiles"]}
        assert fits["gpu-small"] == empty["gpu-small"] - 3
        taken = {one["resource"]: one["used"] for one in beside["utilisationBefore"]}
        assert taken[SLICE] == 3
        assert taken["cpu"] >= 12000
    finally:
        for number in range(3):
            api.delete(f"/api/v1/namespaces/default/pods/busy-{number}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(project_copy: LabCopy, number: signal.Signals) -> None:
    process = project_copy.start("capacity")
    folder = project_copy.root / ".lab" / "dev" / "capacity" / str(process.pid) / "control-plane"
    eventually((folder / "run" / "kube-apiserver.json").exists, 60)
    process.send_signal(number)
    stopped = ended(process)
    assert stopped.code == 130, stopped.text
    assert "Traceback" not in stopped.text
    no_leftovers(project_copy)


def test_what_a_killed_run_leaves_the_next_removes(project_copy: LabCopy) -> None:
    process = project_copy.start("capacity")
    folder = project_copy.root / ".lab" / "dev" / "capacity" / str(process.pid) / "control-plane"
    eventually((folder / "run" / "kube-apiserver.json").exists, 60)
    process.kill()
    ended(process)
    record = json.loads((folder / "run" / "etcd.json").read_text(encoding="utf-8"))
    assert Path(f"/proc/{record['pid']}").exists()
    after = project_copy.well("capacity")
    assert "which is no more" in after.err
    no_leftovers(project_copy)


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--demand", "nowhere.yaml"), 3, "nowhere.yaml"),
        (("--spawns", "nowhere.csv"), 3, "no spawn in it"),
        (("--running",), 10, "cannot be read"),
    ],
)
def test_what_cannot_be_answered_is_refused_before_anything_starts(
    project_copy: LabCopy, options: tuple[str, ...], code: int, told: str
) -> None:
    if "--running" in options:
        project_copy.well("down")
    began = time.monotonic()
    refused = project_copy.run("capacity", *options)
    assert refused.code == code, refused.text
    assert told in refused.text
    assert time.monotonic() - began < 30
    no_leftovers(project_copy)
