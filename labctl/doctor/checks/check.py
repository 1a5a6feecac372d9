"""A check: what it needs, who judges, and what comes of it where a fact is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.doctor.facts.fact import MissingFactError, Unknown
from labctl.doctor.findings import CheckResult, Finding, Verdict
from labctl.doctor.vocabulary import CheckId, Source, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from labctl.doctor.declared import Declared
    from labctl.doctor.facts.everything import Facts

    Judge = Callable[[Facts, Declared, datetime], Verdict]

__all__ = ["Check", "judged"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check."""

    id: CheckId
    judge: Judge
    sources: tuple[Source, ...]
    """Whom its facts come from."""


def judged(check: Check, facts: Facts, declared: Declared, now: datetime) -> CheckResult:
    """Return what a check makes of the facts; one that lacks a fact says which."""
    seconds = max((facts.seconds.get(source, 0.0) for source in check.sources), default=0.0)
    try:
        verdict = check.judge(facts, declared, now)
    except MissingFactError as missing:
        fact = missing.fact
        state = State.UNKNOWN if isinstance(fact, Unknown) else State.NOT_APPLICABLE
        remedy = fact.remedy if isinstance(fact, Unknown) else ""
        findings: tuple[Finding, ...] = (Finding(subject=check.id, state=state, what=fact.why, remedy=remedy),)
    else:
        well = (Finding(subject=check.id, state=State.OK, what=verdict.said),)
        findings = verdict.findings or well
    return CheckResult(check=check.id, findings=findings, seconds=seconds)
