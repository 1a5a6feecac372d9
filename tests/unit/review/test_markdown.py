"""Nothing from outside leaves its place in a comment."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.review.markdown import block, cell, code, fold, plural, visible

HOSTILE = (
    "```\n@everyone",
    "`` ` ```` `",
    "</details><h1>x</h1>",
    "<img src=x onerror=alert(1)>",
    "\u202egnp.exe",
    "a\u200bb\u2028c",
    "\ud800",
    "[x](https://example.org)",
    "| a | b |",
    "<!-- labctl review: revisions -->",
    "",
    "   ",
    "\\`",
)


def outside_of_code(line: str) -> str:
    """Return what of one line is in no code span (CommonMark 6.1: runs of backticks of the same length)."""
    return re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", line)


@settings(deadline=None)  # the machine may be busy
@given(st.text(st.characters(), max_size=60) | st.sampled_from(HOSTILE))
def test_inline_code_holds_all_of_a_text(text: str) -> None:
    for shown in (code(text), f"- {code(text)}, {code('x')}"):
        assert "\n" not in shown
        assert outside_of_code(shown) in ("", "- , ")
        shown.encode()


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.text(st.characters(), max_size=40) | st.sampled_from(HOSTILE), max_size=5))
def test_a_block_ends_with_its_own_fence_only(lines: list[str]) -> None:
    shown = block(lines, "diff")
    fence = shown[-1]
    assert shown[0] == fence + "diff"
    assert set(fence) == {"`"}
    for line in shown[1:-1]:
        assert fence not in line
        assert visible(line) == line
        line.encode()


def test_a_cell_has_no_bar_of_its_own() -> None:
    assert re.findall(r"(?<!\\)\|", cell("a|b")) == []


def test_a_summary_is_html_without_any_from_outside() -> None:
    lines = fold(f"of {code('<b>&x')} and {code('y')}", ["inside"])
    assert lines[0] == "<details><summary>of <code>&lt;b&gt;&amp;x</code> and <code>y</code></summary>"
    assert lines[1] == ""
    assert lines[-3:] == ["", "</details>", ""]


@pytest.mark.parametrize(("count", "words"), [(0, "0 hosts"), (1, "1 host"), (2, "2 hosts")])
def test_a_count_has_its_word(count: int, words: str) -> None:
    assert plural(count, "host") == words


def test_long_text_is_cut() -> None:
    assert len(code("x" * 1000)) < 310
