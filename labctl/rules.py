"""The policy rules as this project asks them: the environment's facts, the reviewed exceptions, a plan's resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacks.environments import EnvironmentName, environment_of

from .errors import LabError
from .exit_codes import ExitCode
from .graph.rules import (
    EXCEPTIONS_FILE,
    RULE_NAMES,
    EnvironmentFacts,
    ExceptionsFileError,
    from_state,
    load_exceptions,
    mandatory,
    violations,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from .engine.report import Report
    from .graph.rules import RuledResource, Violation

__all__ = [
    "BrokenRulesError",
    "WrongExceptionsError",
    "broken_rules",
    "environment_facts",
    "planned_resources",
    "refuse_broken_rules",
]


class BrokenRulesError(LabError):
    """Mandatory rules are broken; each was shown already."""

    exit_code = ExitCode.POLICY

    def __init__(self, count: int) -> None:
        rules = "a mandatory rule is broken" if count == 1 else f"mandatory rules are broken in {count} places"
        super().__init__(f"refused, nothing was touched: {rules}; see docs/rules.md")


class WrongExceptionsError(LabError):
    """The file of named exceptions is wrong, so nobody can say which rules are broken."""

    exit_code = ExitCode.INVALID

    def __init__(self, cause: ExceptionsFileError) -> None:
        super().__init__(f"{EXCEPTIONS_FILE} is wrong, nothing was touched: {cause}")


def environment_facts(stack: str) -> EnvironmentFacts:
    """Return what the rules know of the environment of `stack`.

    Raises
    ------
    UnknownEnvironmentError
        If the stack's name begins with no environment's.
    """
    environment = environment_of(stack)
    return EnvironmentFacts(
        name=str(environment.name),
        is_production=environment.name is EnvironmentName.PROD,
        protects_data=environment.protects_data,
    )


def planned_resources(report: Report) -> tuple[RuledResource, ...]:
    """Return what a plan would leave behind, for the rules: the new state of every step that has one."""
    return tuple(from_state(step.new) for step in report.visible() if step.new is not None)


def broken_rules(
    root: Path, stack: str, resources: Iterable[RuledResource], *, whole: bool = True
) -> tuple[Violation, ...]:
    """Return the rules that `resources` of `stack` break and ``policies/exceptions.yaml`` does not name.

    Parameters
    ----------
    root
        The project's folder.
    stack
        Name of the stack, which says the environment.
    resources
        Resources of the stack.
    whole
        Whether they are all of it; rules that compare resources ask nothing of a part.

    Raises
    ------
    WrongExceptionsError
        The file of exceptions is wrong.
    UnknownEnvironmentError
        If the stack's name begins with no environment's.
    """
    try:
        exceptions = load_exceptions(root / EXCEPTIONS_FILE, RULE_NAMES)
    except ExceptionsFileError as error:
        raise WrongExceptionsError(error) from error
    return violations(resources, environment_facts(stack), exceptions, whole=whole)


def refuse_broken_rules(found: Sequence[Violation]) -> None:
    """Return if no mandatory rule is among what is broken; advisory ones were shown, and stop nobody.

    Raises
    ------
    BrokenRulesError
        There is one.
    """
    if count := len(mandatory(found)):
        raise BrokenRulesError(count)
