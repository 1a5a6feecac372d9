"""What a description names, and what only looks so."""

from __future__ import annotations

import pytest

from labctl.review import Named, named_in

URN = "urn:pulumi:prod::research-compute::lab:index:Hub$kubernetes:core/v1:PersistentVolume::hub-datasets-pv"


@pytest.mark.parametrize(
    ("description", "patterns"),
    [
        pytest.param(f"allow-destroy: {URN}", [URN], id="a line"),
        pytest.param(f"Why:\r\n\r\nallow-destroy: {URN}\r\n", [URN], id="line ends of a browser"),
        pytest.param(f"- allow-destroy: {URN}\n* allow-destroy: *::a", [URN, "*::a"], id="in a list"),
        pytest.param(f"allow-destroy: `{URN}`\n`allow-destroy: b`", [URN, "b"], id="in backticks"),
        pytest.param(f"allow-destroy: {URN}\nallow-destroy: {URN}", [URN], id="twice"),
        pytest.param(f"```\nallow-destroy: {URN}\n```\nallow-destroy: b", ["b"], id="code block"),
        pytest.param(f"~~~text\nallow-destroy: {URN}\n```\n~~~\n", [], id="code block of tildes"),
        pytest.param(f"````\n```\nallow-destroy: {URN}\n````\nallow-destroy: b", ["b"], id="longer fence"),
        pytest.param(f"```\nallow-destroy: {URN}", [], id="code block that does not end"),
        pytest.param(f"- ```\n  allow-destroy: {URN}\n  ```\n", [], id="code block in a list"),
        pytest.param(f"> allow-destroy: {URN}\n> > allow-destroy: b", [], id="quotation"),
        pytest.param(f"    allow-destroy: {URN}\n\tallow-destroy: b", [], id="indented code"),
        pytest.param(f"<!-- allow-destroy: {URN} -->", [], id="comment"),
        pytest.param(f"<!--\nallow-destroy: {URN}\n-->\nallow-destroy: b", ["b"], id="comment of a template"),
        pytest.param(f"<!-- a --> text <!--\nallow-destroy: {URN}", [], id="comment that does not end"),
        pytest.param("<!-- a -->allow-destroy: b<!-- c -->", ["b"], id="between comments"),
        pytest.param(f"```\n<!--\n```\nallow-destroy: {URN}", [URN], id="comment in code is none"),
        pytest.param("please allow-destroy: b", [], id="in a sentence"),
        pytest.param("allow-destroy:\nallow-destroy: a b", [], id="no pattern, or two"),
        pytest.param("Allow-Destroy: b", [], id="other letters"),
        pytest.param("", [], id="nothing"),
    ],
)
def test_a_line_names_what_its_author_wrote_as_their_own_words(description: str, patterns: list[str]) -> None:
    assert [named.pattern for named in named_in(description)] == patterns


def test_a_line_may_be_for_one_stack_only() -> None:
    (named,) = named_in("allow-destroy test: *::hub-*")
    assert named == Named("*::hub-*", "test")
    assert named.line == "allow-destroy test: *::hub-*"
    assert named.names("urn:pulumi:test::p::t::hub-pv", "test")
    assert not named.names("urn:pulumi:prod::p::t::hub-pv", "prod")


def test_a_pattern_is_the_one_that_up_takes() -> None:
    (named,) = named_in(f"allow-destroy: {URN}")
    assert named.names(URN, "prod")
    assert not named.names(URN + "x", "prod")
    (named,) = named_in("allow-destroy: *PersistentVolume::*")
    assert named.names(URN, "prod")
