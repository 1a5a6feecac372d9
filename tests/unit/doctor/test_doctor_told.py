"""What a person, a program and the documentation are told."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

from doctor_facts import changed_node, declared, results, well
from rich.console import Console

from labctl.display.doctor import print_examination
from labctl.doctor.checks.registry import CHECKS
from labctl.doctor.facts.fact import Unknown
from labctl.doctor.findings import Examination
from labctl.doctor.vocabulary import CheckId, Source, State

PROD = declared("prod")
WELL = well(PROD)
ROW = re.compile(r"^\| `([a-z-]+)` \|", re.MULTILINE)


def examination(facts: object = WELL) -> Examination:
    assert isinstance(facts, type(WELL))
    return Examination(stack="prod", results=tuple(results(facts, PROD).values()), seconds=1.5)


def printed(found: Examination) -> str:
    console = Console(file=io.StringIO(), width=200, soft_wrap=True)
    print_examination(console, found)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_lab_that_is_well() -> None:
    found = examination()
    assert (found.healthy, found.state) == (True, State.OK)
    assert printed(found).endswith("all is well, in 1.5 s\n")
    assert len(printed(found).splitlines()) == len(CheckId) + 2, "a line for each check"


def test_what_is_wrong_has_its_remedy_beneath_it() -> None:
    found = examination(changed_node(WELL, "worker-1", is_cordoned=True, ready="False", reason="it is off"))
    assert (found.healthy, found.state) == (False, State.PROBLEM)
    text = printed(found)
    assert "  ✗ worker-1: it is not Ready: it is off\n    → kubectl describe node worker-1\n" in text
    assert text.endswith("1 problem, 1 warning, in 1.5 s\n")


def test_states_by_weight() -> None:
    warned = examination(changed_node(WELL, "worker-1", is_cordoned=True))
    assert (warned.healthy, warned.state) == (True, State.WARNING)
    unknown = examination(replace(WELL, hub=Unknown("no", "look")))
    assert (unknown.healthy, unknown.state) == (False, State.UNKNOWN)
    assert replace(examination(), is_interrupted=True).healthy is False
    assert sorted(State, key=lambda state: state.weight)[-2:] == [State.UNKNOWN, State.PROBLEM]


def test_the_document() -> None:
    shape = json.loads(json.dumps(examination().document()))
    assert list(shape) == ["version", "stack", "healthy", "state", "interrupted", "seconds", "checks"]
    assert [check["check"] for check in shape["checks"]] == [check.value for check in CheckId]
    for check in shape["checks"]:
        assert list(check) == ["check", "state", "seconds", "findings"]
        assert check["findings"], "each says at least what was looked at"
        for finding in check["findings"]:
            assert list(finding) == ["subject", "state", "what", "remedy"]


def test_every_check_is_there_once_and_documented(root: Path) -> None:
    assert [check.id for check in CHECKS] == list(CheckId)
    page = (root / "docs" / "doctor.md").read_text(encoding="utf-8")
    checks, _, rest = page.partition("## States")
    assert ROW.findall(checks) == [check.value for check in CheckId]
    states, _, rest = rest.partition("## JSON")
    assert ROW.findall(states) == [state.value for state in State]
    keys = set(re.findall(r"[a-zA-Z]+", " ".join(re.findall(r"`([^`]+)`", rest.partition("## Before")[0]))))
    shape = examination().document()
    said = shape["checks"]
    assert isinstance(said, list)
    first = said[0]
    assert isinstance(first, dict)
    findings = first["findings"]
    assert isinstance(findings, list)
    finding = findings[0]
    assert isinstance(finding, dict)
    assert {*shape, *first, *finding} <= keys


def test_each_check_names_whom_it_needs() -> None:
    assert {source for check in CHECKS for source in check.sources} == set(Source)
