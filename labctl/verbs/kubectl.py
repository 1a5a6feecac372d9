"""``labctl kubectl``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from labctl.control_plane import obtain_tool
from labctl.embedded import control_plane_of
from labctl.lab import open_lab

from .session import error_console, teller

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["kubectl"]


def kubectl(stack: str, arguments: Sequence[str]) -> None:
    """Become the pinned kubectl, talking to the embedded control plane of `stack`; obtained when first needed."""
    tell = teller(error_console())
    plane = control_plane_of(open_lab(stack), tell)
    program = obtain_tool("kubectl", tell)
    os.execv(program, [str(program), "--kubeconfig", str(plane.kubeconfig), *arguments])  # noqa: S606 - no shell wanted
