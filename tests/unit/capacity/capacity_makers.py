"""Types of what makes nodes and profiles for the tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.capacity.machines import Machine
    from labctl.capacity.pods import Profile
    from labctl.control_plane import NodeTaint


class MakesMachines(Protocol):
    def __call__(  # noqa: PLR0913 - one per thing a node has
        self,
        name: str,
        *,
        cpus: int = 8,
        memory: int = 32,
        pods: int = 110,
        slices: Mapping[str, int] | None = None,
        labels: Mapping[str, str] | None = None,
        taints: tuple[NodeTaint, ...] = (),
    ) -> Machine: ...


class MakesProfiles(Protocol):
    def __call__(
        self, slug: str, *, cpu: int = 1000, memory: int = 1, slices: Mapping[str, int] | None = None
    ) -> Profile: ...
