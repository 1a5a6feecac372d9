"""The GPU operator's values against the chart and the ClusterPolicy it renders them into."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from gpu_labs import JSI_SECTION

from components.gpu.config import GpuConfig
from components.gpu.plan import plan
from labctl.charts.facts import UpstreamFacts, facts_folder
from labctl.charts.resources import custom_resource_findings
from labctl.charts.values import value_findings

if TYPE_CHECKING:
    from gpu_labs import Gpus

    from components.model import Value

FOLDER = facts_folder(Path(__file__).parents[3])
CHART_ONLY = {"create", "data"}
"""Keys of a ``config`` that concern the chart's own ConfigMap and never reach the ClusterPolicy."""
RENAMED = {"gpuPodDeletion": "podDeletion"}
"""Keys that the chart passes on under another name (``templates/clusterpolicy.yaml``)."""


@pytest.fixture
def facts() -> UpstreamFacts:
    if FOLDER is None:
        pytest.skip("the structural facts of upstream charts are not here")
    return UpstreamFacts(FOLDER)


@pytest.fixture(params=["operator", "host"])
def config(request: pytest.FixtureRequest) -> GpuConfig:
    return GpuConfig.model_validate({"driver": {"source": request.param}, **JSI_SECTION})


def test_the_chart_reads_every_value(
    config: GpuConfig, jsi_hosts: dict[str, Gpus | None], facts: UpstreamFacts
) -> None:
    assert value_findings(plan(config, jsi_hosts).values, facts.chart("gpu-operator")) == []


def test_a_typo_would_be_found(config: GpuConfig, jsi_hosts: dict[str, Gpus | None], facts: UpstreamFacts) -> None:
    values = {**plan(config, jsi_hosts).values, "migmanager": {"enabled": True}}
    (found,) = value_findings(values, facts.chart("gpu-operator"))
    assert "migManager" in str(found)


def passed_on(value: Value, keys: set[str]) -> Value:
    if isinstance(value, dict):
        return {RENAMED.get(key, key): passed_on(inner, keys) for key, inner in value.items() if key not in keys}
    return value


def test_the_cluster_policy_takes_what_the_chart_passes_on(
    config: GpuConfig, jsi_hosts: dict[str, Gpus | None], facts: UpstreamFacts
) -> None:
    policy = facts.kind("nvidia.com/v1", "ClusterPolicy")
    values = plan(config, jsi_hosts).values
    # `mig` is not among them: the chart leaves an empty strategy out.
    sections = {
        "driver",
        "toolkit",
        "migManager",
        "devicePlugin",
        "gfd",
        "dcgmExporter",
        "ccManager",
        "daemonsets",
    }
    resource = {
        "apiVersion": "nvidia.com/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": "cluster-policy"},
        "spec": {key: passed_on(values[key], CHART_ONLY) for key in sections},
    }
    found = [str(finding) for finding in custom_resource_findings(resource, policy)]
    # What the policy requires beside ours the chart fills in from its defaults.
    assert [text for text in found if "is a required property" not in text] == []
