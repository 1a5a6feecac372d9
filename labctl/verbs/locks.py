"""``labctl locks``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.lab import open_lab

from .session import output_console, print_json

if TYPE_CHECKING:
    from labctl.engine.state import LockHolder
    from labctl.graph.values import Plain

__all__ = ["lock_shape", "locks"]


def locks(stack: str, *, as_json: bool) -> None:
    """Print who holds a lock on the stack, since when, and whether that process still runs."""
    holders = open_lab(stack).files().lock().others()
    if as_json:
        print_json({"stack": stack, "locks": [lock_shape(holder) for holder in holders]})
        return
    console = output_console()
    if not holders:
        console.print(f"nobody holds a lock on {stack}", markup=False)
        return
    for holder in holders:
        console.print(holder.describe(), markup=False)
    console.print(f"release one that nobody holds any more: labctl unlock ID --stack {stack}", markup=False)


def lock_shape(holder: LockHolder) -> Plain:
    """Return who holds a lock, for ``--json``."""
    return {
        "id": holder.id,
        "owner": holder.username,
        "host": holder.hostname,
        "pid": holder.pid,
        "since": holder.since.isoformat() if holder.since else None,
        "ageSeconds": holder.age_seconds,
        "process": holder.fate.value,
    }
