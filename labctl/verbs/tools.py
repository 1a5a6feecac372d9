"""``labctl tools``."""

from __future__ import annotations

from labctl.control_plane import obtain_all

from .session import error_console, output_console, teller

__all__ = ["tools"]


def tools() -> None:
    """Obtain every program of the control plane and print where each is."""
    for name, path in sorted(obtain_all(teller(error_console())).items()):
        output_console().print(f"{name}: {path}", markup=False)
