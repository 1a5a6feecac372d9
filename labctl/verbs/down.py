"""``labctl down``."""

from __future__ import annotations

from labctl.embedded import control_plane_of
from labctl.lab import open_lab
from stacks.project import PROJECT

from .session import error_console, output_console, teller

__all__ = ["down"]


def down(stack: str, *, wipe: bool) -> None:
    """Stop the embedded control plane; with `wipe` forget its data and the stack's state, which means nothing then."""
    lab = open_lab(stack)
    tell = teller(error_console())
    plane = control_plane_of(lab, tell)
    with lab.locked(tell):  # not under a run that is changing it
        if wipe:
            plane.wipe()
            lab.backend().remove_stack(PROJECT, stack)
            output_console().print(f"{plane.name}: stopped and forgotten.")
            return
        stopped = plane.stop()
    output_console().print(f"{plane.name}: stopped {', '.join(stopped) if stopped else 'nothing; it was not running'}.")
