"""A world with one provider in it, a program made of plain data, and a stack on disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pulumi

from labctl.engine.destruction import Gate
from labctl.engine.operations import deploy
from labctl.engine.providers.base import (
    Context,
    Created,
    Diff,
    PartialFailureError,
    ProviderError,
    Replacement,
    Resource,
)
from labctl.engine.registry import ProviderRegistry
from labctl.engine.report import Report
from labctl.engine.run import Run
from labctl.engine.state import FileBackend, Snapshot, Stack, UpdateKind, open_stack
from labctl.graph.differences import differences
from labctl.graph.program import Program
from labctl.graph.values import UNKNOWN, Inputs, as_text, contains_unknown


class KilledError(Exception):
    """The process was killed at this moment."""


@dataclass
class World:
    """What really exists: objects by name, each with its owner's URN and its inputs."""

    objects: dict[str, tuple[str, Inputs]] = field(default_factory=dict[str, tuple[str, Inputs]])
    calls: list[str] = field(default_factory=list[str])
    failing: set[str] = field(default_factory=set[str])
    half_made: set[str] = field(default_factory=set[str])
    kill_at: int | None = None
    killed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    ticks: int = 0

    def tick(self) -> None:
        """Let time pass; at the chosen moment the process dies, and nothing more happens."""
        with self.lock:
            self.ticks += 1
            if self.kill_at is not None and self.ticks >= self.kill_at:
                self.killed = True
            if self.killed:
                raise KilledError


class ThingProvider:
    """Manage things of the world: `name` is fixed, `size` changes in place, `kind` does not."""

    def __init__(self, world: World) -> None:
        self.world = world

    def check(self, resource: Resource, old: Resource | None) -> Inputs:
        if resource.inputs.get("size") == -1:
            message = "size must not be negative"
            raise ProviderError(message)
        return resource.inputs

    def diff(self, old: Resource, inputs: Inputs, context: Context) -> Diff:
        changes = differences(dict(old.inputs), dict(inputs))
        order = Replacement.CREATE_FIRST if "name" in changes else Replacement.DELETE_FIRST
        return Diff(changes=changes, replace_paths=frozenset(changes) & {"name", "kind"}, order=order)

    def create(self, resource: Resource, context: Context) -> Created:
        if context.preview:
            return Created(id="", outputs=resource.inputs | {"serial": UNKNOWN})
        assert not contains_unknown(dict(resource.inputs))
        name = as_text(resource.inputs.get("name"))
        self.world.tick()
        self.world.calls.append(f"create {name}")
        if name in self.world.failing:
            message = f"{name} cannot be made"
            raise ProviderError(message)
        with self.world.lock:
            if name in self.world.objects:
                message = f"{name} exists already"
                raise ProviderError(message)
            self.world.objects[name] = (resource.urn, resource.inputs)
        self.world.tick()
        outputs: Inputs = resource.inputs | {"serial": f"serial-of-{name}"}
        if name in self.world.half_made:
            raise PartialFailureError(name, outputs, ("it never got ready",))
        return Created(id=name, outputs=outputs)

    def update(self, old: Resource, inputs: Inputs, context: Context) -> Created:
        outputs: Inputs = inputs | {"serial": f"serial-of-{old.id}"}
        if not context.preview:
            self.world.tick()
            self.world.calls.append(f"update {old.id}")
            with self.world.lock:
                assert old.id in self.world.objects, f"{old.id} is gone"
                self.world.objects[old.id] = (old.urn, inputs)
            self.world.tick()
        return Created(id=old.id, outputs=outputs)

    def read(self, resource: Resource, context: Context) -> Created | None:
        name = resource.id or as_text(resource.inputs.get("name"))
        found = self.world.objects.get(name)
        if found is None or found[0] != resource.urn:
            return None
        return Created(id=name, outputs=found[1] | {"serial": f"serial-of-{name}"}, inputs=found[1])

    def delete(self, resource: Resource, context: Context) -> None:
        self.world.tick()
        self.world.calls.append(f"delete {resource.id}")
        if resource.id in self.world.failing:
            message = f"{resource.id} cannot be deleted"
            raise ProviderError(message)
        with self.world.lock:
            self.world.objects.pop(resource.id, None)
        self.world.tick()


class ThingFactory:
    def __init__(self, world: World) -> None:
        self.world = world

    def check_config(self, inputs: Inputs) -> Inputs:
        return inputs | {"__internal": {}}

    def diff_config(self, old: Inputs, new: Inputs) -> Diff:
        changes = differences(dict(old), dict(new))
        return Diff(changes=changes, replace_paths=frozenset(changes) & {"place"})

    def configure(self, inputs: Inputs) -> ThingProvider:
        return ThingProvider(self.world)


class Thing(pulumi.CustomResource):
    serial: pulumi.Output[str]

    def __init__(self, name: str, props: Mapping[str, object], opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("thing:index:Thing", name, {"serial": None, **props}, opts)


@dataclass(frozen=True)
class Declared:
    """One resource of a program made of plain data."""

    key: str
    size: int = 1
    kind: str = "plain"
    name: str = ""
    needs: tuple[str, ...] = ()
    """Keys whose `serial` it takes as an input."""
    options: Mapping[str, object] = field(default_factory=dict[str, object])


def program_of(things: Sequence[Declared], prepare: Callable[[], None] = lambda: None) -> Program:
    """Return a program that declares `things`, each after what it needs."""

    def entry() -> None:
        prepare()
        made: dict[str, Thing] = {}
        for thing in things:
            props: dict[str, object] = {
                "name": thing.name or f"the-{thing.key}",
                "size": thing.size,
                "kind": thing.kind,
                "serials": [made[need].serial for need in thing.needs],
            }
            made[thing.key] = Thing(thing.key, props, pulumi.ResourceOptions(**thing.options))  # pyright: ignore[reportArgumentType] - plain data
        pulumi.export("count", len(things))

    return Program(project="contract", stack="dev", entry=entry)


class Guarded:
    """An open stack that takes nothing more once the process is dead."""

    def __init__(self, stack: Stack, world: World) -> None:
        self._stack = stack
        self._world = world

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._stack, name)

        def call(*args: object, **kwargs: object) -> object:
            if self._world.killed:
                raise KilledError
            return method(*args, **kwargs)

        return call


@dataclass
class Bench:
    """A world, a state on disk, and the runs on them."""

    folder: Path
    world: World = field(default_factory=World)

    def open(self, kind: UpdateKind) -> Stack:
        files = FileBackend(f"file://{self.folder}").files("contract", "dev")
        return open_stack(files, kind, passphrases=())

    def registry(self) -> ProviderRegistry:
        return ProviderRegistry({"thing": ThingFactory(self.world)})

    def snapshot(self) -> Snapshot:
        return self.open(UpdateKind.PREVIEW).snapshot

    def preview(self, program: Program) -> Report:
        return deploy(program, Run(providers=self.registry(), old=self.snapshot()))

    def up(self, program: Program, allowed: tuple[str, ...] = ("*",)) -> Report:
        stack = self.open(UpdateKind.UPDATE)
        record = Guarded(stack, self.world)
        run = Run(
            providers=self.registry(),
            old=stack.snapshot,
            record=record,  # pyright: ignore[reportArgumentType] - forwards every method of Stack
            preview=False,
            gate=Gate(allowed),
        )
        report = deploy(program, run)
        if self.world.killed:
            stack.abandon()
        else:
            stack.close(succeeded=not report.failures, changes=report.summary())
        return report

    def revive(self) -> None:
        """Start a new process."""
        self.world.kill_at = None
        self.world.killed = False
