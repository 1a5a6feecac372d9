"""What the policy rules say of a stack before and after a change."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from labctl.graph.rules import RULES, from_json, judge
from labctl.graph.values import REDACTED, UNKNOWN, Secret, Unknown, Value, transform
from labctl.rules import environment_facts

from .changes import Policies

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from labctl.graph.rules import Judgement, NamedException, RuledResource, Violation
    from labctl.graph.values import Plain

__all__ = ["compared_policies", "policies_of_preview"]


def compared_policies(
    stack: str,
    base: Iterable[Mapping[str, Plain]],
    head: Iterable[Mapping[str, Plain]],
    exceptions: tuple[Sequence[NamedException], Sequence[NamedException]],
) -> Policies:
    """Return what a change of `stack` breaks and mends.

    Parameters
    ----------
    stack
        Its name, which says its environment.
    base, head
        All of its resources before and after, as a state has them.
    exceptions
        Named exceptions before and after: a change may bring one for itself, and that is said.
    """
    before = _judged(stack, [_ruled(each) for each in base], exceptions[0])
    after = _judged(stack, [_ruled(each) for each in head], exceptions[1])
    return _compared(before, after)


def policies_of_preview(
    stack: str, steps: Iterable[Mapping[str, Plain]], exceptions: Sequence[NamedException] = ()
) -> Policies:
    """Return what the changed resources of a preview break and mend, of the rules that need no other resource.

    Where the whole stack is not known, neither is what stands around a resource.

    Parameters
    ----------
    stack
        Its name, which says its environment.
    steps
        The preview's steps, as it has them.
    exceptions
        Named exceptions; a preview knows of no others before it.
    """
    listed = list(steps)
    alone = frozenset(rule.name for rule in RULES if not rule.needs_stack)
    before = _judged(stack, _states(listed, "oldState"), exceptions)
    after = _judged(stack, _states(listed, "newState"), exceptions)
    return replace(_compared(before, after, alone), partly=True)


def _states(steps: Iterable[Mapping[str, Plain]], key: str) -> list[RuledResource]:
    """Return the states under `key`, one of each resource: the steps of a replacement repeat them."""
    states = (step.get(key) for step in steps)
    found = [_ruled(state) for state in states if isinstance(state, dict)]
    return list({resource.urn: resource for resource in found}.values())


def _ruled(state: Mapping[str, Plain]) -> RuledResource:
    """Return a resource for the rules; what is in its secrets is not known, rather than the text ``[secret]``."""
    resource = from_json(state)
    inputs = {key: transform(value, _not_known) for key, value in resource.inputs.items()}
    return replace(resource, inputs=inputs)


def _not_known(value: Secret | Unknown) -> Value:
    return Secret(UNKNOWN) if isinstance(value, Secret) and value.value == REDACTED else value


def _judged(stack: str, resources: list[RuledResource], exceptions: Sequence[NamedException]) -> Judgement:
    return judge(resources, environment_facts(stack), exceptions)


def _compared(before: Judgement, after: Judgement, rules: Collection[str] | None = None) -> Policies:
    """Return the difference; what was excused before was no fault, and is one without its exception."""
    was = [item for item in before.violations if rules is None or item.rule in rules]
    now = [item for item in after.violations if rules is None or item.rule in rules]
    was_excused = {_place(violation) for violation, _ in before.excused}
    newly, mended = _unpaired(was, now)
    return Policies(
        newly_broken=tuple(newly),
        still_broken=tuple(item for item in now if item not in newly),
        mended=len(mended),
        newly_excused=tuple(
            (violation, exception.reason)
            for violation, exception in after.excused
            if _place(violation) not in was_excused and (rules is None or violation.rule in rules)
        ),
    )


def _unpaired(was: Sequence[Violation], now: Sequence[Violation]) -> tuple[list[Violation], list[Violation]]:
    """Return what is only in `now`, and what is only in `was`.

    One fault that moved stands for one: a second one with the same words beside it is new.
    """
    for key in (_place, _words):
        left, found = Counter(map(key, now)), Counter(map(key, was))
        was, now = _beyond(was, left, key), _beyond(now, found, key)
    return list(now), list(was)


def _beyond(
    items: Sequence[Violation], known: Counter[tuple[str, str, str]], key: Callable[[Violation], tuple[str, str, str]]
) -> list[Violation]:
    """Return `items` without as many of each key as are `known`."""
    left = known.copy()
    beyond: list[Violation] = []
    for item in items:
        if left[key(item)] > 0:
            left[key(item)] -= 1
        else:
            beyond.append(item)
    return beyond


def _place(violation: Violation) -> tuple[str, str, str]:
    return violation.rule, violation.urn, violation.path


def _words(violation: Violation) -> tuple[str, str, str]:
    """Return what stays the same of a fault that only moved, such as in a list."""
    return violation.rule, violation.urn, violation.what
