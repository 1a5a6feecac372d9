"""Which file of tests runs when, where several workers share them: the long ones do not come last.

By itself pytest-xdist hands files out by their number of tests, so the few long tests of the hosts would come last, all
at the same time. Here one worker begins with the files that mostly wait for hosts, longest first, and the others with
those that mostly calculate; they meet where the files are short.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xdist.scheduler import LoadFileScheduling  # pyright: ignore[reportMissingTypeStubs] - typed, but does not say so

if TYPE_CHECKING:
    import pytest
    from xdist.workermanage import WorkerController  # pyright: ignore[reportMissingTypeStubs] - the same

__all__ = ["FromBothEnds", "in_order"]

FOLDERS = ("hosts", "hub", "cluster", "engine", "unit")
"""From waiting to calculating."""
LONGEST = (
    "test_hosts_day_two",
    "test_hosts_cluster",
    "test_lab_on_hosts",
    "test_hosts_drift",
    "test_browser_tour",
    "test_limits_hub",
    "test_storage_homes",
    "test_storage_backup",
    "test_hosts_prepare_faults",
    "test_policies_on_hosts",
    "test_lab_faults",
    "test_storage_replication",
    "test_lab_storage",
    "test_storage_exports",
)
"""Files that take longer than two minutes on two cores, roughly the longest first; the others follow in any order."""


def in_order(items: list[pytest.Item]) -> None:
    """Leave the tests in the order of their folders, files that take long first; within a file nothing moves."""
    root = Path(__file__).parent
    ranks = {name: rank for rank, name in enumerate(LONGEST)}

    def place(item: pytest.Item) -> tuple[int, int]:
        folder = item.path.relative_to(root).parts[0] if item.path.is_relative_to(root) else ""
        return FOLDERS.index(folder) if folder in FOLDERS else len(FOLDERS), ranks.get(item.path.stem, len(ranks))

    items.sort(key=place)


class FromBothEnds(LoadFileScheduling):
    """Hands files out whole, to the first worker from the beginning of the order, to all others from its end."""

    def _assign_work_unit(self, node: WorkerController) -> None:
        if node is not self.nodes[0]:
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)
