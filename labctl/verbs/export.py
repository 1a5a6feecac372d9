"""``labctl export``."""

from __future__ import annotations

import json
import os
import stat
import sys
from typing import TYPE_CHECKING

from labctl.engine.state import StateWriteError, UpdateKind, export_deployment, reveal
from labctl.lab import open_lab

from .session import error_console

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["export"]


def export(stack: str, *, file: Path | None, show_secrets: bool = False) -> None:
    """Print the state as ``pulumi stack import`` takes it, or write it to `file` (mode 0600).

    With `show_secrets` the secrets are in plain, for a stack with another passphrase.
    """
    state = open_lab(stack).open(UpdateKind.PREVIEW)
    exported = export_deployment(state.snapshot, state.codec)
    deployment = reveal(exported.deployment, state.codec) if show_secrets else exported.deployment
    text = json.dumps(deployment, indent=4) + "\n"
    if file is None:
        sys.stdout.write(text)
    else:
        _write_private(file, text)
    for urn in exported.left_out:
        error_console().print(f"left out, because it was only recorded: {urn}", markup=False)
    for pending in state.snapshot.pending_operations:
        note = f"not known to have ended: {pending.operation.value} {pending.resource.urn}; a run here settles it first"
        error_console().print(note, markup=False)


def _write_private(file: Path, text: str) -> None:
    """Write `file` for its owner only, also where it was there and open to others; a device is only written to."""
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as opened:
            if stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                os.fchmod(opened.fileno(), 0o600)
                opened.truncate()
            opened.write(text)
    except OSError as error:
        raise StateWriteError(str(file), error.strerror or str(error)) from error
