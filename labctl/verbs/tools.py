"""``labctl tools``."""

from __future__ import annotations

from labctl.control_plane import obtain_all

from .session import error_console, output_console, print_json, teller

__all__ = ["tools"]


def tools(*, as_json: bool = False) -> None:
    """Obtain every program of the control plane and print where each is."""
    found = sorted(obtain_all(teller(error_console())).items())
    if as_json:
        print_json({name: str(path) for name, path in found})
        return
    for name, path in found:
        output_console().print(f"{name}: {path}", markup=False)
