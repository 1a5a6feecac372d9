"""The hub's release in a stack's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from labctl.engine.state import SIMULATED_KEY
from labctl.graph.values import as_mapping, as_text, reveal

from .chart import HubRelease

if TYPE_CHECKING:
    from labctl.engine.state import Snapshot
    from labctl.graph.values import Plain

__all__ = ["hub_release"]

RELEASE_TYPE = "kubernetes:helm.sh/v3:Release"
CHART = "jupyterhub"


def hub_release(snapshot: Snapshot) -> HubRelease | None:
    """Return the hub's release as it was applied or recorded last; None where the stack has no hub."""
    for state in snapshot.resources:
        chart = as_text(state.inputs.get("chart")).rstrip("/").rpartition("/")[2]
        if state.type != RELEASE_TYPE or state.delete or chart.split("-")[0].removesuffix(".tgz") != CHART:
            continue
        values = as_mapping(reveal(state.inputs.get("values")))
        status = as_mapping(state.outputs.get("status"))
        return HubRelease(
            name=as_text(state.inputs.get("name")),
            namespace=as_text(state.inputs.get("namespace")),
            chart=CHART,
            version=as_text(status.get("version")) or as_text(state.inputs.get("version")),
            values=cast("dict[str, Plain]", values),
            is_recorded=state.outputs.get(SIMULATED_KEY) is True and not status.get("revision"),
        )
    return None
