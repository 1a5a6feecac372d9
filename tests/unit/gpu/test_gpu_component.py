"""The GPU operator as resources, recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pytest

from components.gpu.component import CONTEXT, KUBECONFIG, RESLICE, GpuOperator, GpuOperatorArgs
from components.gpu.config import GpuConfig
from components.gpu.plan import offered_slices, plan
from components.gpu.reslice import __main__ as reslice_command
from components.gpu.reslice import cluster as reslice_cluster
from components.gpu.reslice.document import parse
from components.pins import ChartPin, Pins
from labctl.graph.errors import GraphError
from labctl.graph.program import Program
from labctl.graph.record import record
from labctl.graph.values import Secret, as_mapping, reveal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpu_labs import Gpus

    from labctl.graph.goal import Goal

CHART = ChartPin(chart="gpu-operator", version="v26.7.0", repository="https://charts.example.org")
KUBECONFIG_TEXT = "apiVersion: v1"
"""Stands for a kubeconfig."""
PINS = Pins.model_construct(charts={"gpu-operator": CHART}, images={})


def goals(config: GpuConfig, hosts: dict[str, Gpus | None], pins: Pins = PINS) -> Mapping[str, Goal]:
    """Return what the component registers in stack ``test``, by type and name, the stack itself left out."""

    def entry() -> None:
        kubeconfig = pulumi.Output.secret(KUBECONFIG_TEXT)
        args = GpuOperatorArgs(
            config=config, hosts=hosts, pins=pins, stack="test", kubeconfig=kubeconfig, context="admin@lab"
        )
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
        "kubernetes:helm.sh/v3:Release::gpu-operator",
        "command:local:Command::gpu-a100",
    }
    release = found["kubernetes:helm.sh/v3:Release::gpu-operator"]
    command = found["command:local:Command::gpu-a100"]
    assert release.urn in command.dependencies
    component = found["lab:index:GpuOperator::gpu"].urn
    assert release.parent == command.parent == component


def test_the_release_is_the_pinned_chart_with_the_planned_values(
    jsi: GpuConfig, jsi_hosts: dict[str, Gpus | None]
) -> None:
    inputs = goals(jsi, jsi_hosts)["kubernetes:helm.sh/v3:Release::gpu-operator"].inputs
    assert inputs["name"] == "gpu-operator-test"
    assert inputs["namespace"] == "gpu-operator-test"
    assert (inputs["chart"], inputs["version"]) == ("gpu-operator", "v26.7.0")
    assert inputs["values"] == plan(jsi, jsi_hosts).values
    assert inputs["skipAwait"] is True


def test_a_groups_command_gets_its_plan_and_the_kubeconfig_as_a_secret(
    jsi: GpuConfig, jsi_hosts: dict[str, Gpus | None]
) -> None:
    inputs = goals(jsi, jsi_hosts)["command:local:Command::gpu-a100"].inputs
    document, planned = parse(str(inputs["stdin"])), plan(jsi, jsi_hosts)
    assert document.namespace == "gpu-operator-test"
    assert {name: node.labels for name, node in document.nodes.items()} == {"gpu1": dict(planned.nodes["gpu1"].labels)}
    assert document.nodes["gpu1"].allocatable == dict(planned.nodes["gpu1"].allocatable)
    assert dict(document.mig_layouts) == dict(planned.mig_layouts)

    environment = as_mapping(inputs["environment"])
    assert isinstance(environment[KUBECONFIG], Secret)
    assert {name: reveal(value) for name, value in environment.items()} == {
        KUBECONFIG: KUBECONFIG_TEXT,
        CONTEXT: "admin@lab",
    }
    assert KUBECONFIG_TEXT not in str(inputs["stdin"])
    assert inputs["create"] == inputs["update"] == RESLICE
    assert inputs["delete"] == f"{RESLICE} release"
    assert "triggers" not in inputs
    assert inputs["addPreviousOutputInEnv"] is False


def test_another_layout_is_a_change_of_its_own_group_only(
    mixed_lab: GpuConfig, mixed_hosts: dict[str, Gpus | None]
) -> None:
    half = mixed_lab.groups["half"].model_copy(update={"slicing": mixed_lab.groups["cut"].slicing})
    changed = mixed_lab.model_copy(update={"groups": {**mixed_lab.groups, "half": half}})
    before, after = goals(mixed_lab, mixed_hosts), goals(changed, mixed_hosts)
    assert set(before) == set(after)
    assert [name for name in before if before[name].inputs != after[name].inputs] == ["command:local:Command::gpu-half"]


def test_the_command_reads_what_the_component_sets() -> None:
    assert reslice_command.CONTEXT == CONTEXT
    assert reslice_cluster.KUBECONFIG == KUBECONFIG


def test_used_gpus_are_nobodys_resources() -> None:
    config = GpuConfig.model_validate({"use": {"slices": [{"slice": "1g.10gb", "count": 4}]}})
    assert set(goals(config, {})) == {"lab:index:GpuOperator::gpu"}


def test_a_missing_pin_is_named(jsi: GpuConfig, jsi_hosts: dict[str, Gpus | None]) -> None:
    with pytest.raises(GraphError, match="no chart 'gpu-operator' among the pins"):
        goals(jsi, jsi_hosts, Pins.model_construct(charts={}, images={}))
