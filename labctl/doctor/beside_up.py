"""The cheap checks before and after an `up`: what to know before saying yes, and what is worse afterwards.

They refuse nothing and change no exit code: an `up` is what mends most of it.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from .asking import Asked, Patience, ask
from .checks.cheap import CHEAP
from .checks.check import judged
from .declared import declared
from .facts.cluster import cluster_facts
from .facts.everything import Facts
from .facts.state import StateFacts
from .vocabulary import CheckId, Source, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from labctl.engine.report import Report
    from labctl.engine.state import Snapshot
    from labctl.lab import Lab

    from .facts.fact import Unknown
    from .findings import CheckResult, Finding

__all__ = ["BesideUp"]

SECONDS: Final = 10.0
"""For all answers of the API server: one that is off is known after two attempts, one that is on answers in 50 ms."""
COMMANDS: Final = ("command:remote:Command", "command:local:Command")
"""Types of what runs on hosts, and of what cuts GPUs: both may drain a node."""


class BesideUp:
    """One `up`, with the lab's health beside it; asking begins at once, beside the planning.

    Parameters
    ----------
    lab
        The lab; a simulated one's control plane runs already.
    snapshot
        Its state before; an empty one has nothing to ask about.
    console
        Where it is told.
    refreshes
        Whether this `up` looks at what is really there first: then it brings back what somebody has deleted.
    """

    def __init__(self, lab: Lab, snapshot: Snapshot, console: Console, *, refreshes: bool = False) -> None:
        self._lab, self._console = lab, console
        self._declared = declared(lab)
        self._under_way = {self._declared.up, *([self._declared.refresh] if refreshes else [])}
        self._before: tuple[CheckResult, ...] = ()
        self._asking: threading.Thread | None = None
        if snapshot.resources:
            self._asking = threading.Thread(target=self._look_before, args=(snapshot,), daemon=True)
            self._asking.start()

    def tell_before(self, planned: Report) -> None:
        """Print what is wrong already, and what of it makes the plan dangerous; nothing where all is well."""
        if self._asking is None:
            return
        self._asking.join(SECONDS)
        self._print("Before this up:", _wrong(self._before))
        nodes = {
            finding.subject
            for result in self._before
            if result.check is CheckId.NODES
            for finding in result.findings
            if finding.state is State.PROBLEM and "not Ready" in finding.what
        }
        if nodes and any(step.type in COMMANDS for step in planned.changes()):
            named = ", ".join(sorted(nodes))
            self._console.print(
                f"  this up runs commands that may drain nodes, while {named} cannot take their pods",
                style="bold yellow",
                markup=False,
            )

    def tell_after(self, snapshot: Snapshot) -> None:
        """Print what is wrong now and was not before, and how much was mended."""
        known = {(check, finding.subject) for check, finding in _wrong(self._before)}
        now = _wrong(self._look(snapshot))
        worse = [(check, finding) for check, finding in now if (check, finding.subject) not in known]
        self._print("Worse than before this up:" if self._before else "After this up:", worse)
        mended = known - {(check, finding.subject) for check, finding in now}
        if mended:
            self._console.print(
                f"Mended by this up: {', '.join(sorted(subject for _, subject in mended))}", markup=False
            )

    def _look_before(self, snapshot: Snapshot) -> None:
        self._before = self._look(snapshot)

    def _look(self, snapshot: Snapshot) -> tuple[CheckResult, ...]:
        lab = self._lab

        def fill(facts: Facts, cancelled: threading.Event) -> None:
            facts.cluster = cluster_facts(facts.state.snapshot, lab.root, lab.stack, cancelled)

        def fail(facts: Facts, why: Unknown) -> None:
            facts.cluster = why

        cluster = Asked(source=Source.CLUSTER, seconds=SECONDS, ask=fill, fail=fail)
        facts = ask(Facts(state=StateFacts(snapshot=snapshot)), (cluster,), Patience())
        return tuple(judged(check, facts, self._declared, datetime.now(UTC)) for check in CHEAP)

    def _print(self, heading: str, found: Sequence[tuple[CheckId, Finding]]) -> None:
        """Print findings with their remedies, but for the remedy that is under way."""
        from labctl.display.doctor import finding_lines  # noqa: PLC0415 - a lab that is well pays for nothing

        if not found:
            return
        self._console.print(heading, style="bold")
        for _, finding in found:
            for line in finding_lines([finding])[: 1 if finding.remedy in self._under_way else 2]:
                self._console.print(line)


def _wrong(results: Sequence[CheckResult]) -> list[tuple[CheckId, Finding]]:
    """Return what is wrong, or should be seen to; what could not be asked is said once, by the API server's check."""
    return [
        (result.check, finding)
        for result in results
        for finding in result.findings
        if finding.state in {State.PROBLEM, State.WARNING}
    ]
