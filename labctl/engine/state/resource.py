"""One resource as a state file holds it: Pulumi's ``apitype.ResourceV3``, the same keys in the same order."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, cast

from labctl.graph.goal import PROVIDER_PREFIX

from .exceptions import MalformedStateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labctl.engine.providers.base import Operation
    from labctl.graph.values import Inputs, Plain, Value

    from .wire import Codec, PlainObject

__all__ = [
    "CustomTimeouts",
    "PendingOperation",
    "ResourceState",
    "now",
]

NANOSECONDS: Final = 1_000_000_000


def now() -> str:
    """Return the time in UTC as Go writes it (RFC 3339, nanoseconds without trailing zeros)."""
    seconds, nanoseconds = divmod(time.time_ns(), NANOSECONDS)
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


@dataclass(frozen=True, kw_only=True)
class CustomTimeouts:
    """How long each operation on a resource may take; None: the provider's own default."""

    create_seconds: float | None = None
    update_seconds: float | None = None
    delete_seconds: float | None = None

    def to_json(self) -> PlainObject:
        """Return Pulumi's ``customTimeouts``, in seconds; empty when no timeout is set."""
        stated = {"create": self.create_seconds, "update": self.update_seconds, "delete": self.delete_seconds}
        return {key: _whole(value) for key, value in stated.items() if value}

    @classmethod
    def from_json(cls, stored: PlainObject, place: str) -> CustomTimeouts:
        """Read Pulumi's ``customTimeouts``."""
        for key in ("create", "update", "delete"):
            if not isinstance(stored.get(key, 0), int | float):
                raise MalformedStateError(place, f"customTimeouts.{key} is not a number of seconds")
        read = cast("Mapping[str, float]", stored)
        return cls(
            create_seconds=read.get("create"), update_seconds=read.get("update"), delete_seconds=read.get("delete")
        )


def _whole(seconds: float) -> float:
    """Return whole seconds as int: Go writes 300, not 300.0."""
    return int(seconds) if float(seconds).is_integer() else seconds


@dataclass(frozen=True, kw_only=True)
class ResourceState:
    """One resource of a snapshot. Values are never changed in place: a changed resource is a new state."""

    urn: str
    type: str
    """Type token, for example ``kubernetes:core/v1:Namespace``."""
    custom: bool
    """True: a provider owns it and it has an id; False: a component."""
    id: str = ""
    inputs: Inputs = field(default_factory=dict[str, "Value"])
    """Checked inputs it was last applied with."""
    outputs: Inputs = field(default_factory=dict[str, "Value"])
    parent: str = ""
    """URN; empty for the stack and for providers that the engine made."""
    dependencies: tuple[str, ...] = ()
    """URNs, of ``depends_on`` and of every input together."""
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """URNs that each input's value came from; an input without any is there with an empty tuple."""
    provider: str = ""
    """``<provider's URN>::<provider's id>``; empty for components and for providers themselves."""
    protect: bool = False
    retain_on_delete: bool = False
    delete: bool = False
    """True: replaced by a newer one of the same URN, and still to be deleted."""
    pending_replacement: bool = False
    """True: deleted already to be replaced, and its successor not created yet; there is nothing behind it."""
    external: bool = False
    """True: read, not owned (Pulumi: ``get``)."""
    additional_secret_outputs: tuple[str, ...] = ()
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    custom_timeouts: CustomTimeouts | None = None
    init_errors: tuple[str, ...] = ()
    """Why it exists but is not what was asked, for example a Deployment that never got ready."""
    created: str = ""
    """RFC 3339 time; filled in by `Stack` when empty."""
    modified: str = ""
    extra: Mapping[str, Plain] = field(default_factory=dict[str, "Plain"])
    """Keys of a foreign state that this engine makes no use of (``aliases``, ``importID``, ...), kept as they are."""

    @property
    def name(self) -> str:
        """Logical name: the last part of the URN."""
        return self.urn.rsplit("::", 1)[-1]

    @property
    def is_provider(self) -> bool:
        """Tell whether this is a provider resource, which others refer to by `reference`."""
        return self.type.startswith(PROVIDER_PREFIX)

    @property
    def reference(self) -> str:
        """What a resource of this provider has in `provider`."""
        return f"{self.urn}::{self.id}"

    @property
    def provider_urn(self) -> str:
        """URN of its provider; empty when it has none."""
        return self.provider.rpartition("::")[0]

    def references(self) -> Iterator[tuple[str, str]]:
        """Yield what must come before it in a snapshot: (what it is to this one, URN); providers aside."""
        if self.parent:
            yield "parent", self.parent
        for urn in self.dependencies:
            yield "dependency", urn
        for key, urns in self.property_dependencies.items():
            for urn in urns:
                yield f"dependency of {key}", urn
        for key in ("deletedWith", "replaceWith"):
            stored = self.extra.get(key)
            for urn in stored if isinstance(stored, list) else [stored]:
                if isinstance(urn, str) and urn:
                    yield key, urn

    def renamed(self, names: Mapping[str, str]) -> ResourceState:
        """Return it with each URN that is a key of `names` as that says: its own, and those it refers to."""
        if not names:  # as in nearly every run: the rest costs 8 us, and a replacement asks it of each resource
            return self
        mentioned = {self.urn, self.provider_urn, *(urn for _, urn in self.references())}
        if names.keys().isdisjoint(mentioned):
            return self

        def now(urn: str) -> str:
            return names.get(urn, urn)

        extra = dict(self.extra)
        for key in ("deletedWith", "replaceWith"):
            stored = extra.get(key)
            if isinstance(stored, str):
                extra[key] = now(stored)
            elif isinstance(stored, list):
                extra[key] = [now(urn) if isinstance(urn, str) else urn for urn in stored]
        return replace(
            self,
            urn=now(self.urn),
            parent=now(self.parent),
            dependencies=tuple(now(urn) for urn in self.dependencies),
            property_dependencies={
                key: tuple(now(urn) for urn in urns) for key, urns in self.property_dependencies.items()
            },
            provider=f"{now(self.provider_urn)}::{self.provider.rpartition('::')[2]}" if self.provider else "",
            extra=extra,
        )

    def to_json(self, codec: Codec) -> PlainObject:
        """Return Pulumi's JSON of it: absent what is empty, secrets sealed."""
        timeouts = self.custom_timeouts.to_json() if self.custom_timeouts else {}
        known: dict[str, Plain] = {
            "urn": self.urn,
            "custom": self.custom,
            "delete": self.delete,
            "id": self.id,
            "type": self.type,
            "inputs": codec.encode(self.inputs, f"{self.urn}#inputs"),
            "outputs": codec.encode(self.outputs, f"{self.urn}#outputs"),
            "parent": self.parent,
            "protect": self.protect,
            "external": self.external,
            "dependencies": _list(self.dependencies),
            "initErrors": _list(self.init_errors),
            "provider": self.provider,
            "propertyDependencies": {
                key: _list(self.property_dependencies[key]) for key in sorted(self.property_dependencies)
            },
            "pendingReplacement": self.pending_replacement,
            "additionalSecretOutputs": _list(self.additional_secret_outputs),
            "customTimeouts": timeouts,
            "retainOnDelete": self.retain_on_delete,
            "created": self.created,
            "modified": self.modified,
            "ignoreChanges": _list(self.ignore_changes),
            "replaceOnChanges": _list(self.replace_on_changes),
        }
        stated = {key: value for key, value in known.items() if value or key == "custom"}
        return stated | dict(self.extra)

    @classmethod
    def from_json(cls, stored: PlainObject, codec: Codec, place: str = "resource") -> ResourceState:
        """Read Pulumi's JSON of a resource; takes over and changes the parsed JSON it is given.

        Raises
        ------
        MalformedStateError
            A key is missing or of another type than Pulumi's.
        CiphertextError, WrongPassphraseError, PassphraseMissingError
            It holds a secret that cannot be opened.
        """
        read = _Reader(stored, place)
        urn = read.text("urn", required=True)
        read.place = urn
        state = cls(
            urn=urn,
            type=read.text("type", required=True),
            custom=read.flag("custom"),
            id=read.text("id"),
            inputs=codec.decode(read.mapping("inputs"), f"{urn}#inputs"),
            outputs=codec.decode(read.mapping("outputs"), f"{urn}#outputs"),
            parent=read.text("parent"),
            dependencies=read.texts("dependencies"),
            property_dependencies=read.text_lists("propertyDependencies"),
            provider=read.text("provider"),
            protect=read.flag("protect"),
            retain_on_delete=read.flag("retainOnDelete"),
            delete=read.flag("delete"),
            pending_replacement=read.flag("pendingReplacement"),
            external=read.flag("external"),
            additional_secret_outputs=read.texts("additionalSecretOutputs"),
            ignore_changes=read.texts("ignoreChanges"),
            replace_on_changes=read.texts("replaceOnChanges"),
            custom_timeouts=CustomTimeouts.from_json(timeouts, urn)
            if (timeouts := read.mapping("customTimeouts"))
            else None,
            init_errors=read.texts("initErrors"),
            created=read.text("created"),
            modified=read.text("modified"),
            extra=read.rest(),
        )
        if not state.custom and state.id:
            raise MalformedStateError(urn, "a component has no id, but this one has")
        return state


def _list(items: tuple[str, ...]) -> list[Plain]:
    return [*items]


class _Reader:
    """Takes the keys of one stored resource, each once, with the type it must have."""

    def __init__(self, stored: PlainObject, place: str) -> None:
        self.stored = stored
        self.place = place

    def text(self, key: str, *, required: bool = False) -> str:
        value = self.stored.pop(key, None)
        if isinstance(value, str) and (value or not required):
            return value
        if value is None and not required:
            return ""
        raise MalformedStateError(self.place, f"{key} must be a string")

    def flag(self, key: str) -> bool:
        value = self.stored.pop(key, None)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise MalformedStateError(self.place, f"{key} must be true or false")

    def mapping(self, key: str) -> PlainObject:
        value = self.stored.pop(key, None)
        if value is None or isinstance(value, dict):
            return value or {}
        raise MalformedStateError(self.place, f"{key} must be an object")

    def texts(self, key: str) -> tuple[str, ...]:
        return self._texts(self.stored.pop(key, None), key)

    def text_lists(self, key: str) -> dict[str, tuple[str, ...]]:
        return {name: self._texts(urns, f"{key}.{name}") for name, urns in self.mapping(key).items()}

    def _texts(self, value: Plain, key: str) -> tuple[str, ...]:
        items = [] if value is None else value
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return tuple(cast("list[str]", items))
        raise MalformedStateError(self.place, f"{key} must be a list of strings")

    def rest(self) -> dict[str, Plain]:
        return dict(self.stored)


@dataclass(frozen=True, kw_only=True)
class PendingOperation:
    """An operation that was begun and whose end is not known."""

    operation: Operation
    resource: ResourceState
    """The state it was begun with: the new one of a create or an update, the old one of a delete."""

    def to_json(self, codec: Codec) -> PlainObject:
        """Return Pulumi's ``pending_operations`` entry."""
        return {"resource": self.resource.to_json(codec), "type": self.operation.value}
