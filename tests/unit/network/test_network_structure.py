"""What the plans say, against what the real charts and kinds hold, and against their stand-ins."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from solver_samples import RFC2136, SOLVERS

from components.network.plan import NetworkPlan, network_plan
from components.standins.plan import stand_in_kinds
from labctl.charts.facts import FACTS_VARIABLE, KindFacts, UpstreamFacts, facts_folder
from labctl.charts.resources import custom_resource_findings
from labctl.charts.values import value_findings
from stacks.project import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from components.model import Value
    from components.network.config import NetworkConfig

PLANS = (*SOLVERS, "own-server", "dual-stack", "files")
CHAIN = "-----BEGIN CERTIFICATE-----\n"


@pytest.fixture(params=PLANS)
def plan(
    request: pytest.FixtureRequest, network: Callable[..., NetworkConfig], dual_stack: Callable[..., NetworkConfig]
) -> NetworkPlan:
    acme: dict[str, Value] = {"kind": "acme", "email": "a@lab.org"}
    match request.param:
        case "own-server":
            own: Value = {**acme, "solver": {**RFC2136, "resolvers": ["192.0.2.53"]}, "serverAuthority": CHAIN}
            return network_plan(network(certificates=own), "prod")
        case "dual-stack":
            return network_plan(dual_stack(), "prod")
        case "files":
            file: Value = {"chain": CHAIN, "privateKey": {"secret": "hubTlsKey"}}
            return network_plan(network(certificates={"kind": "files", "services": {"hub": file}}), "prod")
        case kind:
            return network_plan(network(certificates={**acme, "solver": SOLVERS[kind]}), "prod")


@pytest.fixture(scope="module")
def facts() -> UpstreamFacts:
    folder = facts_folder(ROOT)
    if folder is None:
        if os.environ.get(FACTS_VARIABLE):
            pytest.fail(f"{FACTS_VARIABLE} names no folder of facts")
        pytest.skip("no folder of facts of upstream charts beside the project")
    return UpstreamFacts(folder)


def bodies(plan: NetworkPlan) -> list[Mapping[str, Value]]:
    """Return the custom resources as whole objects."""
    return [
        {
            "apiVersion": step.api_version,
            "kind": step.kind,
            "metadata": {"name": step.name, **({"namespace": part.namespace.name} if step.namespaced else {})},
            "spec": step.spec,
        }
        for part in plan.parts
        for step in part.resources
    ]


def test_custom_resources_are_what_their_kinds_hold(facts: UpstreamFacts, plan: NetworkPlan) -> None:
    wrong = {
        f"{body['kind']} {finding}"
        for body in bodies(plan)
        for finding in custom_resource_findings(body, facts.kind(str(body["apiVersion"]), str(body["kind"])))
    }
    assert wrong == set()


def test_values_are_what_the_charts_declare(facts: UpstreamFacts, plan: NetworkPlan) -> None:
    wrong = {
        f"{release.chart}: {finding}"
        for part in plan.parts
        for release in part.releases
        for finding in value_findings(release.values, facts.chart(release.chart), (), lambda _: False)
    }
    assert wrong == set()


def test_stand_ins_take_them(plan: NetworkPlan) -> None:
    stand_ins = {
        (kind.api_version, kind.kind): KindFacts(
            group=kind.group,
            kind=kind.kind,
            plural=kind.plural,
            scope=str(kind.scope),
            version=kind.version,
            served=True,
            chart=kind.chart,
            schema={
                "type": "object",
                "properties": {"spec": kind.spec.model_dump(by_alias=True, exclude_defaults=True)},
            },
        )
        for kind in stand_in_kinds()
    }
    wrong = {
        f"{body['kind']} {finding}"
        for body in bodies(plan)
        for finding in custom_resource_findings(body, stand_ins[str(body["apiVersion"]), str(body["kind"])])
    }
    assert wrong == set()
