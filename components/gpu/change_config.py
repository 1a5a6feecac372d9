"""How a change of slices reaches nodes that people work on: part of the GPU section of ``Pulumi.<stack>.yaml``."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from components.addresses import DnsLabel
from components.errors import ConfigurationError
from components.model import Model
from components.quantities import Duration

__all__ = ["BusyPolicy", "ChangeConfig", "EvictionHostsError", "NoticeError"]

MOST_AT_ONCE = 32
"""Nodes changed at once: more than a rack's GPU hosts is a lab that is down, not a rolling change."""


class BusyPolicy(StrEnum):
    """What happens to pods that hold GPUs of a node whose slices change."""

    WAIT = "wait"
    """They end by themselves."""
    EVICT = "evict"
    """They are told, and evicted after the notice."""


class EvictionHostsError(ConfigurationError):
    """Hosts are named for eviction where nothing is evicted, or the other way round."""

    def __init__(self, *, busy: BusyPolicy) -> None:
        super().__init__(
            what=f"change has busy: {busy} {'and names' if busy is BusyPolicy.WAIT else 'without'} hosts",
            remedy="write busy: evict and the hosts whose GPU pods may be evicted, or neither",
        )


class NoticeError(ConfigurationError):
    """A notice that would end after the change was given up."""

    def __init__(self, notice: Duration, deadline: Duration) -> None:
        super().__init__(
            what=f"the notice ({notice}) is not shorter than the deadline ({deadline})",
            remedy="write a longer deadline or a shorter notice: pods are evicted between the two",
        )


class ChangeConfig(Model):
    """What may happen to a node, and for how long, while its slices change."""

    busy: BusyPolicy = Field(
        default=BusyPolicy.WAIT,
        description="`wait`: the node takes no new pods and its GPU pods end by themselves; `evict`: those on `hosts` "
        "are told, then evicted.",
    )
    deadline: Duration = Field(
        default=Duration.parse("4h"),
        description="How long a node may stay busy; then the change is given up and the node is given back as it was.",
    )
    settle: Duration = Field(
        default=Duration.parse("15m"),
        description="How long a node may take to offer its new slices; then it is rolled back to the former ones.",
    )
    batch: int = Field(default=1, ge=1, le=MOST_AT_ONCE, description="Nodes of one group that change at the same time.")
    notice: Duration = Field(
        default=Duration.parse("15m"), description="With `evict`: time between the notice and the first eviction."
    )
    hosts: tuple[DnsLabel, ...] = Field(
        default=(),
        description="With `evict`: the hosts whose GPU pods this change may evict; the pods of others are waited for.",
    )

    @model_validator(mode="after")
    def _named_evictions(self) -> Self:
        if (self.busy is BusyPolicy.EVICT) != bool(self.hosts):
            raise EvictionHostsError(busy=self.busy)
        if self.busy is BusyPolicy.EVICT and self.notice >= self.deadline:
            raise NoticeError(self.notice, self.deadline)
        return self
