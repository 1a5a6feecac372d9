"""What the structural tests share: facts of the charts where they are, every stack's graph, places read elsewhere."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from labctl.charts.facts import FACTS_VARIABLE, USUAL_PLACE, UpstreamFacts, facts_folder
from labctl.graph.program import Program, script
from labctl.graph.record import Graph, record
from stacks.loading import load_stack_file
from stacks.project import PROJECT

ROOT = Path(__file__).parents[3]
STACKS = sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml"))


@pytest.fixture(scope="session")
def facts() -> UpstreamFacts:
    folder = facts_folder(ROOT)
    if folder is None:
        reason = f"no facts of upstream charts: neither {FACTS_VARIABLE} nor {USUAL_PLACE} names a folder of them"
        if os.environ.get(FACTS_VARIABLE):
            pytest.fail(reason)
        pytest.skip(reason)
    return UpstreamFacts(folder)


@cache
def graph_of(stack: str) -> Graph:
    """Record a stack once for all tests."""
    config, _ = load_stack_file(ROOT / f"Pulumi.{stack}.yaml").program_config(unseal=None)
    entry = script(ROOT / "__main__.py")
    return record(Program(project=PROJECT, stack=stack, entry=entry, config=config, root=ROOT))


@pytest.fixture(params=STACKS)
def graph(request: pytest.FixtureRequest) -> Graph:
    return graph_of(str(request.param))
