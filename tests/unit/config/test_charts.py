"""A release as the one helper declares it, from each kind of place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pytest

from components.charts import release
from components.pins import ChartPin
from components.quantities import Duration
from labctl.graph.program import Program
from labctl.graph.record import record

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.graph.goal import Goal


def released(root: Path, pin: ChartPin, *, awaits: bool = True) -> Goal:
    def entry() -> None:
        release(
            "cert-manager",
            pin,
            release_name="cert-manager-dev",
            namespace="cert-manager-dev",
            values={"crds": {"enabled": True}},
            opts=pulumi.ResourceOptions(),
            awaits=awaits,
            timeout=Duration.parse("5m"),
        )

    graph = record(Program(project="research-compute", stack="dev", entry=entry, root=root))
    (goal,) = [goal for goal in graph.goals if goal.type == "kubernetes:helm.sh/v3:Release"]
    return goal


@pytest.mark.parametrize(
    ("repository", "chart", "options"),
    [
        ("https://charts.example.org/stable", "cert-manager", {"repo": "https://charts.example.org/stable"}),
        ("oci://quay.io/jetstack/charts", "oci://quay.io/jetstack/charts/cert-manager", None),
        ("oci://quay.io/jetstack/charts/", "oci://quay.io/jetstack/charts/cert-manager", None),
        ("file:///srv/charts", "/srv/charts/cert-manager-v1.21.2.tgz", None),
    ],
)
def test_where_a_chart_comes_from(tmp_path: Path, repository: str, chart: str, options: dict[str, str] | None) -> None:
    goal = released(tmp_path, ChartPin(chart="cert-manager", version="v1.21.2", repository=repository))
    assert goal.inputs["chart"] == chart
    assert goal.inputs.get("repositoryOpts") == options
    assert goal.inputs["version"] == "v1.21.2"
    assert goal.inputs["name"] == "cert-manager-dev"
    assert goal.inputs["namespace"] == "cert-manager-dev"
    assert goal.inputs["values"] == {"crds": {"enabled": True}}
    assert goal.inputs["timeout"] == 300
    assert goal.inputs["createNamespace"] is False


@pytest.mark.parametrize("awaits", [True, False])
def test_who_waits(tmp_path: Path, awaits: bool) -> None:  # noqa: FBT001 - a table's column
    pin = ChartPin(chart="cert-manager", version="v1.21.2", repository="https://charts.example.org")
    assert released(tmp_path, pin, awaits=awaits).inputs["skipAwait"] is not awaits
