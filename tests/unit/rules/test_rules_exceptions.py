"""Named exceptions: read, matched, and each of the project's own needed by a stack."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
from pydantic import ValidationError
from rule_graphs import EXCEPTIONS, FIXTURES, STACKS, Graph, facts, fixture_graph, reviewed, stack_graph

from labctl.graph.errors import GraphError
from labctl.graph.rules import (
    RULE_NAMES,
    ExceptionsFileError,
    NamedException,
    Severity,
    Violation,
    judge,
    load_exceptions,
)
from stacks.errors import StackFileError

REASON = "It has to be so, because of how it works."
URN = "urn:pulumi:prod::research-compute::lab:index:Hub$kubernetes:helm.sh/v3:Release::hub-jupyterhub"


def violation(path: str = "values.hub.extraVolumes[0].hostPath") -> Violation:
    return Violation(urn=URN, path=path, rule="no-host-path", what="w", remedy="r", severity=Severity.MANDATORY)


def exception(resource: str, path: str = "*", rule: str = "no-host-path") -> NamedException:
    return NamedException(rule=rule, resource=resource, path=path, reason=REASON)


@pytest.mark.parametrize(
    ("named", "excuses"),
    [
        (exception("kubernetes:helm.sh/v3:Release::hub-jupyterhub"), True),
        (exception("kubernetes:helm.sh/v3:Release::*"), True),
        (exception("*:Release::hub-jupyterhu?"), True),
        (exception(URN), True),
        (exception("urn:pulumi:*::hub-jupyterhub"), True),
        (exception("hub-jupyterhub"), False),
        (exception("kubernetes:helm.sh/v3:Release::hub"), False),
        (exception("kubernetes:helm.sh/v3:Release::hub-jupyterhub", "values.hub.extraVolumes[0].hostPath"), True),
        (exception("kubernetes:helm.sh/v3:Release::hub-jupyterhub", "values.hub.extraVolumes[?].hostPath"), True),
        (exception("kubernetes:helm.sh/v3:Release::hub-jupyterhub", "values.hub.*"), True),
        (exception("kubernetes:helm.sh/v3:Release::hub-jupyterhub", "values.singleuser.*"), False),
        (exception("kubernetes:helm.sh/v3:Release::hub-jupyterhub", rule="image-digest"), False),
    ],
)
def test_what_an_exception_excuses(named: NamedException, *, excuses: bool) -> None:
    assert named.excuses(violation()) is excuses


@pytest.mark.parametrize("pattern", ["*", "*::*", "????", "*:*/*"])
def test_no_pattern_switches_a_rule_off(pattern: str) -> None:
    with pytest.raises(ValidationError, match=r"names no resource|at least 4 characters"):
        exception(pattern)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("exceptions: [{rule: image-digest, resource: a::b}]", "exceptions.0.reason"),
        ("exceptions: [{rule: image-digest, resource: a::b, reason: short}]", "at least 20 characters"),
        (
            f"exceptions: [{{rule: image-digest, resource: a::b, reason: {REASON!r}, until: 2027}}]",
            "exceptions.0.until",
        ),
        (f"exceptions: [{{rule: no-such-rule, resource: a::b, reason: {REASON!r}}}]", "no rule 'no-such-rule'"),
        ("- a list", "valid dictionary"),
        ("exceptions: [", "not YAML"),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "exceptions.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ExceptionsFileError, match=problem):
        load_exceptions(path, RULE_NAMES)


def test_no_file_and_an_empty_one_are_no_exceptions(tmp_path: Path) -> None:
    assert load_exceptions(tmp_path / "exceptions.yaml", RULE_NAMES) == ()
    (tmp_path / "exceptions.yaml").write_text("# none\n", encoding="utf-8")
    assert load_exceptions(tmp_path / "exceptions.yaml", RULE_NAMES) == ()


def fixtures() -> dict[str, Graph]:
    """Return the graphs of every stack file of the tests that the program takes in a stack called next."""
    found: dict[str, Graph] = {}
    for name in FIXTURES:
        try:
            found[name] = fixture_graph(name, "next")
        except GraphError as error:
            if not refused_by_pins(error):
                raise
    assert len(found) >= len(FIXTURES) - 2
    return found


def refused_by_pins(error: BaseException) -> bool:
    """Tell whether a stack file is refused because the environment pins none of its images."""
    chain_of: BaseException | None = error
    while chain_of is not None:
        if isinstance(chain_of, StackFileError):
            return "pin" in str(chain_of) or "image" in str(chain_of)
        chain_of = chain_of.__cause__ or getattr(chain_of, "cause", None)
    return False


def test_every_option_of_ours_keeps_the_rules_and_every_exception_is_needed() -> None:
    graphs = {**{stack: stack_graph(stack) for stack in STACKS}, **fixtures()}
    judged = {
        name: judge(graph, facts(name if name in STACKS else "next"), reviewed()) for name, graph in graphs.items()
    }
    assert {name: each.violations for name, each in judged.items() if each.violations} == {}
    used = [named for _, named in chain.from_iterable(each.excused for each in judged.values())]
    unused = [named for named in reviewed() if named not in used]
    assert not unused, f"{EXCEPTIONS.name} excuses what nobody does: it would excuse the next mistake"


def test_rules_of_exceptions_exist() -> None:
    assert {named.rule for named in reviewed()} <= RULE_NAMES
