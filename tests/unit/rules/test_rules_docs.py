"""docs/rules.md has every rule as it is, and its example is an exception that can be read."""

from __future__ import annotations

import re
from pathlib import Path

from labctl.display.violations import violations_json
from labctl.graph.rules import RULE_NAMES, RULES, Severity, Violation, load_exceptions


def page(root: Path) -> str:
    return (root / "docs" / "rules.md").read_text(encoding="utf-8")


def test_the_table_is_the_rules(root: Path) -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (mandatory|advisory) \| (.+) \|$", page(root), re.MULTILINE)
    assert rows == [(rule.name, str(rule.severity), rule.description) for rule in RULES]
    assert len(RULE_NAMES) == len(RULES)


def test_what_it_says_of_stack_policies(root: Path) -> None:
    compared = [rule.name for rule in RULES if rule.needs_stack]
    sentence = page(root).partition("`data-namespace-protected`, ")[2].partition(" compare resources")[0]
    assert re.findall(r"`([a-z-]+)`", sentence) == compared[1:]
    assert compared[0] == "data-namespace-protected"


def test_the_example_is_an_exception(root: Path, tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", page(root), re.DOTALL)
    path = tmp_path / "exceptions.yaml"
    path.write_text(example, encoding="utf-8")
    assert len(load_exceptions(path, RULE_NAMES)) == 1


def test_the_keys_of_the_json_are_documented(root: Path) -> None:
    violation = Violation(urn="u", path="p", rule="r", what="w", remedy="m", severity=Severity.ADVISORY)
    (shape,) = violations_json([violation])
    assert isinstance(shape, dict)
    documented = page(root).partition("## As JSON")[2].partition("## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", documented, re.MULTILINE) == list(shape)
