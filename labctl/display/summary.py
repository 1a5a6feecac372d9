"""What exists after `up`, and where to look at it."""

from __future__ import annotations

import os
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from labctl.engine.state import SIMULATED_KEY
from labctl.graph.goal import STACK_TYPE, urn_name
from labctl.graph.values import as_mapping

from .words import short_type, shown

if TYPE_CHECKING:
    from rich.console import Console

    from labctl.engine.state import ResourceState, Snapshot
    from labctl.lab import Lab

__all__ = ["print_summary"]

RELEASE_TYPE = "kubernetes:helm.sh/v3:Release"
"""Type token of a Helm release."""


def print_summary(console: Console, lab: Lab, snapshot: Snapshot) -> None:
    """Print what exists by component, the releases, the outputs, and what to look at next."""
    console.print(_components(lab, snapshot))
    releases = [state for state in snapshot.resources if state.type == RELEASE_TYPE and not state.delete]
    if releases:
        console.print(_releases(releases))
    if any(state.outputs.get(SIMULATED_KEY) is True for state in releases):
        console.print(
            "recorded: not installed, since its chart cannot be reached; the first `up` that reaches it installs it"
        )
    if lab.simulated:
        console.print(_nodes(lab))
    for key, value in sorted(snapshot.outputs.items()):
        console.print(f"{key}: {value if isinstance(value, str) else shown(value)}", markup=False)
    if lab.simulated:
        _look_next(console, lab)


def _components(lab: Lab, snapshot: Snapshot) -> Table:
    owner: dict[str, str] = {}
    kinds: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for state in snapshot.resources:
        if state.delete or state.type == STACK_TYPE or state.is_provider:
            continue
        if not state.custom and state.parent not in owner:
            owner[state.urn] = f"{short_type(state.type)} {urn_name(state.urn)}"
            kinds[owner[state.urn]].update()
            continue
        name = owner.get(state.parent, "")
        owner[state.urn] = name
        if state.custom:
            kinds[name][short_type(state.type).rsplit(":", 1)[-1]] += 1
    table = Table("component", "resources", "of which", title=f"{lab.stack}: what exists", title_justify="left")
    for name, counter in kinds.items():
        listed = ", ".join(f"{count} {kind}" for kind, count in sorted(counter.items()))
        table.add_row(name or "(stack)", str(sum(counter.values())), listed)
    return table


def _releases(releases: list[ResourceState]) -> Table:
    table = Table("release", "namespace", "chart", "version", "state", title="Helm releases", title_justify="left")
    for state in sorted(releases, key=lambda item: item.id):
        recorded = state.outputs.get(SIMULATED_KEY) is True
        status = as_mapping(state.outputs.get("status"))
        word = "recorded" if recorded else status.get("status")
        inputs = state.inputs
        cells = (inputs.get("name"), inputs.get("namespace"), inputs.get("chart"), inputs.get("version"), word)
        table.add_row(*(str(cell or "") for cell in cells))
    return table


def _nodes(lab: Lab) -> Table:
    """Return the simulated nodes; `up` has seen each of them Ready."""
    from labctl.embedded import nodes_of  # noqa: PLC0415 - only a simulated lab pays for it

    table = Table("node", "state", "cpu", "memory", "GPU resources", title="Nodes (simulated)", title_justify="left")
    for node in nodes_of(lab):
        slices = [f"{count} {name}" for name, count in sorted(node.capacity.items()) if "/" in name]
        table.add_row(node.name, "Ready", node.capacity["cpu"], node.capacity["memory"], ", ".join(slices))
    return table


def _look_next(console: Console, lab: Lab) -> None:
    from labctl.control_plane.progress import silent  # noqa: PLC0415 - only a simulated lab pays for it
    from labctl.embedded import control_plane_of  # noqa: PLC0415 - only a simulated lab pays for it

    plane = control_plane_of(lab, silent).status()
    labctl = f"{os.path.relpath(Path(sys.prefix) / 'bin' / 'labctl', Path.cwd())}"
    console.print(f"\nThe API server listens on {plane.server} (loopback only). To look at next:", markup=False)
    for command, what in (
        (f"{labctl} kubectl -s {lab.stack} get nodes", "the lab's machines, simulated"),
        (
            f"{labctl} kubectl -s {lab.stack} get pvc,netpol,gateways -A",
            "its volumes, and who may talk to whom",
        ),
        (f"{labctl} preview -s {lab.stack}", f"what an edit of Pulumi.{lab.stack}.yaml would change"),
        (f"make down STACK={lab.stack}", "stop it; `make up` brings it back as it was"),
    ):
        console.print(f"  {command:<64} {what}", markup=False)
