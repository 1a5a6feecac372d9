"""Every stack's releases and custom resources, against what the real charts and kinds accept."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from components.standins.plan import stand_in_kinds
from labctl.charts.graphs import is_placeholder, recorded_releases, recorded_resources
from labctl.charts.resources import custom_resource_findings
from labctl.charts.values import unknown_value_keys, value_findings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labctl.charts.facts import UpstreamFacts
    from labctl.charts.findings import Place
    from labctl.charts.graphs import RecordedRelease
    from labctl.graph.record import Graph

READ_ELSEWHERE: dict[str, tuple[Place, ...]] = {}
"""Keys, by chart, that a template reads though the chart's defaults do not declare them, each with that place."""

FEWEST_RELEASES = 7
"""Of any stack here: Calico's two, MetalLB, the gateway, cert-manager, the NFS driver, the hub."""


def test_values_are_what_the_charts_declare(facts: UpstreamFacts, graph: Graph) -> None:
    releases = list(recorded_releases(graph))
    assert len(releases) >= FEWEST_RELEASES
    wrong = {
        release.chart: [str(finding) for finding in found]
        for release in releases
        if (
            found := value_findings(
                release.values, facts.chart(release.chart), READ_ELSEWHERE.get(release.chart, ()), is_placeholder
            )
        )
    }
    assert wrong == {}


def test_custom_resources_are_what_their_kinds_hold(facts: UpstreamFacts, graph: Graph) -> None:
    resources = list(recorded_resources(graph))
    assert len({resource.kind for resource in resources}) >= 10
    wrong = {
        resource.urn: [str(finding) for finding in found]
        for resource in resources
        if (
            found := custom_resource_findings(
                resource.body, facts.kind(resource.api_version, resource.kind), is_placeholder
            )
        )
    }
    assert wrong == {}


def test_every_custom_resource_has_a_stand_in(graph: Graph) -> None:
    known = {(kind.api_version, kind.kind) for kind in stand_in_kinds()}
    assert {(resource.api_version, resource.kind) for resource in recorded_resources(graph)} <= known


def test_a_typo_anywhere_in_the_values_is_found(facts: UpstreamFacts, graph: Graph) -> None:
    """Rename every key of every release, one at a time: each has to be found, but below what is free of form."""
    missed: list[str] = []
    renamed = 0
    for release in recorded_releases(graph):
        chart, elsewhere = facts.chart(release.chart), READ_ELSEWHERE.get(release.chart, ())
        for place in _places(release.values):
            typo = (*place[:-1], f"{place[-1]}x")
            if typo in unknown_value_keys(_renamed(release.values, place), chart, elsewhere):
                renamed += 1
            elif not _free_of_form(release, place, facts):
                missed.append(f"{release.chart}: {typo}")
    assert missed == []
    assert renamed > 50


@pytest.mark.parametrize("chart", ["gateway-helm", "csi-driver-nfs", "tigera-operator", "gpu-operator"])
def test_the_charts_without_a_schema_are_among_them(facts: UpstreamFacts, graph: Graph, chart: str) -> None:
    assert facts.chart(chart).schema is None
    assert chart in {release.chart for release in recorded_releases(graph)}


def _places(values: Mapping[str, object], above: Place = ()) -> Iterator[Place]:
    for key, value in values.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from _places(cast("dict[str, object]", value), (*above, key))


def _renamed(values: Mapping[str, object], place: Place) -> dict[str, object]:
    head, *rest = place
    copy = dict(values)
    if rest:
        copy[str(head)] = _renamed(cast("Mapping[str, object]", copy[str(head)]), tuple(rest))
    else:
        copy[f"{head}x"] = copy.pop(str(head))
    return copy


def _free_of_form(release: RecordedRelease, place: Place, facts: UpstreamFacts) -> bool:
    """Whether the chart takes any key beside this one: a key nobody would ever declare is not found there either."""
    nonsense: object = "value"
    for step in reversed((*place[:-1], f"{place[-1]}NobodyDeclares")):
        nonsense = {step: nonsense}
    values = cast("Mapping[str, object]", nonsense)
    return not unknown_value_keys(values, facts.chart(release.chart), READ_ELSEWHERE.get(release.chart, ()))
