"""``labctl unlock``."""

from __future__ import annotations

from labctl import run_log
from labctl.engine.state import Fate
from labctl.lab import open_lab

from .locks import lock_shape
from .session import error_console, output_console, print_json

__all__ = ["unlock"]


def unlock(stack: str, lock: str, *, as_json: bool = False) -> None:
    """Release the lock `lock` of the stack and say whose it was."""
    holder = open_lab(stack).files().lock().release_other(lock)
    run_log.current().line(f"released: {holder.describe()}")
    if as_json:
        print_json({"stack": stack, "released": lock_shape(holder)})
    else:
        output_console().print(f"released: {holder.describe()}", markup=False)
    if holder.fate is Fate.RUNS:
        error_console().print("that process still runs, and what it does is not undone by this", style="yellow")
