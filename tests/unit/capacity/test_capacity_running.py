"""What runs in a cluster, from its objects: requests as the scheduler counts them, nodes that take no pods left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labctl.capacity.running import pod_requests, running_machines
from labctl.capacity.tables import bar

if TYPE_CHECKING:
    from collections.abc import Mapping


def container(restarts: str | None = None, **requests: str) -> dict[str, object]:
    named = {key.replace("gpu", "nvidia.com/gpu"): value for key, value in requests.items()}
    return {"resources": {"requests": named}, **({"restartPolicy": restarts} if restarts else {})}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"containers": [container(cpu="1"), container(cpu="500m", gpu="1")]}, {"cpu": 1500, "nvidia.com/gpu": 1}),
        (
            {"containers": [container(cpu="1")], "initContainers": [container(cpu="3", memory="1Ki")]},
            {"cpu": 3000, "memory": 1024},
        ),
        (
            {
                "containers": [container(cpu="1")],
                "initContainers": [container("Always", cpu="1"), container(cpu="500m")],
            },
            {"cpu": 2000},
        ),
        (
            {"containers": [container(cpu="1")], "initContainers": [container("Always", cpu="1"), container(cpu="3")]},
            {"cpu": 4000},
        ),
        (
            {"containers": [container(cpu="1")], "initContainers": [container(cpu="3"), container("Always", cpu="1")]},
            {"cpu": 3000},
        ),
        ({"containers": [container(cpu="1")], "overhead": {"cpu": "250m"}}, {"cpu": 1250}),
        ({"containers": [container(cpu="1")], "resources": {"requests": {"cpu": "5"}}}, {"cpu": 5000}),
        ({"containers": [container()]}, dict[str, int]()),
    ],
)
def test_requests_are_counted_as_the_scheduler_does(spec: Mapping[str, object], expected: Mapping[str, int]) -> None:
    assert pod_requests(spec) == expected


def node(name: str, *, ready: str = "True", **spec: object) -> dict[str, object]:
    conditions = [{"type": "Ready", "status": ready}]
    allocatable = {"cpu": "7900m", "memory": "30Gi", "pods": "110"}
    return {
        "metadata": {"name": name, "labels": {"zone": "a"}},
        "spec": spec,
        "status": {"conditions": conditions, "allocatable": allocatable},
    }


def pod(node_name: str | None, phase: str = "Running") -> dict[str, object]:
    spec: dict[str, object] = {"containers": [container(cpu="1")]}
    return {"spec": spec | ({"nodeName": node_name} if node_name else {}), "status": {"phase": phase}}


def test_nodes_carry_what_their_pods_asked_for() -> None:
    nodes = [node("b", taints=[{"key": "k", "effect": "NoSchedule"}]), node("a"), node("c", unschedulable=True)]
    nodes.append(node("d", ready="Unknown"))
    pods = [pod("a"), pod("a", "Pending"), pod("a", "Succeeded"), pod(None), pod("c")]
    machines, away = running_machines(nodes, pods)
    assert [machine.name for machine in machines] == ["a", "b"]
    assert away == ("c", "d")
    assert machines[0].used == {"cpu": 2000, "pods": 2}
    assert machines[0].free("cpu") == 5900
    assert machines[1].taints[0].effect == "NoSchedule"
    assert machines[1].labels == {"zone": "a"}


def test_bars_are_as_long_as_their_share() -> None:
    assert [len(bar(share).rstrip()) for share in (0.0, 0.5, 1.0, 7.0)] == [0, 12, 24, 24]
    assert bar(0.003) != bar(0.0), "something is visible from a three-hundredth on"
