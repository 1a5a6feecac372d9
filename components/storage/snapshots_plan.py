"""The ``snapshots`` step: sanoid on the storage host, and which file systems it takes snapshots of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.nodes.host_files_plan import mirror_values
from components.nodes.steps import FOLDER, Step, script_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.nodes.config import NodesConfig

    from .config import NfsStorage
    from .datasets_plan import DatasetPlan
    from .protection_config import SnapshotsConfig

__all__ = ["PERIODS", "SANOID_PACKAGES", "age_limit", "kept", "sanoid_conf", "snapshot_roots", "snapshot_steps"]

SANOID_PACKAGES = ("sanoid",)
"""What the steps ``snapshots`` and ``replica`` install; syncoid is in it."""
MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
PERIODS = {
    "frequently": 15 * MINUTE,
    "hourly": HOUR,
    "daily": DAY,
    "weekly": 7 * DAY,
    "monthly": 31 * DAY,
    "yearly": 366 * DAY,
}
"""Seconds between two snapshots of a kind at most (sanoid.defaults.conf), the shortest first."""
GRACE = 30 * MINUTE
"""Seconds by which a snapshot may be late: sanoid looks every quarter of an hour, and a busy pool takes its time."""
TEMPLATE = "lab"


def snapshot_steps(nfs: NfsStorage, datasets: tuple[DatasetPlan, ...], nodes: NodesConfig) -> tuple[Step, ...]:
    """Return the step that has sanoid take and prune snapshots; none where the file asks for no snapshots.

    Parameters
    ----------
    nfs
        The server, checked.
    datasets
        Its file systems.
    nodes
        The hosts.
    """
    roots = snapshot_roots(datasets)
    if nfs.snapshots is None or not roots:
        return ()
    return (
        Step(
            name="snapshots",
            subject=nfs.host,
            host=nfs.host,
            libraries=("sanoid",),
            files=("snapshot-ages",),
            values={
                **mirror_values(nodes),
                "AGES_SCRIPT": f"{FOLDER}/{script_file('snapshot-ages')}",
                "LIMIT_SECONDS": age_limit(nfs.snapshots),
                "ROOTS": roots,
                "SANOID": sanoid_conf(roots, nfs.snapshots, takes=True),
            },
            after=(("datasets", nfs.host),),
        ),
    )


def snapshot_roots(datasets: Iterable[DatasetPlan]) -> tuple[str, ...]:
    """Return the file systems that have snapshots and lie in no other that has; all beneath them have some, too."""
    names = sorted(dataset.name for dataset in datasets if dataset.snapshots)
    return tuple(name for name in names if not any(name.startswith(f"{other}/") for other in names))


def age_limit(snapshots: SnapshotsConfig) -> int:
    """Return how many seconds old the newest snapshot may become: one was missed, and the next is late.

    Raises
    ------
    ValueError
        If no snapshot is kept of any kind, which `protection_checks` refuses.
    """
    shortest = min(seconds for kind, seconds in PERIODS.items() if kept(snapshots)[kind])
    return 2 * shortest + GRACE


def kept(snapshots: SnapshotsConfig) -> dict[str, int]:
    """Return how many snapshots are kept, by kind, as sanoid names it."""
    return {kind: int(getattr(snapshots, kind)) for kind in PERIODS}


def sanoid_conf(roots: Iterable[str], snapshots: SnapshotsConfig, *, takes: bool) -> str:
    """Return a configuration of sanoid: these file systems and all beneath them, one template.

    Parameters
    ----------
    roots
        Names of the file systems.
    snapshots
        How many are kept.
    takes
        Whether sanoid takes snapshots, or prunes what came from elsewhere.
    """
    lines = [
        f"[template_{TEMPLATE}]",
        *(f"{kind} = {count}" for kind, count in kept(snapshots).items()),
        f"autosnap = {'yes' if takes else 'no'}",
        "autoprune = yes",
        # Looked at by snapshot-ages, which knows that what was made a minute ago has no snapshot yet.
        "monitor = no",
    ]
    for root in roots:
        lines += ["", f"[{root}]", f"use_template = {TEMPLATE}", "recursive = yes"]
    return "\n".join(lines)
