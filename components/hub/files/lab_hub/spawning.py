"""Starting servers: our spawner, its line, its figures and its pages, set up in one call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict

from .availability import Availability
from .database import quicken_sqlite
from .pages import HANDLERS
from .spawner import LabSpawner
from .waiting_line import Line, take_turns

if TYPE_CHECKING:
    from .objects import HubConfiguration, Step
    from .upstream import JsonObject

__all__ = ["TEMPLATES", "SpawningSettings", "use_lab_spawner"]

TEMPLATES = Path(__file__).parents[1] / "templates"
"""Our pages, beside the package wherever it lies."""


class SpawningSettings(TypedDict):
    """What the stack file decides."""

    atOnce: int
    """Servers that start at the same time; the others wait in line."""
    resources: dict[str, str]
    """What GPU resources are called, by Kubernetes' name."""
    contact: NotRequired[str]
    """Whom users turn to, where the lab names somebody."""


def use_lab_spawner(c: HubConfiguration, settings: SpawningSettings) -> Step:
    """Have servers started by `LabSpawner`; return what makes them take turns, to be the last step before a start.

    Parameters
    ----------
    c
        The hub's configuration.
    settings
        The chart's ``custom.lab.spawning``.
    """
    line = LabSpawner.line = Line(settings["atOnce"])
    LabSpawner.names = settings["resources"]
    LabSpawner.contact = settings.get("contact")
    LabSpawner.availability = Availability(_list_nodes)
    c.JupyterHub.spawner_class = LabSpawner
    c.JupyterHub.extra_handlers.extend(HANDLERS)
    # Nobody is sent away: they wait in line.
    c.JupyterHub.concurrent_spawn_limit = 0
    # Ours first; those of the same name extend JupyterHub's.
    c.JupyterHub.template_paths = [str(TEMPLATES)]
    c.KubeSpawner.additional_profile_form_template_paths = [str(TEMPLATES)]
    quicken_sqlite()
    return take_turns(line)


async def _list_nodes() -> list[JsonObject]:
    return [*await LabSpawner.nodes()]
