"""``labctl unlock``."""

from __future__ import annotations

from labctl.lab import open_lab

from .session import output_console

__all__ = ["unlock"]


def unlock(stack: str, lock: str) -> None:
    """Release the lock `lock` of the stack and say whose it was."""
    holder = open_lab(stack).files().lock().release_other(lock)
    output_console().print(f"released: {holder.describe()}", markup=False)
