"""The GPU operator as resources, recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from components.gpu.component import GpuOperator, GpuOperatorArgs
from components.gpu.config import GpuConfig
from components.gpu.plan import offered_slices, plan
from components.pins import ChartPin, Pins
from labctl.graph.errors import GraphError
from labctl.graph.program import Program
from labctl.graph.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpu_labs import Gpus

    from labctl.graph.goal import Goal

CHART = ChartPin(chart="gpu-operator", version="v26.7.0", repository="https://charts.example.org")
PINS = Pins.model_construct(charts={"gpu-operator": CHART}, images={})


def goals(config: GpuConfig, hosts: dict[str, Gpus | None], pins: Pins = PINS) -> Mapping[str, Goal]:
    """Return what the component registers in stack ``test``, by type and name, the stack itself left out."""
    args = GpuOperatorArgs(config=config, hosts=hosts, pins=pins, stack="test")

    def entry() -> None:
        operator = GpuOperator("gpu", args)
        assert operator.slices == offered_slices(config, hosts)

    graph = record(Program(project="p", stack="test", entry=entry))
    return {f"{goal.type}::{goal.name}": goal for goal in graph.goals if goal.parent}


def test_children_and_their_order(jsi: GpuConfig, jsi_hosts: dict[str, Gpus | None]) -> None:
    found = goals(jsi, jsi_hosts)
    policy = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
    assert set(found) == {
        "lab:index:GpuOperator::gpu",
        "lab:index:Namespace::gpu-namespace",
        "kubernetes:core/v1:Namespace::gpu-namespace",
        f"{policy}::gpu-namespace-default-deny",
        f"{policy}::gpu-namespace-operator-egress",
        "kubernetes:core/v1:ConfigMap::gpu-mig-layouts",
        "kubernetes:core/v1:ConfigMap::gpu-sharing",
        "kubernetes:core/v1:NodePatch::gpu-gpu1",
        "kubernetes:helm.sh/v3:Release::gpu-operator",
    }
    release = found["kubernetes:helm.sh/v3:Release::gpu-operator"]
    before = {urn.rsplit("::", 1)[1] for urn in release.dependencies}
    assert {"gpu-mig-layouts", "gpu-sharing", "gpu-gpu1", "gpu-namespace"} <= before
    component = found["lab:index:GpuOperator::gpu"].urn
    assert release.parent == component


def test_the_release_is_the_pinned_chart_with_the_planned_values(
    jsi: GpuConfig, jsi_hosts: dict[str, Gpus | None]
) -> None:
    inputs = goals(jsi, jsi_hosts)["kubernetes:helm.sh/v3:Release::gpu-operator"].inputs
    assert inputs["name"] == "gpu-operator-test"
    assert inputs["namespace"] == "gpu-operator-test"
    assert (inputs["chart"], inputs["version"]) == ("gpu-operator", "v26.7.0")
    assert inputs["values"] == plan(jsi, jsi_hosts).values
    assert inputs["skipAwait"] is True


def test_nodes_own_labels_and_nothing_else(jsi: GpuConfig, jsi_hosts: dict[str, Gpus | None]) -> None:
    inputs = goals(jsi, jsi_hosts)["kubernetes:core/v1:NodePatch::gpu-gpu1"].inputs
    labels = dict(plan(jsi, jsi_hosts).node_labels["gpu1"])
    assert inputs["metadata"] == {"name": "gpu1", "labels": labels}
    assert set(inputs) == {"apiVersion", "kind", "metadata"}


def test_config_maps_lie_in_the_operators_namespace(jsi: GpuConfig, jsi_hosts: dict[str, Gpus | None]) -> None:
    inputs = goals(jsi, jsi_hosts)["kubernetes:core/v1:ConfigMap::gpu-mig-layouts"].inputs
    planned = plan(jsi, jsi_hosts).mig_layouts
    assert inputs["metadata"] == {"name": planned.name, "namespace": "gpu-operator-test"}
    assert inputs["data"] == dict(planned.data)


def test_used_gpus_are_nobodys_resources() -> None:
    config = GpuConfig.model_validate({"use": {"slices": [{"slice": "1g.10gb", "count": 4}]}})
    assert set(goals(config, {})) == {"lab:index:GpuOperator::gpu"}


def test_a_missing_pin_is_named(jsi: GpuConfig, jsi_hosts: dict[str, Gpus | None]) -> None:
    with pytest.raises(GraphError, match="no chart 'gpu-operator' among the pins"):
        goals(jsi, jsi_hosts, Pins.model_construct(charts={}, images={}))
