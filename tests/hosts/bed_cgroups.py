"""The control groups of a host: one of its own in every hierarchy of this machine, so that it has its own root.

A host started inside such a group sees it as the root of everything (a cgroup namespace), and its systemd, kubelet and
runc make their groups below it. Both the old layout (one hierarchy per controller) and the unified one are served:
what is mounted is read from /proc/self/mounts.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from bed_errors import LeftoverError

__all__ = ["groups_named", "hierarchies", "kill_all", "make_groups", "processes_in", "remove_groups"]

EMPTYING_SECONDS = 90.0
"""From SIGKILL to the last process gone; a process in disk I/O ends when that does."""

CPUSET_INHERITED = ("cpuset.cpus", "cpuset.mems")
"""A new group of the old cpuset controller is empty, and nothing can enter it, until these are copied down."""


@cache
def hierarchies() -> tuple[Path, ...]:
    """Return where each cgroup hierarchy of this machine is mounted."""
    found: list[Path] = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, _ = line.split(" ", 3)
        if kind in {"cgroup", "cgroup2"}:
            found.append(Path(place))
    return tuple(found)


def make_groups(name: str) -> list[Path]:
    """Return the folders of a fresh group `name` in every hierarchy."""
    groups: list[Path] = []
    for hierarchy in hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        if (group / "cpuset.cpus").exists() and (group / "cgroup.clone_children").exists():
            for setting in CPUSET_INHERITED:
                (group / setting).write_text((hierarchy / setting).read_text())
            (group / "cgroup.clone_children").write_text("1")
        groups.append(group)
    return groups


def groups_named(prefix: str) -> set[str]:
    """Return the names of the top groups that begin with `prefix`, in whichever hierarchy."""
    return {group.name for hierarchy in hierarchies() for group in hierarchy.glob(f"{prefix}*") if group.is_dir()}


def processes_in(name: str) -> set[int]:
    """Return the processes in the group `name` and all below it, in whichever hierarchy."""
    found: set[int] = set()
    for hierarchy in hierarchies():
        for folder in _descending(hierarchy / name):
            # A group may go away, or hold threads only, while it is being read.
            with suppress(OSError):
                found.update(map(int, (folder / "cgroup.procs").read_text().split()))
    # Process 0 stands for one outside our view.
    return found - {0}


def kill_all(name: str) -> None:
    """Leave no process in the group `name`: what a power cut does to a host.

    Raises
    ------
    LeftoverError
        Some process outlived SIGKILL for EMPTYING_SECONDS.
    """
    until = time.monotonic() + EMPTYING_SECONDS
    while left := processes_in(name):
        if time.monotonic() > until:
            raise LeftoverError(what=f"processes of {name}", left=sorted(map(str, left)))
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.02)


def remove_groups(name: str) -> None:
    """Leave no group `name` in any hierarchy; its processes must have ended.

    Raises
    ------
    LeftoverError
        A group is still busy after EMPTYING_SECONDS.
    """
    until = time.monotonic() + EMPTYING_SECONDS
    while left := [folder for hierarchy in hierarchies() for folder in _descending(hierarchy / name)]:
        for folder in left:
            # The kernel frees a group some moments after its last process.
            with suppress(OSError):
                folder.rmdir()
        if time.monotonic() > until:
            raise LeftoverError(what=f"control groups of {name}", left=[str(folder) for folder in left])
        if any(folder.exists() for folder in left):
            time.sleep(0.05)


def _descending(group: Path) -> Iterator[Path]:
    """Yield every group at and below `group`, the deepest first."""
    for folder, _, _ in os.walk(group, topdown=False):
        yield Path(folder)
