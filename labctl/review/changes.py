"""What a change of the project makes of one stack, in the terms of its reviewers. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, cast

from labctl.display.words import short_type
from labctl.engine.destruction import ended_memberships, holds_data
from labctl.engine.state import ResourceState
from labctl.graph.differences import Change, differences, value_at
from labctl.graph.goal import STACK_TYPE

from .effects import HERE, host_commands, hosts_of, image_changes, output_states, release_changes
from .hiding import without_secrets
from .reading import Operation, Preview, deletions_of, read_preview, read_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from labctl.graph.rules import Violation
    from labctl.graph.values import Plain, Value
    from labctl.revisions import StackChange

    from .effects import HostCommand, ImageChange, ReleaseChange
    from .naming import Named
    from .reading import ReviewedState, ReviewedStep

__all__ = [
    "Destruction",
    "OutputChange",
    "Permission",
    "Policies",
    "Presence",
    "StackReview",
    "component_of",
    "review_preview",
    "review_revisions",
]

COMPONENTS: Final = "lab:index:"
"""Type tokens of our components begin with this."""
OUTSIDE: Final = "the stack itself"
"""Component of what belongs to none: providers, and the stack."""


class Presence(StrEnum):
    """Which of the two revisions has the stack."""

    BOTH = "both"
    NEW = "new"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class Permission:
    """What may be destroyed in one stack."""

    stack: str
    everything: bool = False
    """Whether its environment is one to throw away, where nothing has to be named."""
    named: tuple[Named, ...] = ()

    def of(self, *urns: str) -> str | None:
        """Return the line that names one of `urns`; None if none does."""
        return next((item.line for item in self.named for urn in urns if item.names(urn, self.stack)), None)


@dataclass(frozen=True, kw_only=True)
class Destruction:
    """Data or a node that would be gone."""

    urn: str
    what: str
    """What it is, in words."""
    operation: Operation
    protected: bool = False
    """Both engines refuse it until somebody takes the protection off, whatever is named."""
    named_by: str | None = None
    """The line that names it."""
    free: bool = False
    """The environment is one to throw away."""

    @property
    def unnamed(self) -> bool:
        """Whether it stops the change."""
        return self.named_by is None and not self.free


@dataclass(frozen=True, kw_only=True)
class OutputChange:
    """One output of the stack that differs."""

    path: str
    change: Change
    before: Plain
    after: Plain


@dataclass(frozen=True, kw_only=True)
class Policies:
    """What the rules say of one stack."""

    newly_broken: tuple[Violation, ...] = ()
    """Broken by the change."""
    still_broken: tuple[Violation, ...] = ()
    """Broken before it, and after it."""
    mended: int = 0
    """Places that it puts right."""
    newly_excused: tuple[tuple[Violation, str], ...] = ()
    """Would be broken by the change, with the reason of the exception that excuses it."""
    partly: bool = False
    """Only changed resources were looked at, by the rules that need no others."""


@dataclass(frozen=True, kw_only=True)
class StackReview:
    """One stack, reviewed."""

    stack: str
    presence: Presence = Presence.BOTH
    error: str | None = None
    """Why it cannot be rendered after the change."""
    base_error: str | None = None
    """Why it could not before; it is then compared with nothing."""
    problems: tuple[str, ...] = ()
    """Errors of the preview's engine."""
    steps: tuple[ReviewedStep, ...] = ()
    """What changes."""
    unchanged: int = 0
    destroyed: tuple[Destruction, ...] = ()
    commands: tuple[HostCommand, ...] = ()
    releases: tuple[ReleaseChange, ...] = ()
    images: tuple[ImageChange, ...] = ()
    outputs: tuple[OutputChange, ...] = ()
    policies: Policies = field(default_factory=Policies)

    @property
    def counts(self) -> Mapping[Operation, int]:
        """Resources by what happens to them."""
        return Counter(step.operation for step in self.steps if step.operation is not Operation.SAME)

    @property
    def protections(self) -> tuple[tuple[str, bool], ...]:
        """Resources whose protection changes, with what it is afterwards."""
        return tuple(
            (step.urn, step.protection)
            for step in self.steps
            if step.protection is not None and not step.operation.destroys
        )

    @property
    def hosts(self) -> tuple[str, ...]:
        """Hosts on which commands would run."""
        return tuple(dict.fromkeys(command.host for command in self.commands if command.host != HERE))

    @property
    def unnamed(self) -> tuple[Destruction, ...]:
        """What would be destroyed and is not named."""
        return tuple(item for item in self.destroyed if item.unnamed)

    @property
    def touched(self) -> bool:
        """Whether there is anything to say of it."""
        return bool(
            self.error
            or self.base_error
            or self.problems
            or self.counts
            or self.protections
            or self.outputs
            or self.policies.newly_broken
            or self.policies.newly_excused
            or self.policies.mended
            or self.presence is not Presence.BOTH
        )


def review_revisions(change: StackChange, permission: Permission, policies: Policies) -> StackReview:
    """Return the review of a stack of which two revisions were compared."""
    presence = Presence.NEW if change.is_new else Presence.GONE if change.is_gone else Presence.BOTH
    if change.is_gone:
        preview = Preview(steps=deletions_of(change.base_resources, f"the base revision's {change.stack}"))
    else:
        preview = read_preview(change.preview) if change.preview else None
    begun = StackReview(
        stack=change.stack,
        presence=presence,
        error=_safe(change.error),
        base_error=_safe(change.base_error),
        policies=policies,
        # A step of the stack itself has the outputs of before: the program registers its own when all else is planned.
        outputs=() if change.error else _outputs(*(_stack(each) for each in (change.base_resources, change.resources))),
    )
    known = _Known(
        hosts=hosts_of([*change.base_resources, *change.resources]),
        retained=tuple(str(each.get("urn")) for each in change.resources if each.get("retainOnDelete") is True),
    )
    return _review(preview, begun, permission, known)


def review_preview(preview: Preview, permission: Permission, policies: Policies) -> StackReview:
    """Return the review of a stack of which an engine with credentials has made a preview."""
    problems = tuple(without_secrets(problem) for problem in preview.problems)
    stack = [step for step in preview.steps if step.type == STACK_TYPE and not problems]
    begun = StackReview(
        stack=permission.stack,
        problems=problems,
        policies=policies,
        outputs=_outputs([step.old for step in stack if step.old], [step.new for step in stack if step.new]),
    )
    retained = tuple(step.urn for step in preview.steps if step.new is not None and step.new.retain_on_delete)
    return _review(preview, begun, permission, _Known(retained=retained))


def _safe(text: str | None) -> str | None:
    return None if text is None else without_secrets(text)


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What is known of a stack beside what changes."""

    hosts: frozenset[str] = frozenset()
    retained: tuple[str, ...] = ()
    """URNs of what is retained when it is deleted."""


def _review(preview: Preview | None, begun: StackReview, permission: Permission, known: _Known) -> StackReview:
    if preview is None:
        return begun
    steps = tuple(step for step in preview.steps if step.operation is not Operation.SAME or step.protection is not None)
    return replace(
        begun,
        steps=tuple(sorted(steps, key=lambda step: (component_of(step.urn), step.type, step.name))),
        unchanged=preview.unchanged,
        destroyed=_destroyed(steps, permission, known.retained),
        commands=() if begun.presence is Presence.GONE else host_commands(steps, known.hosts),
        releases=release_changes(steps),
        images=image_changes(steps),
    )


def _destroyed(
    steps: Sequence[ReviewedStep], permission: Permission, retained: Iterable[str]
) -> tuple[Destruction, ...]:
    """Return what the embedded engine's gate would look at, in any plan: that engine's word for what holds data."""
    found: list[Destruction] = []
    ended = ended_memberships((step.urn for step in steps if step.operation.destroys), retained)
    for step in steps:
        if not step.operation.destroys or step.old is None:
            continue
        what = _held(step.old, step.urn) or ended.get(step.urn)
        if step.old.retain_on_delete or (what is None and not step.old.protect):
            continue
        found.append(
            Destruction(
                urn=step.urn,
                what=what or f"a protected {short_type(step.type)}",
                operation=step.operation,
                protected=step.old.protect,
                named_by=permission.of(step.urn, step.old.urn),
                free=permission.everything and not step.old.protect,
            )
        )
    return tuple(sorted(found, key=lambda item: (not item.unnamed, item.urn)))


def _held(state: ReviewedState, urn: str) -> str | None:
    """Return what `state` holds, under its name in the state and under the one it has now."""
    known = ResourceState(urn=state.urn, type=state.type, custom=True, id=state.id)
    return holds_data(known) or holds_data(ResourceState(urn=urn, type=state.type, custom=True, id=state.id))


def _stack(resources: Iterable[Mapping[str, Plain]]) -> list[ReviewedState]:
    return [state for each in resources if each.get("type") == STACK_TYPE and (state := read_state(each)) is not None]


def _outputs(old: Iterable[ReviewedState], new: Iterable[ReviewedState]) -> tuple[OutputChange, ...]:
    """Return the outputs that differ; none where the stack as a whole is new or gone."""
    before, after = output_states(old, new)
    if not before or not after:
        return ()
    one, other = cast("dict[str, Value]", dict(before)), cast("dict[str, Value]", dict(after))
    return tuple(
        OutputChange(
            path=path,
            change=change,
            before=cast("Plain", value_at(one, path)),
            after=cast("Plain", value_at(other, path)),
        )
        for path, change in differences(one, other).items()
    )


def component_of(urn: str) -> str:
    """Return the outermost component in the chain of types of `urn`: what a stack file has a section for."""
    first = urn.split("::")[2].partition("$")[0]
    return short_type(first) if first.startswith(COMPONENTS) and first != STACK_TYPE else OUTSIDE
