"""What was found: findings, checks with their findings, and the whole examination as a document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .vocabulary import CheckId, State

if TYPE_CHECKING:
    from labctl.graph.values import Plain

__all__ = ["CheckResult", "Examination", "Finding", "Verdict", "problem", "unknown", "warning"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was found."""

    subject: str
    """What it is about: a node, ``Secret hub-dev/hub-keys``, a host."""
    state: State
    what: str
    """What is so, in a line."""
    remedy: str = ""
    """What to run or to edit, in a line; empty where all is well."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a check makes of the facts."""

    said: str
    """What was looked at, in a line: shown where nothing is wrong."""
    findings: tuple[Finding, ...] = ()
    """What is not as it should be."""


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One check and what came of it."""

    check: CheckId
    findings: tuple[Finding, ...]
    """At least one."""
    seconds: float = 0.0
    """How long what it needs was asked for; checks share that."""

    @property
    def state(self) -> State:
        """The worst of its findings."""
        return max((found.state for found in self.findings), key=lambda state: state.weight)


@dataclass(frozen=True, kw_only=True)
class Examination:
    """Everything that was checked of one lab."""

    stack: str
    results: tuple[CheckResult, ...]
    seconds: float
    is_interrupted: bool = False

    @property
    def state(self) -> State:
        """The worst of all."""
        states = (result.state for result in self.results)
        return max(states, key=lambda state: state.weight, default=State.OK)

    @property
    def healthy(self) -> bool:
        """Whether everything was asked and nothing is wrong; warnings are allowed."""
        return not self.is_interrupted and self.state.weight <= State.WARNING.weight

    def document(self) -> dict[str, Plain]:
        """Return it as JSON (docs/doctor.md)."""
        return {
            "version": 1,
            "stack": self.stack,
            "healthy": self.healthy,
            "state": self.state.value,
            "interrupted": self.is_interrupted,
            "seconds": round(self.seconds, 3),
            "checks": [
                {
                    "check": result.check.value,
                    "state": result.state.value,
                    "seconds": round(result.seconds, 3),
                    "findings": [
                        {
                            "subject": found.subject,
                            "state": found.state.value,
                            "what": found.what,
                            "remedy": found.remedy,
                        }
                        for found in result.findings
                    ],
                }
                for result in self.results
            ],
        }


def problem(subject: str, what: str, remedy: str) -> Finding:
    """Return a finding of something that is wrong."""
    return Finding(subject=subject, state=State.PROBLEM, what=what, remedy=remedy)


def warning(subject: str, what: str, remedy: str) -> Finding:
    """Return a finding of something that somebody should see to."""
    return Finding(subject=subject, state=State.WARNING, what=what, remedy=remedy)


def unknown(subject: str, what: str, remedy: str) -> Finding:
    """Return a finding of something that could not be asked."""
    return Finding(subject=subject, state=State.UNKNOWN, what=what, remedy=remedy)
