"""What the command remembers of a node under change: an annotation of the node itself, so that any run can go on."""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum

from pydantic import Field, ValidationError

from components.model import Model

from .document import NodeGoal
from .errors import DamagedRecordError

__all__ = ["ANNOTATION", "EVICTION_ANNOTATION", "Former", "Phase", "Record", "read"]

ANNOTATION = "research-compute/reslice"
"""Annotation of a node under change: the `Record` as JSON. Nodes at rest have none."""
EVICTION_ANNOTATION = "research-compute/gpu-eviction-at"
"""Annotation of a pod that is evicted because its node's GPUs change: when (RFC 3339, UTC). For the hub to show."""


class Phase(StrEnum):
    """How far the change of a node is."""

    DRAINING = "draining"
    """Takes no new pods; those that hold GPUs end, or are evicted."""
    REFRESHING = "refreshing"
    """No pod holds a GPU; the operator's pods start anew, so that they read the present entries."""
    CUTTING = "cutting"
    """The labels are set, or are just about to be; the operator works."""
    ROLLING_BACK = "rolling-back"
    """It did not come back as planned; the former labels are set, or just about to be."""
    STUCK = "stuck"
    """It did not come back as before either; it stays cordoned."""


class Former(Model):
    """A node as it was before."""

    labels: dict[str, str] = Field(description="Its labels for the operator; one it did not have is left out.")
    allocatable: dict[str, int] = Field(description="GPU resources it offered; none at 0.")


class Record(Model):
    """One node under change."""

    manager: str = Field(description="Field manager of the group that changes it.")
    phase: Phase = Field(description="How far it is.")
    begun: datetime = Field(description="When the present goal was begun: deadlines count from here.")
    since: datetime = Field(description="When the phase began.")
    cordoned: bool = Field(description="Whether this command cordoned it; only then does it uncordon it.")
    former: Former = Field(description="What a roll-back goes back to.")
    goal: NodeGoal = Field(description="What it is to become.")
    evict_at: datetime | None = Field(default=None, description="From when on pods are evicted, once they were told.")
    stale: dict[str, str] = Field(default={}, description="Operator's pods that must start anew: app by UID.")
    failure: str = Field(default="", description="Why it is rolled back.")

    def render(self) -> str:
        """Return the annotation's value."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"))


def read(node: str, annotation: str | None) -> Record | None:
    """Return what a node's annotation holds, None where there is none.

    Raises
    ------
    DamagedRecordError
        If it is nothing this command wrote.
    """
    if not annotation:
        return None
    try:
        return Record.model_validate_json(annotation)
    except ValidationError:
        raise DamagedRecordError(node, ANNOTATION) from None
