"""A comment fits, says what matters first, and nothing in it is more than text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from preview_samples import CONFIG_MAP, VOLUME, preview, reviewed, state, step, urn

from labctl.exit_codes import ExitCode
from labctl.graph.rules import Severity, Violation
from labctl.review import (
    LONGEST_COMMENT,
    Permission,
    Policies,
    StackReview,
    Subject,
    comment_on,
    marker,
    review_revisions,
    verdict_of,
)
from labctl.revisions import StackChange

SUBJECT = Subject(kind="revisions", words="One compared with the other.", command="labctl review --base main")
HOSTILE = "```\n</details>\n<img src=x>\n@everyone `x` | y \u202e #1 https://evil.example"


def broken(severity: Severity = Severity.MANDATORY, number: int = 0) -> Violation:
    return Violation(
        urn=urn(CONFIG_MAP, f"x{number}"), path="a.b", rule="image-digest", what="w", remedy="r", severity=severity
    )


def many(count: int) -> list[StackReview]:
    """Return reviews of a change of `count` resources of every sort in each of three stacks, all of them long."""
    text = "\n".join(f"a line of a script that is neither short nor long, number {n}" for n in range(40))
    steps = [
        made
        for n in range(count)
        for made in (
            step("create", CONFIG_MAP, f"made-{n}", None, {"data": {"k": text}}),
            step(
                "update", CONFIG_MAP, f"changed-{n}", {"data": {"k": text}}, {"data": {"k": text.replace("a", f"b{n}")}}
            ),
            step("delete", VOLUME, f"gone-{n}", {"spec": {}}, None),
        )
    ]
    policies = Policies(newly_broken=tuple(broken(number=n) for n in range(count)))
    return [replace(reviewed(*steps, policies=policies), stack=f"prod-{n}") for n in range(3)]


@pytest.mark.parametrize("count", [1, 10, 40, 120, 400, 1500])
def test_a_comment_fits_and_keeps_what_matters(count: int) -> None:
    reviews = many(count)
    comment = comment_on(reviews, SUBJECT)
    assert len(comment) <= LONGEST_COMMENT
    assert comment.startswith(marker("revisions") + "\n")
    assert f"destroys what is not named: {3 * count}" in comment
    assert comment.count(f"Would destroy data or nodes: {count}**") == 3
    assert comment.count(f"Breaks rules in {count} place") == 3
    assert comment.count(f"| {count} | {count} | 0 | {count} |") == 3
    assert ("Shortened" in comment) is (count >= 120)
    assert (SUBJECT.command in comment) is (count >= 120)


def test_details_go_before_names_and_names_before_counts() -> None:
    some, more, most = (comment_on(many(count), SUBJECT) for count in (5, 80, 1500))
    assert "Properties that change" in some
    assert "their details are left out" in more
    assert "made-1" in more
    assert "made-1" not in most


def test_a_comment_fits_whatever_the_stacks_are_called() -> None:
    reviews = [replace(reviewed(), stack=f"{HOSTILE}{n}" * 50, error=HOSTILE * 100) for n in range(200)]
    comment = comment_on(reviews, SUBJECT)
    assert len(comment) <= LONGEST_COMMENT
    assert "cannot be rendered" in comment


def test_nothing_in_a_comment_is_more_than_text() -> None:
    name = f"evil{HOSTILE}"
    steps = [
        step(
            "update",
            CONFIG_MAP,
            name,
            {"data": {"k": "a\nb"}, HOSTILE: "1"},
            {"data": {"k": HOSTILE}, HOSTILE: HOSTILE},
        ),
        step("delete", VOLUME, name, {"a": 1}, None),
        step("create", "command:remote:Command", name, None, {"create": "x", "connection": {"host": HOSTILE}}),
        step(
            "update",
            "kubernetes:helm.sh/v3:Release",
            name,
            {"chart": "c", "version": "1", "values": {"image": "a"}},
            {"chart": HOSTILE, "version": "2", "values": {"image": HOSTILE}},
        ),
    ]
    violation = replace(broken(), what=HOSTILE, remedy=HOSTILE, path=HOSTILE)
    review = reviewed(
        *steps,
        description="allow-destroy: *evil*",
        policies=Policies(newly_broken=(violation,), newly_excused=((violation, HOSTILE),)),
        diagnostics=[{"severity": "error", "message": HOSTILE}],
    )
    reviews = [replace(review, stack=HOSTILE), replace(reviewed(), stack=HOSTILE + "2", error=HOSTILE)]
    text = prose(comment_on(reviews, SUBJECT))
    for piece in ("evil", "@everyone", "<img", "https://", "#1", "\u202e"):
        assert piece not in text
    assert text.count("<details>") == text.count("</details>")
    assert set(re.findall(r"<[^>]*>", text)) <= {
        marker("revisions"), "<details>", "</details>", "<summary>", "</summary>", "<code>", "</code>"
    }  # fmt: skip


def prose(comment: str) -> str:
    """Return what of a comment is neither in a code block nor in inline code."""
    kept: list[str] = []
    fence = ""
    for line in comment.split("\n"):
        opening = re.match(r"(`{3,})[a-z]*$", line)
        if fence:
            fence = "" if line == fence else fence
        elif opening:
            fence = opening[1]
        else:
            kept.append(re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", line))
    assert not fence, "a code block does not end"
    return "\n".join(kept)


def test_a_comment_that_shows_nothing_says_so() -> None:
    comment = comment_on([reviewed()], SUBJECT)
    assert "Nothing changes: 0 resources in 1 stack" in comment
    assert "Not touched: `prod`" in comment
    assert comment_on([], SUBJECT).startswith(marker("revisions"))


def test_what_is_not_known_is_not_called_none() -> None:
    invalid = replace(reviewed(stack="test"), error="no such key")
    comment = comment_on([invalid, reviewed()], SUBJECT)
    assert "## 1 stack cannot be rendered\n" in comment
    assert "| `test` | ? | ? | ? | ? | ? | **cannot be rendered** |" in comment
    assert "### `test`: not known" in comment
    made = reviewed(step("create", CONFIG_MAP, "x", None, {}))
    both = comment_on([invalid, made], SUBJECT)
    assert "## 1 stack cannot be rendered; 1 resource in 1 of 2 stacks\n" in both
    assert "| `prod` | 1 | 0 | 0 | 0 | 0 |" in both


def test_long_lines_that_begin_alike_are_shown_where_they_differ() -> None:
    long = f"accept {{ {', '.join(f'192.0.2.{number}/32' for number in range(40))} }}"
    old, new = (f"first\n{long}\n{text}\n{long}{end}\nlast" for text, end in (("short", " one"), ("other", " two")))
    comment = comment_on([reviewed(step("update", CONFIG_MAP, "x", {"data": old}, {"data": new}))], SUBJECT)
    shown = [line for line in comment.splitlines() if line.startswith(("-   ", "+   "))]
    assert [line[:1] for line in shown] == ["-", "-", "+", "+"]
    assert shown[0] == "-   short"
    assert shown[2] == "+   other"
    assert shown[1].endswith(" one")
    assert shown[3].endswith(" two")


def test_who_is_turned_out_of_the_cluster_by_another_host_is_destroyed() -> None:
    command = "command:remote:Command"
    steps = [step("delete", command, name, {}, None) for name in ("b-cp-1-member", "b-cp-2-member", "b-cp-2-join")]
    for each in steps:
        each["urn"] = str(each["urn"]).replace("lab:index:Hub", "lab:index:NodeBootstrap")
        old = each["oldState"]
        assert isinstance(old, dict)
        old["urn"] = each["urn"]
    assert [item.what for item in reviewed(*steps).destroyed] == [
        "a node of the cluster (b-cp-1)",
        "a node of the cluster (b-cp-2)",
    ]


@pytest.mark.parametrize(("lost", "count"), [(True, 0), (False, 1)])
def test_a_machine_that_is_lost_is_named_by_the_stack_file(*, lost: bool, count: int) -> None:
    command = "command:remote:Command"
    leaving = state(command, "b-cp-1-member", {})
    leaving["urn"] = str(leaving["urn"]).replace("lab:index:Hub", "lab:index:NodeBootstrap")
    join = leaving | {"urn": str(leaving["urn"]).replace("-member", "-join")}
    made = preview({"op": "delete", "urn": leaving["urn"], "oldState": leaving})
    kept = join | {"retainOnDelete": lost}
    change = StackChange(stack="prod", preview=made, base_resources=(leaving, join), resources=(kept,))
    assert len(review_revisions(change, Permission(stack="prod"), Policies()).destroyed) == count


def test_an_exception_for_several_places_is_said_once() -> None:
    excused = tuple((replace(broken(), path=path), "It has to be so.") for path in ("a", "b"))
    comment = comment_on([reviewed(policies=Policies(newly_excused=excused))], SUBJECT)
    assert comment.count("- an exception lets `x0` break `image-digest` from now on: `It has to be so.`") == 1


def test_an_invalid_stack_weighs_more_than_destruction_and_that_more_than_a_rule() -> None:
    destroying = reviewed(step("delete", VOLUME, "pv", {}, None))
    breaking = reviewed(policies=Policies(newly_broken=(broken(),)))
    advised = reviewed(policies=Policies(newly_broken=(broken(Severity.ADVISORY),)))
    invalid = replace(reviewed(), error="no such key")
    assert verdict_of([advised]).exit_code is ExitCode.OK
    assert verdict_of([breaking, advised]).exit_code is ExitCode.POLICY
    assert verdict_of([breaking, destroying]).exit_code is ExitCode.REFUSED
    assert verdict_of([breaking, destroying, invalid]).exit_code is ExitCode.INVALID


def test_destruction_has_to_be_named_where_the_environment_is_kept() -> None:
    gone = step("delete", VOLUME, "pv", {}, None)
    assert verdict_of([reviewed(gone)]).exit_code is ExitCode.REFUSED
    assert verdict_of([reviewed(gone, stack="dev")]).exit_code is ExitCode.OK
    assert verdict_of([reviewed(gone, description=f"allow-destroy: {urn(VOLUME, 'pv')}")]).exit_code is ExitCode.OK
    assert verdict_of([reviewed(gone, description="allow-destroy prod: *::pv")]).exit_code is ExitCode.OK
    assert verdict_of([reviewed(gone, description="allow-destroy test: *::pv")]).exit_code is ExitCode.REFUSED
    assert verdict_of([reviewed(gone, description="> allow-destroy: *")]).exit_code is ExitCode.REFUSED


def test_what_is_protected_has_to_be_named_whatever_it_is() -> None:
    protected = step("delete", CONFIG_MAP, "x", {}, None, protect=True)
    assert verdict_of([reviewed(protected)]).unnamed == 1
    assert verdict_of([reviewed(protected, stack="dev")]).unnamed == 1
    comment = comment_on([reviewed(protected)], SUBJECT)
    assert "both engines refuse it" in comment


def test_what_is_retained_is_not_destroyed() -> None:
    kept = step("delete", VOLUME, "pv", {}, None)
    old = kept["oldState"]
    assert isinstance(old, dict)
    old["retainOnDelete"] = True
    assert not reviewed(kept).destroyed


def test_a_lost_protection_is_said() -> None:
    kept = step("same", VOLUME, "pv", {}, {}, protect=True)
    review = reviewed(kept)
    assert review.touched
    assert "**Protection is taken off**: `pv`" in comment_on([review], SUBJECT)
