"""Values keep their meaning over the wire and never show a secret."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labctl.graph.differences import Change, differences, join, steps, value_at
from labctl.graph.values import (
    UNKNOWN,
    Inputs,
    Secret,
    Value,
    contains_secret,
    contains_unknown,
    from_struct,
    redact,
    reveal,
    to_struct,
)

LEAVES: st.SearchStrategy[Value] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
    | st.text(max_size=5)
    | st.just(UNKNOWN)
)
VALUES: st.SearchStrategy[Value] = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3) | st.builds(Secret, inner)
    ),
    max_leaves=8,
)
PROPERTIES: st.SearchStrategy[Inputs] = st.dictionaries(st.text(max_size=4), VALUES, max_size=4)


@given(PROPERTIES)
def test_the_wire_keeps_every_value(properties: Inputs) -> None:
    assert from_struct(to_struct(properties)) == properties


@given(PROPERTIES)
def test_equal_values_have_no_differences(properties: Inputs) -> None:
    assert not differences(dict(properties), dict(properties))


@given(PROPERTIES)
def test_an_unknown_differs_from_whatever_is_known(properties: Inputs) -> None:
    known = {key: value for key, value in properties.items() if value is not None and not contains_unknown(value)}
    found = differences(dict(known), dict.fromkeys(known, UNKNOWN))
    assert found.keys() == {join("", key) for key in known}


@given(PROPERTIES)
def test_revealing_leaves_no_secret(properties: Inputs) -> None:
    assert not contains_secret(reveal(dict(properties)))


def test_a_secret_is_never_shown() -> None:
    canary = "hush-canary"
    value: Value = {"a": [Secret({"deep": canary})], "b": Secret(canary)}
    assert canary not in str(redact(value))
    assert canary not in repr(value)
    assert redact(value) == {"a": ["[secret]"], "b": "[secret]"}


def test_a_secret_equals_the_plain_value_it_holds() -> None:
    assert differences({"a": Secret("x")}, {"a": "x"}) == {}
    assert differences({"a": Secret("x")}, {"a": "y"}) == {"a": Change.UPDATE}


def test_true_is_not_one() -> None:
    assert differences({"a": True}, {"a": 1}) == {"a": Change.UPDATE}


def test_paths_are_readable_and_lead_back() -> None:
    old: Inputs = {"metadata": {"labels": {"app.kubernetes.io/name": "x"}}, "ports": [{"port": 80}, {"port": 81}]}
    new: Inputs = {"metadata": {"labels": {"app.kubernetes.io/name": "y"}}, "ports": [{"port": 80}], "z": {}}
    assert differences(dict(old), dict(new)) == {
        'metadata.labels["app.kubernetes.io/name"]': Change.UPDATE,
        "ports[1]": Change.DELETE,
        "z": Change.ADD,
    }
    assert value_at(old, 'metadata.labels["app.kubernetes.io/name"]') == "x"
    assert value_at(old, "ports[1].port") == 81
    assert value_at(old, "ports[7].port") is None


@given(st.lists(st.text(min_size=1, max_size=6) | st.integers(0, 9), min_size=1, max_size=4))
def test_any_key_survives_a_path(keys: list[str | int]) -> None:
    path = ""
    for key in ["root", *keys]:
        path = join(path, key)
    assert list(steps(path)) == ["root", *map(str, keys)]
