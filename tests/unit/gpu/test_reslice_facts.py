"""What Kubernetes' objects say of a node: which pods hold GPUs, who owns which label, what is offered."""

from __future__ import annotations

import pytest
from reslice_world import LAYOUT, MANAGER, NEW, OLD, SHARING, at, facts, record

from components.gpu.reslice.decide import decide
from components.gpu.reslice.errors import DamagedRecordError
from components.gpu.reslice.facts import Kind, NodeFacts, is_gpu_resource, node_facts
from components.gpu.reslice.objects import NodeObject, PodObject
from components.gpu.reslice.record import ANNOTATION, EVICTION_ANNOTATION, Phase
from components.gpu.reslice.steps import Report

NAMESPACE = "gpu-operator-test"
SLICE = "nvidia.com/mig-1g.10gb"


def node(**metadata: object) -> NodeObject:
    return NodeObject.model_validate(
        {
            "metadata": {
                "name": "gpu-1",
                "resourceVersion": "7",
                "labels": {LAYOUT: "a100-old", "zone": "b"},
                **metadata,
            },
            "spec": {"unschedulable": True, "podCIDR": "10.244.1.0/24"},
            "status": {
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
                "allocatable": {SLICE: "7", "nvidia.com/gpu": "0", "nvidia.com/hostdev": "2", "cpu": "32"},
            },
        }
    )


def pod(
    name: str,
    *,
    limits: dict[str, str] | None = None,
    init: dict[str, str] | None = None,
    metadata: dict[str, object] | None = None,
    **parts: object,
) -> PodObject:
    metadata = {"name": name, "namespace": "users", "uid": f"{name}-uid", **(metadata or {})}
    containers = [{"name": "main", "resources": {"limits": limits or {}}}, {"name": "side"}]
    spec = {"containers": containers, "initContainers": [{"resources": {"requests": init or {}}}]}
    return PodObject.model_validate({"metadata": metadata, "spec": spec, "status": {"phase": "Running", **parts}})


def found(*pods: PodObject, of: NodeObject | None = None) -> NodeFacts:
    return node_facts(of or node(), pods, manager=MANAGER, namespace=NAMESPACE)


def test_a_node_says_what_it_offers_and_how_it_is() -> None:
    seen = found()
    assert seen.allocatable == {SLICE: 7}
    assert seen.labels == {LAYOUT: "a100-old"}
    assert (seen.is_ready, seen.is_unschedulable, seen.version, seen.record) == (True, True, "7", None)


def test_a_count_in_thousands() -> None:
    many = NodeObject.model_validate(
        {"metadata": {"name": "gpu-1"}, "status": {"allocatable": {"nvidia.com/mig-1g.10gb.shared": "2k"}}}
    )
    assert found(of=many).allocatable == {"nvidia.com/mig-1g.10gb.shared": 2000}
    assert not found(of=many).is_ready


@pytest.mark.parametrize(
    ("held", "holds"),
    [
        (pod("a", limits={SLICE: "1"}), True),
        (pod("a", limits={"nvidia.com/gpu.shared": "1"}), True),
        (pod("a", init={"nvidia.com/gpu": "1"}), True),
        (pod("a", limits={SLICE: "1"}, phase="Pending"), True),
        (pod("a", limits={SLICE: "1"}, phase="Succeeded"), False),
        (pod("a", limits={SLICE: "1"}, phase="Failed"), False),
        (pod("a", limits={SLICE: "0"}), False),
        (pod("a", limits={"nvidia.com/hostdev": "1", "cpu": "8"}), False),
        (pod("a", limits={SLICE: "1"}, metadata={"namespace": NAMESPACE}), False),
    ],
)
def test_which_pods_hold_gpus(held: PodObject, *, holds: bool) -> None:
    assert [str(holder) for holder in found(held).holders] == (["users/a"] if holds else [])


def test_what_an_eviction_would_do_to_a_pod() -> None:
    owner = {"kind": "DaemonSet", "name": "agent", "controller": True}
    seen = found(
        pod("a", limits={SLICE: "1"}, metadata={"annotations": {EVICTION_ANNOTATION: "2026-11-22T12:15:00Z"}}),
        pod("b", limits={SLICE: "1"}, metadata={"annotations": {"kubernetes.io/config.mirror": "x"}}),
        pod(
            "c", limits={SLICE: "1"}, metadata={"ownerReferences": [owner], "deletionTimestamp": "2026-11-22T12:00:00Z"}
        ),
    )
    assert [holder.kind for holder in seen.holders] == [Kind.ORDINARY, Kind.STATIC, Kind.DAEMON]
    assert [holder.is_ending for holder in seen.holders] == [False, False, True]
    assert [holder.told for holder in seen.holders] == ["2026-11-22T12:15:00Z", None, None]


def test_the_operators_pods() -> None:
    ours: dict[str, object] = {"namespace": NAMESPACE, "labels": {"app": "nvidia-mig-manager"}}
    seen = found(
        pod("m", metadata=ours, conditions=[{"type": "Ready", "status": "True"}]),
        pod("d", metadata={**ours, "labels": {"app": "nvidia-dcgm-exporter"}}),
        pod("x", metadata={**ours, "namespace": "users"}),
    )
    (operand,) = seen.operands
    assert (operand.name, operand.is_running, operand.is_ready, operand.is_ending) == ("m", True, True, False)


def test_who_owns_a_label() -> None:
    def entry(manager: str, operation: str, label: str, **more: str) -> dict[str, object]:
        labels: dict[str, object] = {".": {}, f"f:{label}": {}, "f:nvidia.com/mig.config.state": {}}
        fields = {"f:metadata": {"f:labels": labels}}
        return {"manager": manager, "operation": operation, "fieldsV1": fields, **more}

    seen = found(
        of=node(
            managedFields=[
                entry(MANAGER, "Apply", LAYOUT),
                entry(MANAGER, "Update", SHARING),
                entry("somebody", "Apply", "zone"),
                entry(MANAGER, "Apply", SHARING, subresource="status"),
            ]
        )
    )
    assert seen.owned == {LAYOUT}


def test_a_record_survives_the_annotation_and_a_damaged_one_is_named() -> None:
    kept = record(Phase.CUTTING, stale={"nvidia-mig-manager": "u"})
    assert found(of=node(annotations={ANNOTATION: kept.render()})).record == kept
    with pytest.raises(DamagedRecordError, match="kubectl annotate node gpu-1 research-compute/reslice-"):
        found(of=node(annotations={ANNOTATION: '{"phase": "dancing"}'}))


def test_other_devices_of_nvidias_are_not_gpus() -> None:
    names = ["nvidia.com/gpu", "nvidia.com/gpu.shared", SLICE, f"{SLICE}.shared", "nvidia.com/hostdev", "amd.com/gpu"]
    assert [is_gpu_resource(name) for name in names] == [True, True, True, True, False, False]


def test_a_goal_with_labels_of_its_own_is_known_by_them() -> None:
    goal = NEW.model_copy(update={"labels": {**NEW.labels, "zone": "b"}})
    seen = node_facts(node(), (), manager=MANAGER, namespace=NAMESPACE, watched=goal.labels)
    assert seen.labels == {LAYOUT: "a100-old", "zone": "b"}
    assert not isinstance(decide(facts(labels={**OLD.labels, "zone": "b"}), goal, at()), Report)
