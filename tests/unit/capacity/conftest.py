"""Nodes and profiles that the tests of this folder share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labctl.capacity.machines import HOSTNAME_LABEL, Machine
from labctl.capacity.pods import Profile, Shape
from labctl.control_plane import NodeTaint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from capacity_makers import MakesMachines, MakesProfiles

GIB = 2**30


@pytest.fixture
def machine() -> MakesMachines:
    def make(  # noqa: PLR0913 - one per thing a node has
        name: str,
        *,
        cpus: int = 8,
        memory: int = 32,
        pods: int = 110,
        slices: Mapping[str, int] | None = None,
        labels: Mapping[str, str] | None = None,
        taints: tuple[NodeTaint, ...] = (),
    ) -> Machine:
        return Machine(
            name=name,
            labels={HOSTNAME_LABEL: name, **(labels or {})},
            taints=taints,
            allocatable={"cpu": cpus * 1000, "memory": memory * GIB, "pods": pods, **(slices or {})},
        )

    return make


@pytest.fixture
def profile() -> MakesProfiles:
    def make(slug: str, *, cpu: int = 1000, memory: int = 1, slices: Mapping[str, int] | None = None) -> Profile:
        requests = {"cpu": cpu, "memory": memory * GIB, **(slices or {})}
        return Profile(
            slug=slug,
            name=slug,
            shape=Shape(requests=tuple(sorted(requests.items()))),
            slice=None if not slices else next(iter(slices)).removeprefix("nvidia.com/mig-"),
            slice_count=sum((slices or {}).values()),
        )

    return make
