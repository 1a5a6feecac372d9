"""How many GPUs are free, out of nodes and pods."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from components.hub.files.lab_hub.availability import Availability, Free, Want, figures, free_of, short_words, want_of

RESOURCE = "nvidia.com/mig-1g.10gb"
TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
TOLERATION = {"key": "nvidia.com/gpu", "operator": "Equal", "value": "present", "effect": "NoSchedule"}
A100 = {"matchExpressions": [{"key": "model", "operator": "In", "values": ["A100"]}]}
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
Thing = dict[str, object]


def node(
    name: str, slices: int, *, labels: dict[str, str] | None = None, ready: str = "True", cordoned: bool = False
) -> Thing:
    return {
        "metadata": {"name": name, "labels": labels or {"model": "A100"}},
        "spec": {"taints": [TAINT], "unschedulable": cordoned},
        "status": {"allocatable": {RESOURCE: str(slices)}, "conditions": [{"type": "Ready", "status": ready}]},
    }


def pod(name: str, where: str | None, *, count: int = 1, phase: str = "Running", ends: str | None = None) -> Thing:
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": f"2026-03-02T08:00:0{name[-1]}Z",
            "annotations": {} if ends is None else {"lab.internal/walltime-ends": ends},
        },
        "spec": {
            "containers": [{"name": "notebook", "resources": {"limits": {RESOURCE: str(count)}}}, {"name": "sidecar"}],
            **({} if where is None else {"nodeName": where}),
        },
        "status": {"phase": phase},
    }


def want(count: int = 1) -> Want:
    return Want(resource=RESOURCE, count=count, terms=(A100,), tolerations=(TOLERATION,))


def test_free_is_what_the_nodes_have_and_nobody_holds() -> None:
    nodes = [node("a", 7), node("b", 7)]
    pods = [pod("p1", "a"), pod("p2", "a", count=2), pod("p3", "b", phase="Succeeded"), pod("p4", None)]
    free = free_of(want(), nodes, pods)
    assert (free.total, free.used, free.free, free.places, free.waiting) == (14, 3, 11, 11, ("p4",))


@pytest.mark.parametrize(
    "closed",
    [
        node("b", 7, labels={"model": "H100"}),
        node("b", 7, ready="Unknown"),
        node("b", 7, cordoned=True),
    ],
    ids=["another model", "not ready", "cordoned"],
)
def test_a_node_that_takes_no_such_server_does_not_count(closed: Thing) -> None:
    assert free_of(want(), [node("a", 2), closed], []).total == 2


def test_without_the_toleration_a_tainted_node_does_not_count() -> None:
    assert free_of(Want(resource=RESOURCE), [node("a", 2)], []).total == 0


def test_two_that_are_free_on_two_nodes_are_no_place_for_a_server_that_needs_two() -> None:
    free = free_of(want(2), [node("a", 1), node("b", 1)], [])
    assert (free.free, free.places) == (2, 0)


def test_who_waits_is_told_their_place_and_when_the_next_is_free() -> None:
    ends = (NOW + timedelta(minutes=25)).isoformat()
    later = (NOW + timedelta(hours=3)).isoformat()
    pods = [pod("p1", "a", ends=later), pod("p2", "a", ends=ends), pod("p4", None), pod("p3", None)]
    free = free_of(want(), [node("a", 2)], pods)
    assert figures(want(), free, "p4", {}, NOW) == (
        "2 of 2 1g.10gb are in use. You are 2nd in line. The next one is free in 25 minutes at the latest."
    )
    assert short_words(free) == "none of 2 free, 2 waiting"


def test_an_end_that_is_no_time_is_passed_over() -> None:
    assert free_of(want(), [node("a", 2)], [pod("p1", "a", ends="soon")]).next_end is None


def test_a_kind_no_machine_offers_is_said_to_be_so() -> None:
    assert figures(want(), Free(total=0, used=0, places=0), "p", {RESOURCE: "small"}, NOW) == (
        "No machine offers small at the moment."
    )


def test_what_a_profile_wants_is_read_from_its_settings() -> None:
    settings = {
        "extra_resource_limits": {RESOURCE: 2},
        "node_affinity_required": [A100],
        "tolerations": [TOLERATION],
    }
    assert want_of(settings) == want(2)
    assert want_of({"extra_resource_limits": {"example.com/fpga": 1}}) is None
    assert want_of({}) is None


def test_any_number_of_viewers_cost_one_list_of_the_nodes() -> None:
    lists: list[int] = []

    async def nodes() -> list[Thing]:
        lists.append(1)
        await asyncio.sleep(0.01)
        return [node("a", 3)]

    async def day() -> None:
        availability = Availability(nodes)
        found = await asyncio.gather(*(availability.free(want(), []) for _ in range(200)))
        assert {free.total for free in found if free is not None} == {3}
        assert len(found) == 200

    asyncio.run(day())
    assert len(lists) == 1


def test_a_hub_that_may_not_see_nodes_shows_nothing() -> None:
    async def nodes() -> list[Thing]:
        raise PermissionError

    async def day() -> None:
        assert await Availability(nodes).free(want(), []) is None

    asyncio.run(day())
