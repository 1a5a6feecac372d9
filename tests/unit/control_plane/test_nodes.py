"""Simulated nodes: what is registered, and what a change comes to."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.control_plane.nodes import FIELD_MANAGER, LiveNode, NodeTaint, SimulatedNode, registration, status_patch
from labctl.control_plane.quantities import amount, same_amount

CAPACITY = {"cpu": "32", "memory": "256Gi", "pods": "110", "nvidia.com/mig-1g.10gb": "7"}


def node(**changes: object) -> SimulatedNode:
    fields: dict[str, object] = {"name": "gpu1", "address": "10.0.0.1", "capacity": CAPACITY}
    return SimulatedNode(**{**fields, **changes})  # pyright: ignore[reportArgumentType] - a table of changes


def live(**status: object) -> LiveNode:
    good = {
        "capacity": CAPACITY,
        "allocatable": CAPACITY,
        "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": "gpu1"}],
    }
    return LiveNode.model_validate({"metadata": {"name": "gpu1"}, "status": {**good, **status}})


def test_a_node_registers_with_all_a_pod_must_not_miss() -> None:
    taint = NodeTaint(key="nvidia.com/gpu", value="present", effect="NoSchedule")
    body = json.loads(json.dumps(registration(node(taints=(taint,)))))
    assert body["spec"]["taints"] == [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]
    assert body["status"]["capacity"] == body["status"]["allocatable"] == CAPACITY
    assert body["status"]["addresses"][0] == {"type": "InternalIP", "address": "10.0.0.1"}
    assert body["status"]["nodeInfo"]["kubeletVersion"].startswith("v1.")
    assert "spec" not in registration(node())


@pytest.mark.parametrize(
    ("status", "patch"),
    [
        ({}, {}),
        (
            {"capacity": {**CAPACITY, "cpu": "16"}},
            {"capacity": {"cpu": "32"}},
        ),
        (
            {"allocatable": {**CAPACITY, "nvidia.com/gpu": "1"}},
            {"allocatable": {"nvidia.com/gpu": None}},
        ),
        (
            {"capacity": {}},
            {"capacity": CAPACITY},
        ),
        ({"capacity": {**CAPACITY, "memory": "262144Mi"}}, {}),
        (
            {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": "gpu1"}]},
            {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": "gpu1"}]},
        ),
    ],
)
def test_only_what_differs_is_patched(status: dict[str, object], patch: dict[str, object]) -> None:
    assert status_patch(node(), live(**status)) == patch


def test_a_node_without_an_address_keeps_the_one_kwok_shows() -> None:
    shown = [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": "gpu1"}]
    assert status_patch(node(address=None), live(addresses=shown)) == {}


def test_only_our_own_labels_count_as_applied() -> None:
    def entry(manager: str, *labels: str) -> dict[str, object]:
        owned: dict[str, dict[str, str]] = {f"f:{label}": {} for label in labels} | {".": {}}
        return {"manager": manager, "operation": "Apply", "fieldsV1": {"f:metadata": {"f:labels": owned}}}

    managed = [
        entry("pulumi-kubernetes", "pool"),
        entry(FIELD_MANAGER, "zone", "kubernetes.io/os"),
        {"manager": "kwok"},
    ]
    parsed = LiveNode.model_validate({"metadata": {"name": "n", "managedFields": managed}})
    assert parsed.applied_labels == {"zone", "kubernetes.io/os"}
    assert not parsed.is_ours


@pytest.mark.parametrize(
    ("conditions", "taints", "ready"),
    [
        ([{"type": "Ready", "status": "True"}], [], True),
        ([{"type": "Ready", "status": "True"}], [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}], True),
        ([{"type": "Ready", "status": "True"}], [{"key": "node.kubernetes.io/not-ready"}], False),
        ([{"type": "Ready", "status": "Unknown"}], [], False),
        ([{"type": "DiskPressure", "status": "True"}], [], False),
        ([], [], False),
    ],
)
def test_ready_means_that_a_pod_could_start(conditions: list[object], taints: list[object], *, ready: bool) -> None:
    body = {"metadata": {"name": "n"}, "spec": {"taints": taints}, "status": {"conditions": conditions}}
    assert LiveNode.model_validate(body).is_ready is ready


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("0", "0"), ("1", "1"), ("500m", "0.5"), ("1k", "1000"), ("1Ki", "1024"), ("1.5Gi", str(3 * 2**29)),
        ("12e3", "12000"), ("1E", str(10**18)), ("100n", "0.0000001"), ("-5", "-5"),
    ],
)  # fmt: skip
def test_amounts(quantity: str, expected: str) -> None:
    assert amount(quantity) == Decimal(expected)


@pytest.mark.parametrize("text", ["", "Gi", "1 Gi", "1GiB", "one"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no Kubernetes quantity"):
        amount(text)


@given(st.integers(min_value=0, max_value=10**6))
def test_the_same_amount_however_it_is_written(number: int) -> None:
    assert same_amount(f"{number}Gi", f"{number * 1024}Mi")
    assert same_amount(f"{number}", f"{number * 1000}m")
    assert same_amount(f"{number}Gi", f"{number}G") is (number == 0)
    assert not same_amount(f"{number}", None)
