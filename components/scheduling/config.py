"""Scheduling section of ``Pulumi.<stack>.yaml``: where interactive and batch work is placed."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from components.model import Model

from .errors import PlacementAndUseError

__all__ = ["Placement", "SchedulerName", "SchedulingConfig", "UsedSchedulers"]

SchedulerName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]
"""What a pod's ``schedulerName`` may say here: a DNS subdomain, as every scheduler's name is in practice."""


class Placement(StrEnum):
    """Which of the nodes that have room a pod is put on."""

    SPREAD = "spread"
    """The emptiest one, as Kubernetes does by itself: most room for each."""
    PACK = "pack"
    """The fullest one: whole nodes stay free for large jobs, and GPUs free of pods that use none."""


class UsedSchedulers(Model):
    """Schedulers that an adopted cluster has already."""

    interactive: SchedulerName = Field(description="Scheduler of users' servers, such as default-scheduler.")
    batch: SchedulerName = Field(description="Scheduler of batch jobs.")


class SchedulingConfig(Model):
    """Where pods go, by the kind of their work: one scheduler that knows both ways, or what another cluster has."""

    interactive: Placement = Field(
        default=Placement.SPREAD,
        description="Users' servers: `spread` over the nodes that have room, or `pack` onto as few as possible.",
    )
    batch: Placement = Field(default=Placement.PACK, description="Batch jobs: `pack` or `spread`.")
    use: UsedSchedulers | None = Field(
        default=None,
        title="Used from another cluster",
        description="On an adopted cluster, whose scheduler is not this stack's: the names of those that are there.",
    )

    @model_validator(mode="after")
    def _placed_or_used(self) -> Self:
        placements = tuple(sorted(self.model_fields_set & {"interactive", "batch"}))
        if self.use is not None and placements:
            raise PlacementAndUseError(placements)
        return self
