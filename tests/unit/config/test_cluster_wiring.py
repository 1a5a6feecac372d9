"""The whole program, recorded: a preview needs nothing but the stack's file, and nothing is touched without secrets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pytest

from labctl.graph.errors import ProgramError
from labctl.graph.monitor import Answer, ResourceMonitor
from labctl.graph.program import Program, run_program, script
from labctl.graph.record import Graph, record
from labctl.graph.values import Secret
from stacks.environments import environment_of
from stacks.loading import PlainValue, load_stack_file
from stacks.pins import load_pins
from stacks.project import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

    from components.model import Value
    from labctl.graph.goal import Goal

RELEASE = "kubernetes:helm.sh/v3:Release"


def program(root: Path, stack: str, **changes: Value) -> Program:
    """Return a stack's program, parts of its cluster section replaced."""
    texts, _ = load_stack_file(root / f"Pulumi.{stack}.yaml").program_config(unseal=None)
    cluster = cast("dict[str, Value]", json.loads(texts[f"{PROJECT}:cluster"]))
    changed = {key: value for key, value in {**cluster, **changes}.items() if value is not None}
    config = {**texts, f"{PROJECT}:cluster": json.dumps(changed)}
    return Program(project=PROJECT, stack=stack, entry=script(root / "__main__.py"), config=config, root=root)


def goals_of(graph: Graph, type_: str) -> list[Goal]:
    return [goal for goal in graph.goals if goal.type == type_]


def test_a_preview_needs_no_cluster_and_no_secret(root: Path, stack_name: str) -> None:
    graph = record(program(root, stack_name))
    (provider,) = goals_of(graph, "pulumi:providers:kubernetes")
    assert provider.inputs["clusterIdentifier"] == {
        "dev": "sensorlab-dev",
        "next": "sensorlab-next",
        "test": "sensorlab-test",
        "prod": "sensorlab",
    }.get(stack_name)
    assert isinstance(provider.inputs["kubeconfig"], Secret)
    for option in ("enableServerSideApply", "enableConfigMapMutable", "enableSecretMutable"):
        assert provider.inputs[option] in (True, "true")
    kubernetes = [goal for goal in graph.goals if goal.type.startswith("kubernetes:")]
    assert len(kubernetes) > 50
    assert all(goal.provider and goal.provider.startswith(provider.urn) for goal in kubernetes)


def test_only_what_the_environment_protects_is_protected(root: Path, stack_name: str) -> None:
    graph = record(program(root, stack_name))
    kept = {goal.type for goal in graph.goals if goal.protect}
    expected = {
        "kubernetes:core/v1:Namespace",
        "kubernetes:core/v1:PersistentVolume",
        "kubernetes:core/v1:PersistentVolumeClaim",
    }
    assert kept == (expected if stack_name in {"test", "prod"} else set())


def test_a_mirror_redirects_every_release(root: Path) -> None:
    graph = record(program(root, "prod", charts={"mirror": "oci://registry.lab.example.org/charts"}))
    charts = [str(goal.inputs["chart"]) for goal in goals_of(graph, RELEASE)]
    assert len(charts) >= 7
    assert all(chart.startswith("oci://registry.lab.example.org/charts/") for chart in charts)


def test_what_is_pinned_is_what_is_released(root: Path, stack_name: str) -> None:
    pins = load_pins(environment_of(stack_name).name)
    released = {
        (str(goal.inputs["chart"]).rpartition("/")[2], goal.inputs["version"])
        for goal in goals_of(record(program(root, stack_name)), RELEASE)
    }
    assert released == {(pin.chart, pin.version) for pin in pins.charts.values()}


@pytest.mark.parametrize("without", ["hub", "gpu", "storage", "network"])
def test_components_are_optional(root: Path, without: str) -> None:
    absent: dict[str, Value] = {"hub": None, without: None}
    graph = record(program(root, "dev", **absent))
    names = {"network": "Networking", "storage": "Storage", "gpu": "GpuOperator", "hub": "Hub"}
    built = {goal.type.removeprefix("lab:index:") for goal in graph.goals if goal.type.startswith("lab:index:")}
    assert {part for part, name in names.items() if name not in built} == {"hub", without}


def test_nodes_alone_are_enough(root: Path) -> None:
    graph = record(program(root, "dev", hub=None, gpu=None, storage=None, network=None))
    assert {goal.type for goal in graph.goals} == {
        "pulumi:pulumi:Stack",
        "pulumi:providers:kubernetes",
        "lab:index:NodeBootstrap",
        "lab:index:NodeLabels",
        "kubernetes:core/v1:NodePatch",
    }


class Refusing(ResourceMonitor):
    """Takes the stack itself, and nothing else."""

    def __init__(self) -> None:
        super().__init__(project=PROJECT, stack="prod")
        self.touched: list[str] = []

    def register(self, goal: Goal) -> Answer:
        if goal.type != "pulumi:pulumi:Stack":
            self.touched.append(goal.urn)
        return Answer(outputs=goal.inputs)

    def register_outputs(self, urn: str, outputs: object) -> None:
        del urn, outputs


def test_up_names_every_secret_that_is_missing_and_touches_nothing(root: Path) -> None:
    monitor = Refusing()
    with pytest.raises(ProgramError, match="pulumi config set --stack prod --secret githubClientSecret"):
        run_program(program(root, "prod"), monitor, preview=False)
    assert monitor.touched == []


def test_a_wrong_file_reaches_the_program_as_one_message(root: Path) -> None:
    wrong = program(root, "dev", contact="TODO", domain="example.com")
    with pytest.raises(ProgramError) as caught:
        record(wrong)
    message = str(caught.value)
    assert "Pulumi.dev.yaml: 2 problems, nothing was touched" in message
    assert "a placeholder was left in: TODO" in message
    assert "network.hostnames.hub: hub.dev.lab.example.org lies outside" in message


def test_the_program_reads_what_the_file_says(root: Path, stack_name: str) -> None:
    file = load_stack_file(root / f"Pulumi.{stack_name}.yaml")
    texts, _ = file.program_config(unseal=None)
    value = file.config[f"{PROJECT}:cluster"]
    assert isinstance(value, PlainValue)
    assert json.loads(texts[f"{PROJECT}:cluster"]) == value.value


def test_outputs_say_where_to_look(root: Path) -> None:
    graph = record(program(root, "prod"))
    (stack,) = [outputs for urn, outputs in graph.outputs.items() if "pulumi:pulumi:Stack" in urn]
    assert stack["cluster"] == "sensorlab"
    record_of_hub = {"name": "hub.lab.example.org", "type": "A", "address": "192.0.2.200"}
    assert stack["endpoints"] == {
        "hub": {"url": "https://hub.lab.example.org", "addresses": ["192.0.2.200"], "records": [record_of_hub]}
    }
    assert stack["hub"] == {"url": "https://hub.lab.example.org", "namespace": "hub-prod"}
    slices = cast("list[dict[str, object]]", stack["slices"])
    assert {
        "name": "1g.10gb",
        "method": "mig",
        "resource": "nvidia.com/mig-1g.10gb",
        "quotaResource": "requests.nvidia.com/mig-1g.10gb",
        "total": 16,
        "sharers": 1,
        "memoryGigabytes": 10,
        "gpuFraction": "1/7",
        "profile": "1g.10gb",
        "dcgmModel": "NVIDIA A100 80GB PCIe",
    } in slices
