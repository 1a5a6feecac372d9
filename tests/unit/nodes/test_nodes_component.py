"""The two components of the nodes, recorded as the embedded engine records them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pytest
from pulumi_kubernetes import Provider

from components.nodes.component import NodeBootstrap, NodeBootstrapArgs, NodeLabels, NodeLabelsArgs
from components.nodes.config import NodesConfig
from components.unknown import unknown_text
from labctl.graph.errors import ProgramError
from labctl.graph.monitor import Answer, ResourceMonitor
from labctl.graph.program import Program, run_program
from labctl.graph.values import UNKNOWN, Secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from components.secrets import SecretRef
    from labctl.graph.goal import Goal

HARDWARE = {"cpus": 8, "memory": "32Gi", "ephemeralStorage": "100G"}
HOSTS = {
    "worker-1": {"address": "192.0.2.1", "roles": ["worker"], "hardware": HARDWARE, "labels": {"rack": "r1"}},
    "store-1": {"address": "192.0.2.2", "roles": ["storage"], "hardware": HARDWARE},
}


class Recorder(ResourceMonitor):
    """Answers with the inputs and keeps the goals."""

    def __init__(self) -> None:
        super().__init__(project="research-compute", stack="dev")
        self.goals: list[Goal] = []
        self.outputs: dict[str, object] = {}

    def register(self, goal: Goal) -> Answer:
        self.goals.append(goal)
        return Answer(outputs=goal.inputs)

    def register_outputs(self, urn: str, outputs: object) -> None:
        self.outputs[urn.rsplit("::", 1)[-1]] = outputs


def run(entry: Callable[[], None], root: Path, *, preview: bool) -> Recorder:
    recorder = Recorder()
    program = Program(project="research-compute", stack="dev", entry=entry, root=root)
    run_program(program, recorder, preview=preview)
    return recorder


def bootstrap(root: Path, adopt: object, *, preview: bool, kubeconfig: str | None = None) -> Recorder:
    config = NodesConfig.model_validate({"hosts": HOSTS, "adopt": adopt})

    def secret(_reference: SecretRef) -> pulumi.Output[str]:
        return unknown_text() if kubeconfig is None else pulumi.Output.secret(kubeconfig)

    def entry() -> None:
        NodeBootstrap("bootstrap", NodeBootstrapArgs(config=config, project=root, secret=secret))

    return run(entry, root, preview=preview)


@pytest.mark.parametrize("preview", [True, False])
def test_an_adopted_cluster_is_reached_by_its_file(tmp_path: Path, preview: bool) -> None:  # noqa: FBT001 - a table's column
    (tmp_path / "kubeconfig").write_text("kind: Config\n")
    recorded = bootstrap(tmp_path, {"kubeconfig": "kubeconfig"}, preview=preview)
    assert recorded.outputs["bootstrap"] == {"kubeconfig": Secret("kind: Config\n")}


@pytest.mark.parametrize("preview", [True, False])
def test_or_by_its_secret(tmp_path: Path, preview: bool) -> None:  # noqa: FBT001 - a table's column
    adopt = {"kubeconfigSecret": {"secret": "kubeconfig"}}
    recorded = bootstrap(tmp_path, adopt, preview=preview, kubeconfig="kind: Config\n")
    assert recorded.outputs["bootstrap"] == {"kubeconfig": Secret("kind: Config\n")}


@pytest.mark.parametrize("adopt", [{"kubeconfig": "nowhere"}, {"kubeconfigSecret": {"secret": "kubeconfig"}}])
def test_a_preview_needs_no_cluster(tmp_path: Path, adopt: object) -> None:
    recorded = bootstrap(tmp_path, adopt, preview=True)
    assert recorded.outputs["bootstrap"] in ({"kubeconfig": Secret(UNKNOWN)}, {"kubeconfig": UNKNOWN})


def test_without_its_kubeconfig_nothing_is_touched(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="Nothing was touched") as caught:
        bootstrap(tmp_path, {"kubeconfig": "nowhere"}, preview=False)
    assert str(tmp_path / "nowhere") in str(caught.value)


def test_hosts_without_a_cluster_to_be_are_refused_before_anything_is_registered(tmp_path: Path) -> None:
    registered: list[str] = []

    class Listening(Recorder):
        def register(self, goal: Goal) -> Answer:
            registered.append(goal.type)
            return super().register(goal)

    def entry() -> None:
        config = NodesConfig.model_validate({"hosts": HOSTS})
        NodeBootstrap("bootstrap", NodeBootstrapArgs(config=config, project=tmp_path, secret=lambda _: unknown_text()))

    program = Program(project="research-compute", stack="dev", entry=entry, root=tmp_path)
    with pytest.raises(ProgramError, match="needs the cluster's networks and pinned versions"):
        run_program(program, Listening(), preview=False)
    assert set(registered) <= {"pulumi:pulumi:Stack"}


def test_every_node_gets_its_labels_and_nothing_else(tmp_path: Path) -> None:
    config = NodesConfig.model_validate({"hosts": HOSTS})

    def entry() -> None:
        provider = Provider("cluster", kubeconfig="{}", cluster_identifier="lab")
        NodeLabels("nodes", NodeLabelsArgs(config=config), opts=pulumi.ResourceOptions(provider=provider))

    recorded = run(entry, tmp_path, preview=True)
    (patch,) = [goal for goal in recorded.goals if goal.type == "kubernetes:core/v1:NodePatch"]
    assert patch.name == "nodes-worker-1"
    assert patch.parent is not None
    assert patch.parent.endswith("lab:index:NodeLabels::nodes")
    assert patch.inputs["metadata"] == {
        "name": "worker-1",
        "labels": {"node-role.kubernetes.io/worker": "", "rack": "r1"},
    }
    assert "spec" not in patch.inputs
