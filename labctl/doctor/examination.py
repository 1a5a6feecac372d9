"""A lab examined: everybody asked at once, and then every check judged."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .asking import Patience, ask
from .checks.check import judged
from .checks.registry import CHECKS
from .declared import declared
from .facts.everything import Facts
from .facts.state import state_facts
from .findings import Examination
from .sources import questions
from .vocabulary import Source

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .checks.check import Check
    from .sources import Question
    from .vocabulary import CheckId

__all__ = ["examine"]


def examine(question: Question, only: Collection[CheckId] = (), patience: Patience | None = None) -> Examination:
    """Return what came of every check; a source that does not answer holds up no other.

    Parameters
    ----------
    question
        The lab, and what is wanted of it.
    only
        Checks that are wanted; empty: all.
    patience
        Who may stop it, and who is told how far it is.
    """
    began = time.monotonic()
    checks = [check for check in CHECKS if not only or check.id in only]
    watched = patience or Patience()
    facts = Facts(state=state_facts(question.lab))
    facts.seconds[Source.STATE] = time.monotonic() - began
    needed = _needed(checks, facts)
    every = questions(question)
    facts = ask(facts, [every[source] for source in Source if source in every and source in needed], watched)
    meant, now = declared(question.lab), datetime.now(UTC)
    return Examination(
        stack=question.lab.stack,
        results=tuple(judged(check, facts, meant, now) for check in checks),
        seconds=time.monotonic() - began,
        is_interrupted=watched.cancelled.is_set(),
    )


def _needed(checks: Sequence[Check], facts: Facts) -> set[Source]:
    """Return whom the checks need; of a lab that is not there, nobody but hosts."""
    needed = {source for check in checks for source in check.sources}
    return needed if facts.state.exists else needed & {Source.HOSTS, Source.COPIES}
