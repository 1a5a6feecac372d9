"""What is wrong with the scheduling section that no single field shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .config import SchedulingConfig

__all__ = ["check"]


def check(config: SchedulingConfig, *, is_scheduler_ours: bool) -> Iterator[Problem]:
    """Yield what is wrong; paths within the section.

    Parameters
    ----------
    config
        The section.
    is_scheduler_ours
        Whether the control plane is made from this stack file, on hosts or simulated, and its scheduler with it.
    """
    if not is_scheduler_ours and config.use is None:
        yield Problem(
            path=("use",),
            what="the cluster is adopted: its scheduler is not this stack's to configure",
            remedy="name the schedulers it has, as in use: {interactive: default-scheduler, batch: default-scheduler}, "
            "or leave scheduling out",
        )
    if is_scheduler_ours and config.use is not None:
        yield Problem(
            path=("use",),
            what="this stack's own cluster has its own scheduler, and no other",
            remedy="write interactive and batch instead",
        )
