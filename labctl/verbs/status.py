"""``labctl status``."""

from __future__ import annotations

import json

from rich.table import Table

from labctl.control_plane.progress import silent
from labctl.embedded import control_plane_of, hub_of
from labctl.lab import open_lab

from .session import output_console

__all__ = ["status"]

MEBIBYTE = 2**20
"""Bytes."""


def status(stack: str, *, as_json: bool) -> None:
    """Print what runs of the embedded control plane, and how well."""
    lab = open_lab(stack)
    now, hub = control_plane_of(lab, silent).status(), hub_of(lab, silent)
    of_hub = hub.status() if hub.exists else ()
    console = output_console()
    if as_json:
        components = [
            {
                "name": part.name,
                "version": part.version,
                "pid": part.pid,
                "healthy": part.healthy,
                "memoryBytes": part.memory_bytes,
                "log": str(part.log),
            }
            for part in now.components
        ]
        shape = {
            "name": now.name,
            "running": now.running,
            "server": now.server,
            "kubeconfig": str(now.kubeconfig),
            "components": components,
            "hub": {
                "url": hub.url,
                "components": [
                    {
                        "name": part.name,
                        "pid": part.pid,
                        "healthy": part.healthy,
                        "memoryBytes": part.memory_bytes,
                        "log": str(part.log),
                    }
                    for part in of_hub
                ],
            },
        }
        console.print(json.dumps(shape, indent=2), markup=False)
        return
    table = Table(
        "component", "version", "pid", "state", "memory", title=f"{now.name}  {now.server or 'never started'}"
    )
    for part in (*now.components, *of_hub):
        state = "well" if part.healthy else "not running" if part.pid is None else "not well"
        memory = f"{part.memory_bytes / MEBIBYTE:.0f} MiB"
        table.add_row(part.name, getattr(part, "version", ""), str(part.pid or ""), state, memory)
    console.print(table)
    if of_hub:
        console.print(f"hub on this machine: {hub.url}", markup=False)
    console.print(f"kubeconfig: {now.kubeconfig}", markup=False)
