"""The hub's values against the chart's own closed schema."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hub_labs import FACTS, hub, profile
from test_hub_signin import GITHUB, GOOGLE, OIDC

from components.hub.plan import hub_values
from labctl.charts.facts import UpstreamFacts, facts_folder
from labctl.charts.values import value_findings

FOLDER = facts_folder(Path(__file__).parents[3])


@pytest.fixture
def facts() -> UpstreamFacts:
    if FOLDER is None:
        pytest.skip("the structural facts of upstream charts are not here")
    return UpstreamFacts(FOLDER)


STRICT = {"guarantee": {"cpu": "1", "memory": "1Gi"}, "limit": {"cpu": "2", "memory": "2Gi"}}
CASES: dict[str, dict[str, object]] = {
    "small": {},
    "github": {"authentication": GITHUB},
    "google": {"authentication": GOOGLE},
    "oidc": {"authentication": OIDC},
    "dummy": {"authentication": {"kind": "dummy"}, "homes": {"key": "username", "capacity": "1Gi"}},
    "strict": {"resourcePolicy": "strict", "profiles": [profile(resources=STRICT)]},
    "bounded": {
        "servers": {"most": 20},
        "announcement": "Maintenance on Monday.",
        "culling": {"idle": "1h", "maxAge": "3d"},
        "profiles": [profile(), profile(slug="course", default=False, groups=["students"])],
    },
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("published", [True, False], ids=["published", "unpublished"])
def test_the_chart_takes_every_value(case: str, facts: UpstreamFacts, *, published: bool) -> None:
    around = FACTS if published else dataclasses.replace(FACTS, route=None, is_simulated=True, servers_priority=None)
    assert value_findings(hub_values(hub(**CASES[case]), around), facts.chart("jupyterhub")) == []


def test_a_typo_would_be_found(facts: UpstreamFacts) -> None:
    values = hub_values(hub(), FACTS)
    wrong = {**values, "singleuser": {**values["singleuser"], "startTimeOut": 1}}
    assert value_findings(wrong, facts.chart("jupyterhub")) != []
