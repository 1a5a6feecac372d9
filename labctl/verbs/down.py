"""``labctl down``."""

from __future__ import annotations

from labctl.embedded import control_plane_of, hub_of
from labctl.lab import open_lab
from stacks.project import PROJECT

from .session import error_console, output_console, teller

__all__ = ["down"]


def down(stack: str, *, wipe: bool) -> None:
    """Stop the embedded control plane and the local hub; with `wipe` forget their data and the stack's state too."""
    lab = open_lab(stack)
    tell = teller(error_console())
    plane, hub = control_plane_of(lab, tell), hub_of(lab, tell)
    with lab.locked(tell):  # not under a run that is changing it
        if wipe:
            hub.wipe()
            plane.wipe()
            lab.backend().remove_stack(PROJECT, stack)
            output_console().print(f"{plane.name}: stopped and forgotten.")
            return
        stopped = (*hub.stop(), *plane.stop())
    output_console().print(f"{plane.name}: stopped {', '.join(stopped) if stopped else 'nothing; it was not running'}.")
