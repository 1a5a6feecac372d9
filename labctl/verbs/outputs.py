"""``labctl outputs``."""

from __future__ import annotations

import json

from labctl.display.words import shown
from labctl.engine.state import UpdateKind
from labctl.graph.values import redact, reveal
from labctl.lab import open_lab

from .session import output_console

__all__ = ["outputs"]


def outputs(stack: str, *, as_json: bool, show_secrets: bool) -> None:
    """Print what the stack exports, secrets hidden unless asked for."""
    snapshot = open_lab(stack).open(UpdateKind.PREVIEW).snapshot
    values = snapshot.outputs
    plain = {key: redact(reveal(value) if show_secrets else value) for key, value in sorted(values.items())}
    console = output_console()
    if as_json:
        console.print(json.dumps(plain, indent=2), markup=False)
        return
    for key, value in plain.items():
        console.print(f"{key}: {value if isinstance(value, str) else shown(values[key])}", markup=False)
