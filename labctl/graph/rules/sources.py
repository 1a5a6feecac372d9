"""Resources for the rules, out of what each of their users has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from labctl.graph.goal import urn_name
from labctl.graph.values import REDACTED, SECRET_SIGNATURE, SIGNATURE_KEY, UNKNOWN, UNKNOWN_WIRE, Secret

from .errors import NoResourceError
from .model import RuledResource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.graph.goal import Goal
    from labctl.graph.values import Inputs, Plain, Value

__all__ = ["StateLike", "from_goal", "from_json", "from_state", "from_wire"]

UNKNOWN_TEXTS: Final = frozenset(
    {
        UNKNOWN_WIRE,
        "[unknown]",  # as `labctl.graph.values.redact` writes it
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # a bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # a number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # an array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # an asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # an archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # an object
    }
)
"""How an unknown value is written, by its kind (Pulumi: ``plugin.Unknown*Value``)."""

URN_SEPARATORS: Final = 3
"""Between stack, project, type and name."""


class StateLike(Protocol):
    """A resource of a state: what `from_state` reads of it."""

    @property
    def urn(self) -> str:
        """Its URN."""
        ...

    @property
    def type(self) -> str:
        """Its type token."""
        ...

    @property
    def inputs(self) -> Inputs:
        """Its properties."""
        ...

    @property
    def parent(self) -> str:
        """URN of its parent."""
        ...

    @property
    def protect(self) -> bool:
        """Whether it is protected."""
        ...


def from_goal(goal: Goal) -> RuledResource:
    """Return what the program wants of one resource, for the rules."""
    return RuledResource(
        urn=goal.urn, type=goal.type, name=goal.name, inputs=goal.inputs, parent=goal.parent, protect=goal.protect
    )


def from_state(state: StateLike) -> RuledResource:
    """Return a resource of a state, or of a plan's step, for the rules."""
    return RuledResource(
        urn=state.urn,
        type=state.type,
        name=urn_name(state.urn),
        inputs=state.inputs,
        parent=state.parent,
        protect=state.protect,
    )


def from_json(state: Mapping[str, Plain]) -> RuledResource:
    """Return a resource for the rules out of its JSON: ``newState`` of a step of ``pulumi preview --json``.

    Secrets are sealed or ``[secret]`` there; both are secrets here.

    Raises
    ------
    NoResourceError
        It has no URN or no type.
    """
    urn, type_, inputs, parent = (state.get(key) for key in ("urn", "type", "inputs", "parent"))
    missing = "URN" if not isinstance(urn, str) or urn.count("::") < URN_SEPARATORS else "type"
    if not isinstance(urn, str) or not isinstance(type_, str) or missing == "URN":
        raise NoResourceError(missing)
    return RuledResource(
        urn=urn,
        type=type_,
        name=urn_name(urn),
        inputs=from_wire(inputs) if isinstance(inputs, dict) else {},
        parent=parent if isinstance(parent, str) else "",
        protect=state.get("protect") is True,
    )


def from_wire(properties: Mapping[str, Plain]) -> Inputs:
    """Return `properties` with secrets and unknowns as such, out of the forms that Pulumi writes them in."""
    return {key: _value(item) for key, item in properties.items()}


def _value(item: Plain) -> Value:
    if isinstance(item, str):
        if item in UNKNOWN_TEXTS:
            return UNKNOWN
        return Secret(item) if item == REDACTED else item
    if isinstance(item, list):
        return [_value(each) for each in item]
    if isinstance(item, dict):
        if item.get(SIGNATURE_KEY) == SECRET_SIGNATURE:
            # A sealed value of a state has its text under another key, and encrypted: nothing of it is known.
            return Secret(_value(item["value"]) if "value" in item else UNKNOWN)
        return from_wire(item)
    return int(item) if isinstance(item, float) and item.is_integer() else item
