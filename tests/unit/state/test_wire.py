"""Values in a state file, and back."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from labctl.engine.state import Codec, SecretsManager
from labctl.engine.state.passphrase import Passphrase
from labctl.graph.values import UNKNOWN, UNKNOWN_WIRE, Secret, Value

if TYPE_CHECKING:
    from labctl.engine.state.wire import PlainObject

SALT = "v1:ovWLodfxFXk=:v1:uRGUK4NRpug4xvkg:D4y6+w36AEP1fjM6i46DoZ9KQpzRDA=="

leaves = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8) | st.just(UNKNOWN)
values: st.SearchStrategy[Value] = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3) | st.builds(Secret, inner)
    ),
    max_leaves=8,
)


def stored(encoded: PlainObject) -> PlainObject:
    return json.loads(json.dumps(encoded))


@given(st.dictionaries(st.text(max_size=4), values, max_size=3))
def test_round_trip(properties: dict[str, Value]) -> None:
    codec = Codec(SecretsManager(SALT, (Passphrase("the test", "contract"),)))
    encoded = stored(codec.encode(properties, "urn#inputs"))
    again = Codec(SecretsManager(SALT, (Passphrase("the test", "contract"),)))
    decoded = again.decode(copy.deepcopy(encoded), "urn#inputs")
    assert decoded == properties
    assert stored(again.encode(decoded, "urn#inputs")) == encoded


def test_secret_keeps_its_ciphertext_in_its_place_only(codec: Codec) -> None:
    first = codec.encode({"a": Secret("same"), "b": Secret("same")}, "urn#inputs")
    assert first["a"] != first["b"]
    assert codec.encode({"a": Secret("same"), "b": Secret("same")}, "urn#inputs") == first
    assert codec.encode({"a": Secret("other")}, "urn#inputs")["a"] != first["a"]


def test_shape_of_special_values(codec: Codec) -> None:
    encoded = codec.encode({"s": Secret([1]), "u": UNKNOWN, "l": [UNKNOWN]}, "urn#outputs")
    sealed = encoded["s"]
    assert isinstance(sealed, dict)
    assert sealed.keys() == {"4dabf18193072939515e22adb298388d", "ciphertext"}
    assert sealed["4dabf18193072939515e22adb298388d"] == "1b47061264138c4ac30d75fd1eb44270"
    assert codec.manager.decrypt(str(sealed["ciphertext"])) == "[1]"
    assert encoded["u"] == UNKNOWN_WIRE
    assert encoded["l"] == [UNKNOWN_WIRE]


def test_other_signed_objects_stay_as_they_are(codec: Codec) -> None:
    asset: PlainObject = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", "text": "x"}
    properties: PlainObject = {"asset": asset}
    assert codec.encode(codec.decode(copy.deepcopy(properties), "u"), "u") == properties
