"""What can be done to a node next, and what can come of it: plain data between `decide` and the part that acts."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from .facts import Holder, Operand
    from .record import Record

__all__ = [
    "Cordon",
    "Evict",
    "Finish",
    "Label",
    "Notify",
    "Outcome",
    "Report",
    "Restart",
    "Step",
    "Wait",
    "Write",
]


class Outcome(StrEnum):
    """What became of a node."""

    UNCHANGED = "unchanged"
    """It was as planned already."""
    CHANGED = "changed"
    """It is as planned now."""
    BUSY = "busy"
    """Its pods held GPUs past the deadline; it was given back."""
    NOT_REACHED = "not-reached"
    """It is not there, not Ready, or was not begun because another one failed."""
    NOT_AS_PLANNED = "not-as-planned"
    """It has the labels and offers something else, and there is nothing before that to go back to."""
    NOT_REFRESHED = "not-refreshed"
    """The operator's pods did not start anew; nothing was cut, and it was given back."""
    ROLLED_BACK = "rolled-back"
    """It did not come back as planned, and is as it was before."""
    STUCK = "stuck"
    """It came back neither as planned nor as before, and stays cordoned."""

    @property
    def is_success(self) -> bool:
        """Whether the node is as planned."""
        return self in {Outcome.UNCHANGED, Outcome.CHANGED}

    @property
    def is_broken_cut(self) -> bool:
        """Whether a cut went wrong, so that the next node's would, too."""
        return self in {Outcome.NOT_AS_PLANNED, Outcome.NOT_REFRESHED, Outcome.ROLLED_BACK, Outcome.STUCK}


@dataclass(frozen=True, kw_only=True)
class Cordon:
    """Cordon the node and remember, in one request, that it was us."""

    record: Record


@dataclass(frozen=True, kw_only=True)
class Write:
    """Remember what comes next, before it is done."""

    record: Record


@dataclass(frozen=True, kw_only=True)
class Notify:
    """Tell pods when they will be evicted."""

    pods: tuple[Holder, ...]
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Evict:
    """Ask for the eviction of pods."""

    pods: tuple[Holder, ...]


@dataclass(frozen=True, kw_only=True)
class Restart:
    """End pods of the operator's, which its DaemonSets start anew."""

    pods: tuple[Operand, ...]
    marks_pending: bool
    """Whether the MIG manager's answer is set to pending first: what it says afterwards is new."""


@dataclass(frozen=True, kw_only=True)
class Label:
    """Declare the node's labels, these and no others, and own them."""

    labels: Mapping[str, str]
    marks_pending: bool
    """Whether the MIG manager's answer is set to pending in the same request: what it says afterwards is new."""


@dataclass(frozen=True, kw_only=True)
class Finish:
    """Forget the node, and uncordon it if it was us who cordoned it; takes notices back from pods that stay."""

    outcome: Outcome
    reason: str
    uncordons: bool
    told: tuple[Holder, ...] = field(default=())


@dataclass(frozen=True, kw_only=True)
class Report:
    """Nothing is left to do to the node."""

    outcome: Outcome
    reason: str


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Look again later."""

    reason: str
    until: datetime | None
    """When patience ends; None where it depends on other nodes."""


Step: TypeAlias = Cordon | Write | Notify | Evict | Restart | Label | Finish | Report | Wait
