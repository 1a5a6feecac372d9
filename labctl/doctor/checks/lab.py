"""The stack's state: readable, not locked by the dead, nothing left half done. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from labctl.doctor.facts.fact import Inapplicable, MissingFactError, Unknown
from labctl.doctor.findings import Verdict, problem, unknown, warning
from labctl.graph.goal import urn_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from labctl.doctor.declared import Declared
    from labctl.doctor.facts.everything import Facts
    from labctl.doctor.findings import Finding

__all__ = ["lock", "pending", "readable", "require_lab"]

LONG: Final = timedelta(hours=12)
"""For a run: the longest there is, a first `up` of a large lab with its upgrades, takes a few hours."""


def readable(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge whether the state can be read, and is the state of anything."""
    del now
    state = facts.state
    said = f"{len(state.snapshot.live)} resources"
    if state.is_closed:
        remedy = "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE"
        return Verdict(said=said, findings=(unknown("state", state.failure, remedy),))
    if state.failure:
        remedy = "bring back the file's .bak beside it, or a version of the bucket before it (docs/engine.md)"
        return Verdict(said=said, findings=(problem("state", state.failure, remedy),))
    if not state.exists:
        what = "nothing is in it: the lab was never brought up, or was destroyed"
        return Verdict(said=said, findings=(problem("state", what, declared.up),))
    left = [resource for resource in state.snapshot.resources if resource.delete]
    waiting = tuple(
        warning(urn_name(resource.urn), "it was replaced, and its predecessor waits to be deleted", declared.up)
        for resource in left
    )
    return Verdict(said=said, findings=waiting)


def lock(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge whether somebody holds the lock who does nothing any more."""
    holders = facts.state.holders
    running = "; ".join(holder.describe() for holder in holders)
    return Verdict(
        said=f"a run is under way: {running}" if holders else "nobody holds it",
        findings=tuple(_stale(facts, declared, now)),
    )


def pending(facts: Facts, declared: Declared, now: datetime) -> Verdict:
    """Judge whether a run was cut off in the middle of something."""
    del now
    _require_read(facts)
    found = tuple(
        problem(urn_name(left.resource.urn), f"a run was cut off while {left.operation.value} it", declared.up)
        for left in facts.state.snapshot.pending_operations
    )
    return Verdict(said="no operation was cut off", findings=() if _is_running(facts) else found)


def require_lab(facts: Facts) -> None:
    """Return if there is a lab that a state knows.

    Raises
    ------
    MissingFactError
        There is none, or the state cannot be read.
    """
    _require_read(facts)
    if not facts.state.exists:
        raise MissingFactError(Inapplicable("the lab was never brought up"))


def _require_read(facts: Facts) -> None:
    if facts.state.failure:
        why = "its state cannot be read"
        raise MissingFactError(Unknown(why, "see the check `state`"))


def _stale(facts: Facts, declared: Declared, now: datetime) -> Iterator[Finding]:
    for holder in facts.state.holders:
        remedy = f"labctl unlock {holder.id} --stack {declared.stack}"
        if holder.dead:
            yield problem("lock", holder.describe(), remedy)
        elif holder.since is not None and now - holder.since > LONG:
            yield warning("lock", f"{holder.describe()}: longer than any run takes", f"if nobody runs: {remedy}")


def _is_running(facts: Facts) -> bool:
    return any(not holder.dead for holder in facts.state.holders)
