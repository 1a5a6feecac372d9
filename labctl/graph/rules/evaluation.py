"""All rules over all resources, less the named exceptions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

from . import (
    availability,
    charts,
    container_resources,
    host_paths,
    hosts,
    images,
    names,
    ports,
    privileges,
    protection,
    secrecy,
    tls,
)
from .model import RuledResource, Severity, Surroundings, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .model import EnvironmentFacts, Rule
    from .named_exceptions import NamedException

__all__ = ["RULES", "RULE_NAMES", "Judgement", "broken", "judge", "mandatory", "violations"]

RULES: Final[tuple[Rule, ...]] = (
    *images.RULES,
    *charts.RULES,
    *secrecy.RULES,
    *privileges.RULES,
    *host_paths.RULES,
    *container_resources.RULES,
    *protection.RULES,
    *names.RULES,
    *ports.RULES,
    *tls.RULES,
    *availability.RULES,
    *hosts.RULES,
)
"""Every rule."""
RULE_NAMES: Final = frozenset(rule.name for rule in RULES)


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the rules say of a stack."""

    violations: tuple[Violation, ...]
    """What is broken, sorted by resource, path and rule."""
    excused: tuple[tuple[Violation, NamedException], ...]
    """What would be, each with the exception that lets it be."""


def broken(rule: Rule, resource: RuledResource, around: Surroundings) -> tuple[Violation, ...]:
    """Return what `resource` breaks of one rule, exceptions not regarded."""
    return tuple(
        Violation(
            urn=resource.urn,
            path=finding.path,
            rule=rule.name,
            what=finding.what,
            remedy=finding.remedy,
            severity=rule.severity,
        )
        for finding in rule.check(resource, around)
    )


def judge(
    resources: Iterable[RuledResource],
    environment: EnvironmentFacts,
    exceptions: Iterable[NamedException] = (),
    *,
    whole: bool = True,
) -> Judgement:
    """Return what every rule says of `resources`; the same for the same set, whatever order it comes in.

    Parameters
    ----------
    resources
        What is to be judged.
    environment
        Whose it is.
    exceptions
        Where rules may be broken.
    whole
        Whether `resources` are all of the stack. Of a part, such as the changed ones, which is all that the official
        engine's ``preview --json`` has, nothing is asked that compares resources: what is missing may well be there.
    """
    asked = [rule for rule in RULES if whole or not rule.needs_stack]
    everything = tuple(sorted(resources, key=lambda each: each.urn))
    around = Surroundings(environment=environment, resources=everything)
    found = sorted(set(chain.from_iterable(broken(rule, each, around) for each in everything for rule in asked)))
    allowed = tuple(exceptions)
    left: list[Violation] = []
    excused: list[tuple[Violation, NamedException]] = []
    for violation in found:
        named = next((each for each in allowed if each.excuses(violation)), None)
        if named is None:
            left.append(violation)
        else:
            excused.append((violation, named))
    return Judgement(violations=tuple(left), excused=tuple(excused))


def violations(
    resources: Iterable[RuledResource],
    environment: EnvironmentFacts,
    exceptions: Iterable[NamedException] = (),
    *,
    whole: bool = True,
) -> tuple[Violation, ...]:
    """Return every rule that `resources` break and no exception names, sorted by resource, path and rule.

    The parameters are those of `judge`.
    """
    return judge(resources, environment, exceptions, whole=whole).violations


def mandatory(found: Iterable[Violation]) -> tuple[Violation, ...]:
    """Return those of `found` that stop a change."""
    return tuple(violation for violation in found if violation.severity is Severity.MANDATORY)
