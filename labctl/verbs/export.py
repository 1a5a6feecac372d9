"""``labctl export``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from labctl.engine.state import UpdateKind, export_deployment
from labctl.lab import open_lab

from .session import error_console

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["export"]


def export(stack: str, *, file: Path | None) -> None:
    """Print the state as ``pulumi stack import`` takes it, or write it to `file` (mode 0600)."""
    state = open_lab(stack).open(UpdateKind.PREVIEW)
    exported = export_deployment(state.snapshot, state.codec)
    text = json.dumps(exported.deployment, indent=4) + "\n"
    if file is None:
        sys.stdout.write(text)
    else:
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")
    for urn in exported.left_out:
        error_console().print(f"left out, because it was only recorded: {urn}", markup=False)
