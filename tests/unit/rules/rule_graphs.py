"""Graphs for the rules: those of the real stacks, and the same with one change."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import cast

from labctl.graph.program import Program, script
from labctl.graph.record import record
from labctl.graph.rules import EnvironmentFacts, NamedException, RuledResource, from_goal, load_exceptions
from labctl.graph.values import Inputs, Value
from labctl.lab import open_lab
from labctl.rules import environment_facts
from stacks.loading import load_stack_file
from stacks.project import PROJECT

ROOT = Path(__file__).resolve().parents[3]
STACKS = ("dev", "next", "prod", "test")
FIXTURES = tuple(sorted(path.name for path in (ROOT / "tests/unit/data/config").glob("every-option-*.happy.yaml")))
EXCEPTIONS = ROOT / "policies" / "exceptions.yaml"
URN = "urn:pulumi:{stack}::research-compute::{type}::{name}"

Graph = tuple[RuledResource, ...]
Change = Callable[[Inputs], None]


@cache
def stack_graph(stack: str) -> Graph:
    """Return what the program asks for in one of the environments."""
    return tuple(from_goal(goal) for goal in record(open_lab(stack, ROOT).program()).goals)


@cache
def fixture_graph(name: str, stack: str) -> Graph:
    """Return what the program asks for with a stack file of the tests of configuration, as the stack `stack`."""
    file = load_stack_file(ROOT / "tests/unit/data/config" / name)
    config, keys = file.program_config(None)
    entry = script(ROOT / "__main__.py")
    program = Program(project=PROJECT, stack=stack, entry=entry, config=config, secret_keys=tuple(keys), root=ROOT)
    return tuple(from_goal(goal) for goal in record(program).goals)


@cache
def reviewed() -> tuple[NamedException, ...]:
    """Return the project's own exceptions."""
    return load_exceptions(EXCEPTIONS)


def facts(stack: str) -> EnvironmentFacts:
    return environment_facts(stack)


def resource(type_: str, name: str, inputs: Inputs, *, stack: str = "prod", protect: bool = False) -> RuledResource:
    """Return a resource that no stack of ours has."""
    urn = URN.format(stack=stack, type=type_, name=name)
    return RuledResource(urn=urn, type=type_, name=name, inputs=inputs, protect=protect)


def find(graph: Graph, name: str) -> RuledResource:
    """Return the one resource with this logical name (custom ones only)."""
    found = [each for each in graph if each.name == name and not each.type.startswith("lab:")]
    assert len(found) == 1, [each.urn for each in found]
    return found[0]


def changed(graph: Graph, name: str, change: Change) -> Graph:
    """Return `graph` with the properties of one resource changed."""
    old = find(graph, name)
    inputs = copy.deepcopy(old.inputs)
    change(inputs)
    assert inputs != old.inputs, "the change changes nothing"
    return tuple(replace(each, inputs=inputs) if each is old else each for each in graph)


def unprotected(graph: Graph, name: str) -> Graph:
    """Return `graph` with one resource not protected."""
    old = find(graph, name)
    assert old.protect
    return tuple(replace(each, protect=False) if each is old else each for each in graph)


def put(value: Value, *path: str | int) -> Change:
    """Return the change that sets what is at `path`; mappings on the way are made."""

    def change(inputs: Inputs) -> None:
        place: Value = inputs
        for index, key in enumerate(path[:-1]):
            if isinstance(key, int):
                place = cast("list[Value]", place)[key]
            else:
                empty: Value = [] if isinstance(path[index + 1], int) else {}
                place = cast("Inputs", place).setdefault(key, empty)
        last = path[-1]
        if isinstance(last, int):
            items = cast("list[Value]", place)
            items[last : last + 1] = [value]
        else:
            cast("Inputs", place)[last] = value

    return change


def gone(*path: str | int) -> Change:
    """Return the change that removes what is at `path`."""

    def change(inputs: Inputs) -> None:
        place: Value = inputs
        for key in path[:-1]:
            place = cast("list[Value]", place)[key] if isinstance(key, int) else cast("Inputs", place)[key]
        del cast("Inputs", place)[cast("str", path[-1])]

    return change
