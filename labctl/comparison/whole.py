"""All that differs between two environments, or between two revisions of one stack."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from labctl.graph.compare import compare
from labctl.graph.record import record
from labctl.promotion.pins import Pin, pins_in, read_pins
from labctl.revisions import compare_trees, revision_tree
from labctl.revisions.trees import WORKING_TREE
from stacks.environments import environment_of
from stacks.loading import PlainValue, load_stack_file, stack_file_path
from stacks.project import PROJECT

from .configuration import MachineDifference, configuration_differences, machine_differences
from .errors import NoSuchStackError, UnbuildableError
from .names import Owner, sides
from .rehearsed import rehearsed_states
from .resources import ResourceDifferences, resource_differences
from .values import Difference, differences
from .versions import VersionDifference, VersionWords, version_differences

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from labctl.graph.compare import Comparison
    from labctl.graph.values import Plain
    from labctl.lab import Lab
    from labctl.revisions import StackChange

__all__ = ["Differences", "between_environments", "between_revisions"]

CLUSTER: Final = f"{PROJECT}:cluster"


@dataclass(frozen=True, kw_only=True)
class Differences:
    """How `other` differs from `one`."""

    one: str
    other: str
    versions: tuple[VersionDifference, ...]
    machines: tuple[MachineDifference, ...] = ()
    configuration: tuple[Difference, ...]
    resources: ResourceDifferences
    left_out: tuple[str, ...] = ()
    """What was recognised as either stack's own and not compared."""

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not (self.versions or self.machines or self.configuration) and self.resources.equal


def between_environments(one: Lab, other: Lab, *, raw: bool = False) -> Differences:
    """Return how two stacks of the project differ.

    Parameters
    ----------
    one, other
        The stacks.
    raw
        Compare names, addresses, keys and every machine, too.

    Raises
    ------
    UnbuildableError
        The program refuses a stack.
    """
    labs = one, other
    owners = [
        Owner(stack=lab.stack, cluster=cast("dict[str, Plain]", lab.cluster.model_dump(mode="json", by_alias=True)))
        for lab in labs
    ]
    pins = read_pins(one.root, one.environment.name), read_pins(other.root, other.environment.name)
    versions = version_differences(*pins)
    if raw:
        return Differences(
            one=one.stack,
            other=other.stack,
            versions=versions,
            configuration=differences(dict(owners[0].cluster), dict(owners[1].cluster)),
            resources=_as_they_are(compare(record(one.program()), record(other.program()))),
        )
    left, right = sides(owners[0], owners[1])
    return Differences(
        one=one.stack,
        other=other.stack,
        versions=versions,
        machines=machine_differences(owners[0], owners[1]),
        configuration=configuration_differences(left, right),
        resources=_marked(
            resource_differences(rehearsed_states(one), rehearsed_states(other), (left, right)), VersionWords(*pins)
        ),
        left_out=tuple(sorted(left.seen | right.seen)) if one.stack != other.stack else (),
    )


def _marked(found: ResourceDifferences, words: VersionWords) -> ResourceDifferences:
    return replace(found, changed={urn: words.marked(items) for urn, items in found.changed.items()})


def _as_they_are(found: Comparison) -> ResourceDifferences:
    return ResourceDifferences(
        only_one=found.only_one,
        only_other=found.only_other,
        changed={
            urn: tuple(
                Difference(
                    item.path.removeprefix("inputs."), item.change, cast("Plain", item.one), cast("Plain", item.other)
                )
                for item in items
            )
            for urn, items in found.changed.items()
        },
        same=found.same,
    )


def between_revisions(root: Path, stack: str, base: str, head: str | None = None) -> Differences:
    """Return how one stack differs between two revisions of the project.

    Parameters
    ----------
    root
        The project's folder, in a git repository.
    stack
        The stack.
    base, head
        Commits, branches or tags; head None: the files as they are now.

    Raises
    ------
    GitError
        There is no such revision, or no repository.
    NoSuchStackError
        Neither revision has the stack.
    UnbuildableError
        One of them has a stack that cannot be built.
    """
    with ExitStack() as opened:
        before = opened.enter_context(revision_tree(root, base))
        after = opened.enter_context(revision_tree(root, head))
        names = base, head or WORKING_TREE
        changes = compare_trees(before, after, [stack], names=names)
        if stack not in changes:
            raise NoSuchStackError(stack=stack, revisions=names)
        change = changes[stack]
        for error, name in ((change.base_error, names[0]), (change.error, names[1])):
            if error is not None:
                raise UnbuildableError(stack=stack, revision=name, error=error)
        environment = environment_of(stack).name
        pins = _pins(before, environment), _pins(after, environment)
        return Differences(
            one=f"{stack} at {names[0]}",
            other=f"{stack} at {names[1]}",
            versions=version_differences(*pins),
            configuration=differences(_cluster(before, stack), _cluster(after, stack)),
            resources=_marked(_previewed(change), VersionWords(*pins)),
        )


def _pins(tree: Path, environment: str) -> dict[str, Pin]:
    """Return the pins of a revision; none where it has no such file yet."""
    path = tree / "stacks" / "pins" / f"{environment}.yaml"
    return pins_in(path.read_text(encoding="utf-8"), file=f"stacks/pins/{path.name}") if path.is_file() else {}


def _cluster(tree: Path, stack: str) -> Plain:
    """Return the cluster as a revision's file has it, defaults left out as they are there."""
    path = stack_file_path(stack, tree)
    if not path.is_file():
        return {}
    value = load_stack_file(path).config.get(CLUSTER)
    return cast("Plain", value.value) if isinstance(value, PlainValue) else {}


def _previewed(change: StackChange) -> ResourceDifferences:
    """Return what a preview says, as differences of what programs ask for."""
    if change.is_gone:
        return ResourceDifferences(only_one=tuple(sorted(str(found["urn"]) for found in change.base_resources)))
    steps = cast("list[dict[str, Plain]]", change.preview.get("steps", []))
    by_op: dict[str, list[dict[str, Plain]]] = {}
    for step in steps:
        by_op.setdefault(str(step["op"]), []).append(step)
    altered = [*by_op.get("update", []), *by_op.get("replace", [])]
    changed = {str(step["urn"]): differences(_inputs(step, "oldState"), _inputs(step, "newState")) for step in altered}
    created = tuple(sorted(str(step["urn"]) for step in by_op.get("create", [])))
    return ResourceDifferences(
        only_one=tuple(sorted(str(step["urn"]) for step in by_op.get("delete", []))),
        only_other=created,
        changed=dict(sorted(changed.items())),
        replaced=frozenset(str(step["urn"]) for step in by_op.get("replace", [])),
        same=len(change.resources) - len(changed) - len(created),
    )


def _inputs(step: Mapping[str, Plain], key: str) -> Plain:
    state = step.get(key)
    return state.get("inputs") if isinstance(state, dict) else None
