"""What ``pulumi preview --json`` says, of the official CLI and of `labctl` alike, as steps without a secret in them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, cast

from labctl.graph.differences import Change, differences, top_level
from labctl.graph.goal import PROVIDER_PREFIX, urn_name, urn_type

from .errors import PreviewShapeError
from .hiding import shown_properties

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labctl.graph.values import Plain, Value

__all__ = [
    "Operation",
    "Preview",
    "ReviewedState",
    "ReviewedStep",
    "deletions_of",
    "read_preview",
    "read_preview_text",
    "read_state",
]


class Operation(StrEnum):
    """What happens to one resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    READ = "read"
    REFRESH = "refresh"
    IMPORT = "import"
    SAME = "same"

    @property
    def destroys(self) -> bool:
        """Whether the resource as it is now is gone afterwards."""
        return self in (Operation.REPLACE, Operation.DELETE)


OPERATIONS: Final = {
    **{operation.value: operation for operation in Operation},
    "create-replacement": Operation.REPLACE,
    "delete-replaced": Operation.REPLACE,
    "import-replacement": Operation.REPLACE,
    "read-replacement": Operation.REPLACE,
    "remove-pending-replace": Operation.REPLACE,
    "discard": Operation.READ,
    "discard-replaced": Operation.READ,
}
"""Operations of the official engine (``pkg/resource/deploy/step.go``). A replacement may be one step or three; what is
discarded was only ever read, so that nothing of it is deleted."""
CHANGING: Final = (Operation.UPDATE, Operation.REPLACE)
"""Operations of which the changed properties are shown."""
DEFAULT: Final = "default_"
"""Names of providers that an engine made by itself start with this."""
WEIGHT: Final = (
    Operation.SAME,
    Operation.REFRESH,
    Operation.READ,
    Operation.IMPORT,
    Operation.CREATE,
    Operation.UPDATE,
    Operation.DELETE,
    Operation.REPLACE,
)
"""Several steps of one resource count as the last of these among them."""


@dataclass(frozen=True, kw_only=True)
class ReviewedState:
    """One resource before or after, secrets hidden."""

    urn: str
    type: str
    id: str = ""
    inputs: Mapping[str, Plain] = field(default_factory=dict[str, "Plain"])
    outputs: Mapping[str, Plain] = field(default_factory=dict[str, "Plain"])
    protect: bool = False
    retain_on_delete: bool = False


@dataclass(frozen=True, kw_only=True)
class ReviewedStep:
    """What happens to one resource, however many steps the engine needs for that."""

    operation: Operation
    urn: str
    old: ReviewedState | None = None
    new: ReviewedState | None = None
    changes: Mapping[str, Change] = field(default_factory=dict[str, Change])
    """Changed properties by path."""
    replacing: frozenset[str] = frozenset()
    """Properties that make it a replacement, as the provider names them."""

    @property
    def type(self) -> str:
        """Type token."""
        state = self.new or self.old
        return state.type if state else urn_type(self.urn)

    @property
    def name(self) -> str:
        """Logical name."""
        return urn_name(self.urn)

    @property
    def protection(self) -> bool | None:
        """Whether it is protected afterwards, where that changes; else None."""
        if self.old is None or self.new is None or self.old.protect is self.new.protect:
            return None
        return self.new.protect


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A whole preview of one stack."""

    steps: tuple[ReviewedStep, ...] = ()
    unchanged: int = 0
    """Resources that stay as they are."""
    problems: tuple[str, ...] = ()
    """Errors that the engine reported."""


def read_preview_text(text: str, source: str) -> Preview:
    """Return the preview that `text` is; `source` is what a message calls it.

    Raises
    ------
    PreviewShapeError
        It is something else.
    """
    try:
        document: object = json.loads(text)
    except ValueError as error:
        raise PreviewShapeError(source, str(error)) from None
    except RecursionError:
        raise PreviewShapeError(source, "it is nested too deeply") from None
    return read_preview(_object(document, source, "the document"), source)


def read_preview(document: Mapping[str, Plain], source: str = "the preview") -> Preview:
    """Return the preview in `document`.

    Raises
    ------
    PreviewShapeError
        It is something else.
    """
    listed = document.get("steps", [])
    if not isinstance(listed, list):
        raise PreviewShapeError(source, "its `steps` are no list")
    if "steps" not in document and "changeSummary" not in document and "diagnostics" not in document:
        raise PreviewShapeError(source, "it has neither `steps` nor `changeSummary`")
    gathered: dict[str, list[ReviewedStep]] = {}
    for item in listed:
        step = _step(_object(item, source, "a step"), source)
        gathered.setdefault(step.urn, []).append(step)
    steps = tuple(_merged(group) for group in gathered.values())
    summary = document.get("changeSummary")
    same = summary.get("same", 0) if isinstance(summary, dict) else 0
    return Preview(
        steps=steps,
        unchanged=same if isinstance(same, int) else 0,
        problems=tuple(_problems(document.get("diagnostics"))),
    )


def deletions_of(resources: Iterable[Mapping[str, Plain]], source: str = "the state") -> tuple[ReviewedStep, ...]:
    """Return what the end of a stack does: one deletion for each of its `resources`.

    The providers that an engine made by itself go with them; no plan counts those.
    """
    states = (read_state(resource, source) for resource in resources)
    return tuple(
        ReviewedStep(operation=Operation.DELETE, urn=state.urn, old=state)
        for state in states
        if state is not None
        and not (state.type.startswith(PROVIDER_PREFIX) and urn_name(state.urn).startswith(DEFAULT))
    )


def read_state(resource: Mapping[str, Plain], source: str = "the state") -> ReviewedState | None:
    """Return one resource of a state, secrets hidden.

    Raises
    ------
    PreviewShapeError
        It has no URN.
    """
    return _state(dict(resource), source)


def _step(item: Mapping[str, Plain], source: str) -> ReviewedStep:
    word, urn = item.get("op"), item.get("urn")
    if not isinstance(word, str) or word not in OPERATIONS:
        raise PreviewShapeError(source, f"a step's `op` is {word!r}")
    if not isinstance(urn, str) or urn.count("::") < 3:  # noqa: PLR2004 - stack, project, type, name
        raise PreviewShapeError(source, f"a step's `urn` is {urn!r}")
    old, new = _state(item.get("oldState"), source, urn), _state(item.get("newState"), source, urn)
    operation = OPERATIONS[word]
    return ReviewedStep(
        operation=operation,
        urn=urn,
        old=old,
        new=new,
        changes=_changes(item, old, new) if operation in CHANGING and old and new else {},
        replacing=frozenset(_texts(item.get("replaceReasons"))),
    )


def _merged(group: list[ReviewedStep]) -> ReviewedStep:
    """Return one step for all of one resource: a replacement is announced once and made by two more."""
    if len(group) == 1:
        return group[0]
    return ReviewedStep(
        operation=max((step.operation for step in group), key=WEIGHT.index),
        urn=group[0].urn,
        old=next((step.old for step in group if step.old is not None), None),
        new=next((step.new for step in group if step.new is not None), None),
        changes={path: change for step in group for path, change in step.changes.items()},
        replacing=frozenset(reason for step in group for reason in step.replacing),
    )


def _state(value: Plain, source: str, urn: str = "") -> ReviewedState | None:
    if value is None:
        return None
    state = _object(value, source, "a state")
    own = state.get("urn", urn)
    if not isinstance(own, str) or own.count("::") < 3:  # noqa: PLR2004 - as above
        raise PreviewShapeError(source, f"a state's `urn` is {own!r}")
    type_, identity = state.get("type"), state.get("id", "")
    type_ = type_ if isinstance(type_, str) else urn_type(own)
    sealed = frozenset(_texts(state.get("additionalSecretOutputs")))
    inputs, outputs = state.get("inputs") or {}, state.get("outputs") or {}
    return ReviewedState(
        urn=own,
        type=type_,
        id=identity if isinstance(identity, str) else "",
        inputs=shown_properties(_object(inputs, source, "inputs"), type_, sealed),
        outputs=shown_properties(_object(outputs, source, "outputs"), type_, sealed),
        protect=state.get("protect") is True,
        retain_on_delete=state.get("retainOnDelete") is True,
    )


def _changes(item: Mapping[str, Plain], old: ReviewedState, new: ReviewedState) -> dict[str, Change]:
    """Return what differs by path: what can be seen, and what the provider says of what cannot, such as secrets."""
    found = differences(cast("Value", dict(old.inputs)), cast("Value", dict(new.inputs)))
    said = item.get("detailedDiff")
    kinds = {path: _kind(detail) for path, detail in said.items()} if isinstance(said, dict) else {}
    for path, change in (kinds or dict.fromkeys(_texts(item.get("diffReasons")), Change.UPDATE)).items():
        if not path.startswith("__") and not any(_overlap(path, seen) for seen in found):
            found[path] = change
    return found


def _overlap(one: str, other: str) -> bool:
    """Tell whether one of two paths lies within the other."""
    if top_level(one) != top_level(other):
        return False
    short, long = sorted((one, other), key=len)
    return long.startswith(short) and long[len(short) :][:1] in ("", ".", "[")


def _kind(detail: Plain) -> Change:
    kind = detail.get("kind") if isinstance(detail, dict) else ""
    word = str(kind).removesuffix("-replace")
    return Change(word) if word in set(Change) else Change.UPDATE


def _problems(diagnostics: Plain) -> list[str]:
    """Return the errors among `diagnostics`, each once, in their order."""
    found: dict[str, None] = {}
    for item in diagnostics if isinstance(diagnostics, list) else []:
        if isinstance(item, dict) and item.get("severity") == "error":
            urn, message = item.get("urn"), item.get("message")
            words = f"{urn_name(urn)}: " if isinstance(urn, str) and urn.count("::") >= 3 else ""  # noqa: PLR2004
            found[words + str(message).strip()] = None
    return list(found)


def _texts(value: Plain) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _object(value: object, source: str, what: str) -> dict[str, Plain]:
    if not isinstance(value, dict):
        raise PreviewShapeError(source, f"{what} is no object")
    return cast("dict[str, Plain]", value)
