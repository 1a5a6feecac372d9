"""The random provider draws what was asked, keeps it, and stores it as the official one does."""

from __future__ import annotations

import base64
import re
import string
import uuid
from typing import TYPE_CHECKING

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.engine.providers.base import Context, Diff, Resource
from labctl.engine.providers.properties import (
    InvalidPropertyError,
    MissingPropertyError,
    UnknownPropertyError,
    UnsupportedTypeError,
)
from labctl.engine.providers.random import FACTORY
from labctl.graph.differences import Change
from labctl.graph.values import UNKNOWN, Secret, Value, as_text

if TYPE_CHECKING:
    from labctl.graph.values import Inputs

PROVIDER = FACTORY.configure({})
PREVIEW = Context(preview=True)
NULL = Secret({"replace": {"raw": None}})
SPECIAL = "!@#$%&*()-_=+[]{}<>:?"


def token(kind: str) -> str:
    return f"random:index/random{kind}:Random{kind}"


def resource(kind: str, inputs: Inputs) -> Resource:
    return Resource(urn=f"urn:pulumi:dev::lab::{token(kind)}::it", type=token(kind), inputs=inputs)


def check(kind: str, inputs: Inputs) -> Inputs:
    return PROVIDER.check(resource(kind, inputs), None)


def create(kind: str, inputs: Inputs) -> Resource:
    wanted = resource(kind, check(kind, inputs))
    made = PROVIDER.create(wanted, Context())
    return Resource(urn=wanted.urn, type=wanted.type, id=made.id, inputs=wanted.inputs, outputs=made.outputs)


def diff(old: Resource, inputs: Inputs) -> Diff:
    return PROVIDER.diff(old, check(old.type.rpartition(":Random")[2], inputs), Context())


def test_password_is_stored_as_the_official_provider_stores_it() -> None:
    made = create("Password", {"length": 20, "special": False})
    result, hashed = made.outputs["result"], made.outputs["bcryptHash"]
    assert isinstance(result, Secret)
    assert isinstance(hashed, Secret)
    assert re.fullmatch(r"[A-Za-z0-9]{20}", as_text(result))
    assert as_text(hashed).startswith("$2a$10$")
    assert bcrypt.checkpw(as_text(result).encode(), as_text(hashed).encode())
    assert made.id == "none"
    assert made.inputs == {"length": 20, "special": False}
    drawn = {"result": result, "bcryptHash": hashed}
    assert made.outputs == drawn | {
        "__meta": '{"schema_version":"3"}',
        "__pulumi_raw_state_delta": {"obj": {"ps": {"keepers": NULL, "overrideSpecial": NULL}}},
        "id": "none",
        "length": 20,
        "lower": True,
        "minLower": 0,
        "minNumeric": 0,
        "minSpecial": 0,
        "minUpper": 0,
        "number": True,
        "numeric": True,
        "special": False,
        "upper": True,
    }
    assert as_text(result) not in repr(made)


def test_long_password_has_a_hash() -> None:
    made = create("Password", {"length": 100})
    text = as_text(made.outputs["result"]).encode()
    assert bcrypt.checkpw(text[:72], as_text(made.outputs["bcryptHash"]).encode())


def test_id_has_all_its_forms() -> None:
    made = create("Id", {"byteLength": 4, "prefix": "p-", "keepers": {"k": "1"}})
    value = base64.urlsafe_b64decode(made.id + "==")
    assert len(value) == 4
    assert made.outputs == {
        "__pulumi_raw_state_delta": {"obj": {"ps": {"keepers": {"map": {}}}}},
        "b64Std": "p-" + base64.b64encode(value).decode(),
        "b64Url": "p-" + made.id,
        "byteLength": 4,
        "dec": f"p-{int.from_bytes(value, 'big')}",
        "hex": "p-" + value.hex(),
        "id": made.id,
        "keepers": {"k": "1"},
        "prefix": "p-",
    }


def test_small_types() -> None:
    made = create("Uuid", {})
    assert made.outputs == {
        "__pulumi_raw_state_delta": {"obj": {"ps": {"keepers": NULL}}},
        "id": made.id,
        "result": made.id,
    }
    assert uuid.UUID(made.id).version == 4
    number = create("Integer", {"min": -3, "max": -1})
    assert number.outputs["result"] in {-3, -2, -1}
    assert number.id == str(number.outputs["result"])
    assert number.outputs["__pulumi_raw_state_delta"] == {"obj": {"ps": {"keepers": NULL, "seed": NULL}}}
    text = create("String", {"length": 7})
    assert text.id == text.outputs["result"]
    assert text.outputs["__meta"] == '{"schema_version":"2"}'
    assert not isinstance(text.outputs["result"], Secret)


@pytest.mark.parametrize("words", [1, 2, 3, 4])
def test_pet_has_as_many_words_as_asked(words: int) -> None:
    made = create("Pet", {"length": words, "separator": "_", "prefix": "node"})
    first, *rest = made.id.split("_")
    assert first == "node"
    assert len(rest) == words
    assert all(re.fullmatch(r"[a-z]+", word) for word in rest)


def test_pet_has_defaults() -> None:
    made = create("Pet", {})
    assert len(made.id.split("-")) == 2
    assert made.outputs.items() >= {"length": 2, "separator": "-"}.items()


def test_values_differ() -> None:
    assert len({create("Id", {"byteLength": 8}).id for _ in range(50)}) == 50
    assert len({create("String", {"length": 16}).id for _ in range(50)}) == 50


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {"minLower": st.integers(0, 3), "minUpper": st.integers(0, 3), "minNumeric": st.integers(0, 3)},
        optional={"minSpecial": st.integers(0, 3), "overrideSpecial": st.just("~^")},
    ),
    st.integers(0, 4),
)
def test_string_has_the_least_of_each_class(minima: dict[str, Value], more: int) -> None:
    special = as_text(minima.get("overrideSpecial"), SPECIAL)
    counts = {key: value for key, value in minima.items() if isinstance(value, int)}
    length = max(1, sum(counts.values()) + more)
    text = create("String", {"length": length, **minima}).id
    assert len(text) == length
    classes = {"minLower": string.ascii_lowercase, "minUpper": string.ascii_uppercase, "minNumeric": string.digits}
    for name, characters in {**classes, "minSpecial": special}.items():
        assert sum(character in characters for character in text) >= counts.get(name, 0)
    assert set(text) <= set(string.ascii_letters + string.digits + special)


@pytest.mark.parametrize(
    ("excluded", "left"),
    [
        (("lower", "upper", "special"), string.digits),
        (("lower", "numeric", "special"), string.ascii_uppercase),
        (("lower", "number", "special"), string.ascii_uppercase),
        (("upper", "numeric", "lower"), SPECIAL),
    ],
)
def test_string_has_only_what_is_allowed(excluded: tuple[str, ...], left: str) -> None:
    inputs: Inputs = {"length": 40, **dict.fromkeys(excluded, False)}
    made = create("String", inputs)
    assert set(made.id) <= set(left)
    assert made.outputs["number"] is made.outputs["numeric"]


def test_preview_knows_all_but_what_is_drawn() -> None:
    made = PROVIDER.create(resource("Password", {"length": 9}), PREVIEW)
    assert made.id == ""
    assert made.outputs["result"] == made.outputs["bcryptHash"] == Secret(UNKNOWN)
    assert made.outputs["id"] is UNKNOWN
    assert made.outputs["upper"] is True
    assert "__pulumi_raw_state_delta" not in made.outputs
    pet = PROVIDER.create(resource("Pet", {"length": 3, "separator": "-"}), PREVIEW)
    assert pet.outputs == {"id": UNKNOWN, "length": 3, "separator": "-"}


def test_unchanged_is_unchanged() -> None:
    old = create("Password", {"length": 9, "special": False})
    assert diff(old, {"length": 9, "special": False}).changes == {}
    assert diff(old, {"length": 9, "special": False, "upper": True, "minLower": 0}).changes == {}
    assert diff(old, {"length": Secret(9), "special": False}).changes == {}


def test_changes_replace_and_are_told_by_property() -> None:
    old = create("Password", {"length": 9, "keepers": {"a": "1"}, "overrideSpecial": "~"})
    found = diff(old, {"length": 10, "keepers": {"a": "2", "b": "3"}, "numeric": False})
    assert found.changes == {
        "keepers": Change.UPDATE,
        "length": Change.UPDATE,
        "number": Change.UPDATE,
        "numeric": Change.UPDATE,
        "overrideSpecial": Change.DELETE,
    }
    assert found.replace_paths == found.changes.keys()
    assert not found.detailed


def test_unknown_may_change_anything() -> None:
    old = create("Id", {"byteLength": 4, "keepers": {"a": "1"}})
    found = diff(old, {"byteLength": 4, "keepers": {"a": UNKNOWN}})
    assert found.replace_paths == {"keepers"}


def test_what_draws_nothing_anew_is_an_update() -> None:
    old = create("String", {"length": 4, "overrideSpecial": ""})
    found = diff(old, {"length": 4, "keepers": {}})
    assert found.changes == {"keepers": Change.ADD, "overrideSpecial": Change.DELETE}
    assert found.replace_paths == frozenset()
    updated = PROVIDER.update(old, {"length": 4, "keepers": {}}, Context())
    assert updated.id == old.id
    assert updated.outputs["result"] == old.outputs["result"]
    assert updated.outputs["keepers"] == {}
    assert "overrideSpecial" not in updated.outputs


def test_read_is_the_states_copy_and_delete_does_nothing() -> None:
    old = create("Id", {"byteLength": 2})
    read = PROVIDER.read(old, Context())
    assert read is not None
    assert (read.id, read.outputs, read.inputs) == (old.id, old.outputs, old.inputs)
    PROVIDER.delete(old, Context())


@pytest.mark.parametrize(
    ("kind", "inputs", "error", "message"),
    [
        ("Shuffle", {}, UnsupportedTypeError, "randomShuffle:RandomShuffle is not supported.*RandomPassword"),
        ("Password", {"lenght": 4}, UnknownPropertyError, r"no property lenght .*did you mean length\?"),
        ("Uuid", {"size": 4}, UnknownPropertyError, "it has: keepers"),
        ("Password", {}, MissingPropertyError, "RandomPassword needs length"),
        ("Password", {"length": None}, MissingPropertyError, "needs length"),
        ("Password", {"length": "9"}, InvalidPropertyError, "length must be a whole number"),
        ("Password", {"length": True}, InvalidPropertyError, "length must be a whole number"),
        ("Password", {"length": 0}, InvalidPropertyError, "length must be at least 1"),
        ("Password", {"length": 4, "minLower": -1}, InvalidPropertyError, "minLower must be at least 0"),
        ("Password", {"length": 4, "minLower": 3, "minUpper": 2}, InvalidPropertyError, "length must be at least 5"),
        ("Password", {"length": 4, "upper": "yes"}, InvalidPropertyError, "upper must be true or false"),
        ("Password", {"length": 4, "keepers": {"a": 1}}, InvalidPropertyError, "keepers must be an object of strings"),
        ("Password", {"length": 4, "number": True, "numeric": False}, InvalidPropertyError, "the same as numeric"),
        (
            "String",
            {"length": 4, "lower": False, "upper": False, "numeric": False, "special": False},
            InvalidPropertyError,
            "special must be true when",
        ),
        ("Integer", {"min": 2, "max": 1}, InvalidPropertyError, "max must be no less than min"),
        ("Integer", {"min": 1, "max": 2, "seed": "s"}, UnknownPropertyError, "no property seed"),
        ("Id", {"byteLength": 0}, InvalidPropertyError, "byteLength must be at least 1"),
    ],
)
def test_refuses_what_cannot_be(kind: str, inputs: Inputs, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check(kind, inputs)


def test_unknown_inputs_pass_the_check() -> None:
    inputs: Inputs = {"length": UNKNOWN, "minLower": 3, "number": UNKNOWN, "numeric": False, "keepers": {"a": UNKNOWN}}
    assert check("Password", inputs) == inputs
    assert check("Integer", {"min": UNKNOWN, "max": 1}) == {"min": UNKNOWN, "max": 1}


def test_configuration() -> None:
    assert FACTORY.check_config({"version": "4.21.4"}) == {"__internal": {}, "version": "4.21.4"}
    with pytest.raises(UnknownPropertyError, match="no property seed"):
        FACTORY.check_config({"seed": "1"})
    assert FACTORY.diff_config({"version": "1"}, {"version": "2"}) == Diff(changes={"version": Change.UPDATE})
