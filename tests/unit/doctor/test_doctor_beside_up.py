"""What `up` says of the lab's health before and after it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from doctor_facts import ROOT, changed_node, declared, resource, well
from rich.console import Console

from labctl.doctor import beside_up
from labctl.doctor.beside_up import BesideUp
from labctl.doctor.facts.cluster import ClusterFacts
from labctl.doctor.facts.everything import Facts
from labctl.doctor.facts.fact import Fact, Unknown
from labctl.engine.plan import Op, Step
from labctl.engine.report import Report
from labctl.engine.state import Snapshot
from labctl.lab import open_lab

PROD = declared("prod")
WELL = well(PROD)
SNAPSHOT = WELL.state.snapshot
Looks = Callable[..., tuple[BesideUp, io.StringIO]]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Make an `up` whose cluster is like this at its first look, and like that at its second."""

    def make(*seen: Facts, snapshot: Snapshot = SNAPSHOT) -> tuple[BesideUp, io.StringIO]:
        answers = iter(seen)

        def answer(*_: object) -> Fact[ClusterFacts]:
            return next(answers).cluster

        monkeypatch.setattr(beside_up, "cluster_facts", answer)
        text = io.StringIO()
        return BesideUp(open_lab("prod", ROOT), snapshot, Console(file=text, width=200, soft_wrap=True)), text

    return make


def planned(*types: str) -> Report:
    report = Report()
    for type_ in types:
        report.add(Step(op=Op.CREATE, urn=f"urn:pulumi:prod::x::{type_}::y", new=resource(type_, "y")))
    return report


def said(text: io.StringIO) -> Sequence[str]:
    return text.getvalue().splitlines()


def test_a_lab_that_is_well_says_nothing(looks: Looks) -> None:
    health, text = looks(WELL, WELL)
    health.tell_before(planned("command:remote:Command"))
    health.tell_after(SNAPSHOT)
    assert said(text) == []


def test_an_empty_lab_has_nothing_before(looks: Looks) -> None:
    bad = changed_node(WELL, "worker-1", ready="False", reason="it is off")
    health, text = looks(bad, snapshot=Snapshot(()))
    health.tell_before(planned())
    assert said(text) == []
    health.tell_after(SNAPSHOT)
    assert said(text) == [
        "After this up:",
        "  ✗ worker-1: it is not Ready: it is off",
        "    → kubectl describe node worker-1",
    ]


def test_what_got_worse_and_what_was_mended(looks: Looks) -> None:
    before = changed_node(WELL, "worker-1", is_cordoned=True)
    after = changed_node(WELL, "worker-2", ready="False", reason="it is off")
    health, text = looks(before, after)
    health.tell_before(planned("command:remote:Command"))
    assert said(text)[:2] == ["Before this up:", "  ! worker-1: it is cordoned: no new pod is placed there"]
    assert not any("may drain" in line for line in said(text)), "a cordoned node was cordoned by somebody"
    text.truncate(0)
    text.seek(0)
    health.tell_after(SNAPSHOT)
    assert said(text) == [
        "Worse than before this up:",
        "  ✗ worker-2: it is not Ready: it is off",
        "    → kubectl describe node worker-2",
        "Mended by this up: worker-1",
    ]


@pytest.mark.parametrize(
    ("type_", "is_dangerous"), [("command:remote:Command", True), ("kubernetes:core/v1:Secret", False)]
)
def test_a_plan_that_may_drain_while_a_node_is_down(looks: Looks, type_: str, is_dangerous: bool) -> None:  # noqa: FBT001 - a parameter of the table
    health, text = looks(changed_node(WELL, "worker-1", ready="Unknown", reason="silent"))
    health.tell_before(planned(type_))
    assert ("may drain nodes, while worker-1 cannot take their pods" in text.getvalue()) is is_dangerous


def test_what_this_up_does_anyway_is_no_remedy(looks: Looks) -> None:
    down = replace(WELL, cluster=Unknown("nobody answers", "labctl up --stack prod", is_down=True))
    health, text = looks(down)
    health.tell_before(planned())
    assert said(text) == ["Before this up:", "  ✗ API server: nobody answers"]


def test_a_look_that_breaks_keeps_no_up_from_going_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Fact[ClusterFacts]:
        raise OSError(5, "broken")

    monkeypatch.setattr(beside_up, "cluster_facts", broken)
    text = io.StringIO()
    health = BesideUp(open_lab("prod", ROOT), SNAPSHOT, Console(file=text))
    health.tell_before(planned())
    health.tell_after(SNAPSHOT)
    assert "Traceback" not in text.getvalue()


def test_an_up_with_a_refresh_is_not_told_to_run_an_up_with_a_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = replace(WELL, cluster=Unknown("it is gone", "labctl up --stack prod --refresh", is_down=True))

    def look(*_: object) -> Fact[ClusterFacts]:
        return gone.cluster

    monkeypatch.setattr(beside_up, "cluster_facts", look)
    for refreshes, lines in ((True, 2), (False, 3)):
        text = io.StringIO()
        console = Console(file=text, width=200, soft_wrap=True)
        BesideUp(open_lab("prod", ROOT), SNAPSHOT, console, refreshes=refreshes).tell_before(planned())
        assert len(said(text)) == lines
