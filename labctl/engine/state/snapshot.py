"""A stack's whole state: Pulumi's ``DeploymentV3``, with the rules that make one consistent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from labctl.engine.providers.base import Operation
from labctl.graph.goal import STACK_TYPE

from .exceptions import MalformedStateError, SnapshotIntegrityError
from .resource import PendingOperation, ResourceState, now

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from labctl.graph.values import Inputs, Plain

    from .wire import Codec, PlainObject

__all__ = ["ENGINE_VERSION", "Snapshot", "settle", "verify"]

ENGINE_VERSION: Final = "labctl"
"""``manifest.version``: who wrote the snapshot; ``pulumi stack`` shows it."""
HARMLESS_OPERATIONS: Final = frozenset({"reading", "importing"})
"""Pending operations of the official engine that change nothing outside the state, so that nothing is to recover."""
DEPLOYMENT_KEYS: Final = frozenset({"manifest", "secrets_providers", "resources", "pending_operations", "metadata"})


@dataclass(frozen=True)
class Snapshot:
    """Resources in an order where each comes after what it refers to, and the operations whose end is not known."""

    resources: tuple[ResourceState, ...] = ()
    pending_operations: tuple[PendingOperation, ...] = ()
    extra: Mapping[str, Plain] = field(default_factory=dict[str, "Plain"])
    """Further keys of a foreign deployment (``snippets``, ``extensions``), kept as they are."""

    @cached_property
    def live(self) -> Mapping[str, ResourceState]:
        """Resources by URN, without those that only wait to be deleted."""
        return {state.urn: state for state in self.resources if not state.delete}

    @cached_property
    def outputs(self) -> Inputs:
        """What the stack exports; empty before the first run."""
        stacks = [state.outputs for state in self.resources if state.type == STACK_TYPE]
        return stacks[0] if stacks else {}

    def get(self, urn: str) -> ResourceState | None:
        """Return the live resource of that URN."""
        return self.live.get(urn)

    def to_json(self, codec: Codec) -> PlainObject:
        """Return Pulumi's ``DeploymentV3``, secrets sealed."""
        resources: list[Plain] = [state.to_json(codec) for state in self.resources]
        pending: list[Plain] = [operation.to_json(codec) for operation in self.pending_operations]
        magic = hashlib.sha256(ENGINE_VERSION.encode()).hexdigest()
        deployment: PlainObject = {"manifest": {"time": now(), "magic": magic, "version": ENGINE_VERSION}}
        if salt := codec.manager.salt:
            deployment["secrets_providers"] = {"type": "passphrase", "state": {"salt": salt}}
        if resources:
            deployment["resources"] = resources
        if pending:
            deployment["pending_operations"] = pending
        return deployment | {"metadata": {}} | dict(self.extra)

    @classmethod
    def from_json(cls, deployment: PlainObject, codec: Codec, place: str) -> Snapshot:
        """Read Pulumi's ``DeploymentV3``; takes over and changes the parsed JSON it is given.

        Raises
        ------
        MalformedStateError
            It is not what Pulumi writes, or was edited without its checksum.
        SnapshotIntegrityError
            Its resources contradict each other.
        StateError
            A secret cannot be opened.
        """
        _check_manifest(deployment.get("manifest"), place)
        resources = tuple(
            ResourceState.from_json(_object(stored, place), codec, f"{place}: resources[{index}]")
            for index, stored in enumerate(_list(deployment, "resources", place))
        )
        pending = tuple(
            PendingOperation(
                operation=_operation(entry, place),
                resource=ResourceState.from_json(_object(entry.get("resource"), place), codec, place),
            )
            for stored in _list(deployment, "pending_operations", place)
            if (entry := _object(stored, place)).get("type") not in HARMLESS_OPERATIONS
        )
        verify(resources)
        rest = {key: value for key, value in deployment.items() if key not in DEPLOYMENT_KEYS}
        return cls(resources, pending, rest)


def _check_manifest(manifest: Plain, place: str) -> None:
    stated = _object(manifest, f"{place}: manifest")
    version = stated.get("version", "")
    expected = hashlib.sha256(str(version).encode()).hexdigest() if version else ""
    if stated.get("magic", "") != expected:
        raise MalformedStateError(place, "manifest.magic does not match manifest.version; the file is damaged")


def _object(value: Plain, place: str) -> PlainObject:
    if isinstance(value, dict):
        return value
    raise MalformedStateError(place, "an object is missing where one must be")


def _list(deployment: PlainObject, key: str, place: str) -> list[Plain]:
    value = deployment.get(key)
    if value is None or isinstance(value, list):
        return value or []
    raise MalformedStateError(place, f"{key} must be a list")


def _operation(entry: PlainObject, place: str) -> Operation:
    try:
        return Operation(str(entry.get("type")))
    except ValueError as error:
        raise MalformedStateError(place, f"unknown pending operation {entry.get('type')!r}") from error


def verify(resources: Sequence[ResourceState]) -> None:
    """Check that every reference leads to an earlier resource and that no two live ones share a URN.

    The rules of ``deploy.Snapshot.VerifyIntegrity``.

    Raises
    ------
    SnapshotIntegrityError
        Names the first resource that breaks a rule, and the rule.
    """
    everything = {state.urn for state in resources}
    seen: set[str] = set()
    live: set[str] = set()
    providers: set[str] = set()
    for state in resources:
        if state.is_provider:
            providers.add(state.reference)
        if state.provider and state.provider not in providers and not state.pending_replacement:
            raise SnapshotIntegrityError(state.urn, f"its provider {state.provider} is not among the earlier resources")
        for relation, urn in state.references():
            if urn not in seen:
                where = "comes after it" if urn in everything else "does not exist"
                raise SnapshotIntegrityError(state.urn, f"its {relation} {urn} {where}")
        if not state.delete and state.urn in live:
            raise SnapshotIntegrityError(state.urn, "exists twice")
        seen.add(state.urn)
        if not state.delete:
            live.add(state.urn)


def settle(resources: Iterable[ResourceState]) -> tuple[ResourceState, ...]:
    """Return `resources` with references to what is gone removed, and moved back behind what they refer to.

    The order stays as it is wherever it is right already. A resource whose parent is gone has none then, as the
    official engine does after a refresh found the parent deleted.
    """
    kept = list(resources)
    urns = {state.urn for state in kept}
    kept = [_without_dangling(state, urns) for state in kept]
    return tuple(kept) if _is_ordered(kept) else _sorted(kept)


def _without_dangling(state: ResourceState, urns: set[str]) -> ResourceState:
    if all(urn in urns for _, urn in state.references()):
        return state
    extra = dict(state.extra)
    if extra.get("deletedWith") not in urns:
        extra.pop("deletedWith", None)
    if isinstance(stored := extra.get("replaceWith"), list):
        extra["replaceWith"] = [urn for urn in stored if urn in urns]
    return replace(
        state,
        parent=state.parent if state.parent in urns else "",
        dependencies=tuple(urn for urn in state.dependencies if urn in urns),
        property_dependencies={
            key: tuple(urn for urn in named if urn in urns) for key, named in state.property_dependencies.items()
        },
        extra=extra,
    )


def _needs(state: ResourceState) -> Iterable[str]:
    for _, urn in state.references():
        yield urn
    if state.provider:
        yield state.provider_urn


def _is_ordered(resources: Sequence[ResourceState]) -> bool:
    seen: set[str] = set()
    for state in resources:
        if any(urn not in seen for urn in _needs(state)):
            return False
        seen.add(state.urn)
    return True


def _sorted(resources: Sequence[ResourceState]) -> tuple[ResourceState, ...]:
    """Return a stable topological order: each resource as early as its place and its references allow."""
    by_urn: dict[str, list[int]] = {}
    for index, state in enumerate(resources):
        by_urn.setdefault(state.urn, []).append(index)
    placed: dict[int, None] = {}
    for start in range(len(resources)):
        stack = [(start, False)]
        entered: set[int] = set()
        while stack:
            index, finished = stack.pop()
            if finished:
                placed[index] = None
            if index in placed or index in entered:
                continue
            entered.add(index)
            stack.append((index, True))
            wanted = [item for urn in _needs(resources[index]) for item in by_urn.get(urn, ())]
            stack.extend((item, False) for item in reversed(wanted) if item not in placed and item not in entered)
    return tuple(resources[index] for index in placed)
