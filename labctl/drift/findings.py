"""What was found on each host, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .facts import HostFacts

__all__ = ["HostFinding", "HostState", "Standing", "StepFinding", "StepState"]


class Standing(StrEnum):
    """How the text of a step in the plan relates to the one that was applied last, by the stack's state."""

    APPLIED = "applied"
    """It is the same: what differs was changed on the host."""
    CHANGED = "changed"
    """The stack file, or this program, has changed since: the next `up` applies it anyway."""
    NEW = "new"
    """It was never applied."""


class StepState(StrEnum):
    """What came of asking about one step."""

    CONVERGED = "converged"
    DIFFERS = "differs"
    WAITING = "waiting"
    """It needs results of steps that were not applied yet, so there is nothing to compare with."""
    FAILED = "failed"
    """Its check did not come to an answer."""
    UNANSWERED = "unanswered"
    """It was not asked, or the answer did not arrive."""


class HostState(StrEnum):
    """What came of asking one host."""

    CONVERGED = "converged"
    DIFFERS = "differs"
    UNANSWERED = "unanswered"
    """It, or one of its steps, gave no answer; what the others differ in is still told."""


@dataclass(frozen=True, kw_only=True)
class StepFinding:
    """One step on one host."""

    step: str
    subject: str | None
    """Host that the step is about; None where it is about the cluster."""
    state: StepState
    standing: Standing
    differs: tuple[str, ...] = ()
    """In the step's own words: ``file /etc/chrony/chrony.conf``, ``service chrony.service``."""
    reason: str | None = None
    """Why there is no answer."""


@dataclass(frozen=True, kw_only=True)
class HostFinding:
    """One host."""

    host: str
    address: str
    """Login and address, as in messages: ``ubuntu@192.0.2.11``."""
    steps: tuple[StepFinding, ...]
    """In the order of the plan."""
    seconds: float
    """How long it took, connecting included."""
    reason: str | None = None
    """Why it could not be asked, or not to the end."""
    is_other: bool = False
    """Whether somebody else answered there: with another key than the pinned one."""
    facts: HostFacts | None = None
    clock_offset_seconds: float | None = None
    """How much its clock is ahead of the one here, to the time its answer took; None where it did not say."""
    warnings: tuple[str, ...] = ()

    @property
    def state(self) -> HostState:
        """The whole host's state: no answer counts more than a difference."""
        states = {found.state for found in self.steps}
        if self.reason is not None or states & {StepState.FAILED, StepState.UNANSWERED}:
            return HostState.UNANSWERED
        if states & {StepState.DIFFERS, StepState.WAITING}:
            return HostState.DIFFERS
        return HostState.CONVERGED
