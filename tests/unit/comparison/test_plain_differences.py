"""How two pieces of plain data differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.comparison.values import Difference, differences
from labctl.display.changed_text import MOST_LINES, brief, change_words, text_changes
from labctl.graph.differences import Change
from labctl.graph.values import Plain

ADD, UPDATE, DELETE = Change.ADD, Change.UPDATE, Change.DELETE


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": True}, [("a", UPDATE)]),
        ({"a": None, "b": []}, {"c": {}}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2, "c": 3}}, [("a.b", UPDATE), ("a.c", ADD)]),
        ({"a": 0}, {}, [("a", DELETE)]),
        ({"a": False}, {}, [("a", DELETE)]),
        (["x", "y"], ["x", "z", "y"], [("[]", ADD)]),
        (["x", "y"], ["x", "z"], [("[1]", UPDATE)]),
        (["x", "y"], ["y", "x"], [(" (order)", UPDATE)]),
        (["x", "x"], ["x"], [("[]", DELETE)]),
        (
            [{"name": "a", "v": 1}, {"name": "b", "v": 2}],
            [{"name": "b", "v": 3}, {"name": "a", "v": 1}],
            [("[name=b].v", UPDATE)],
        ),
        ([{"name": "a", "v": 1}], [{"name": "b", "v": 1}], [("[0].name", UPDATE)]),
        ([{"v": 1}, {"v": 1}], [{"v": 1}, {"v": 2}], [("[0].v", UPDATE)]),
    ],
)
def test_where(one: Plain, other: Plain, found: list[tuple[str, Change]]) -> None:
    assert [(item.path, item.change) for item in differences(one, other)] == found


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "b", "<host>"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "a", "b.c"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_nothing_differs_from_itself(value: Plain) -> None:
    assert differences(value, value) == ()


@given(PLAIN, PLAIN)
def test_the_other_way_round_is_the_other_way_round(one: Plain, other: Plain) -> None:
    there, back = differences(one, other), differences(other, one)
    opposite = {ADD: DELETE, DELETE: ADD, UPDATE: UPDATE}
    assert sorted((repr(item.one), repr(item.other), item.change.value) for item in there) == sorted(
        (repr(item.other), repr(item.one), opposite[item.change].value) for item in back
    )


def test_values_in_a_line() -> None:
    assert brief({"hosts": ["<host>"], "draid": None, "spares": []}) == "{hosts: [<host>]}"
    assert change_words("2h", "4h") == "2h → 4h"
    assert change_words(f"sha256:{'a' * 64}", f"sha256:{'b' * 64}") == f"sha256:{'a' * 12}… → sha256:{'b' * 12}…"
    long = [f"image-{number}:1.0" for number in range(30)]
    assert (
        change_words(" ".join(long), " ".join(long).replace("image-7:1.0", "image-7:1.1"))
        == "…image-7:1.0 → image-7:1.1"
    )


def test_lines_of_texts() -> None:
    assert text_changes("a\nb = 1\nc\n", "a\nb = 2\nc\nd\n") == ["~ b = 1 → b = 2", "+ d"]
    some = text_changes("", "\n".join(map(str, range(30))))
    assert len(some) == MOST_LINES + 1
    assert some[-1] == f"… and {30 - MOST_LINES} more lines"
    assert text_changes("", "\n".join(map(str, range(500)))) == ["500 lines more"]


def test_a_difference_says_what_it_follows_from() -> None:
    assert not Difference("a", UPDATE, 1, 2).by_version
