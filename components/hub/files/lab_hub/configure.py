"""Sets the hub up beyond the chart: which steps a server takes before it starts.

Imported by one line of the chart's ``hub.extraConfig`` (`components.hub.values.CALL`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict

from .home_requests import ask_before_start
from .homes import name_claim
from .profiles import offer_by_group

if TYPE_CHECKING:
    from .home_requests import HomesSettings
    from .homes import HomeSettings
    from .objects import HubConfiguration, Spawner, Step

__all__ = ["LabSettings", "configure"]


class LabSettings(TypedDict):
    """What the stack file decides, handed over in the chart's ``custom`` values."""

    home: HomeSettings | None
    """None where homes belong to user names, which KubeSpawner's template does by itself."""
    groups: dict[str, list[str]]
    """Groups that may see a profile, by its slug; a profile that is missing is for everybody."""
    homeRequests: NotRequired[HomesSettings]
    """Only where homes have to be asked for."""


def configure(c: HubConfiguration, settings: LabSettings) -> None:
    """Set the hub up beyond the chart; called once, while the hub loads its configuration.

    Before a server starts, each subject has its step, in this order; a step that raises refuses the server, and what it
    says is shown to its user.

    Parameters
    ----------
    c
        The hub's configuration, the chart's part already in it.
    settings
        The chart's ``custom.lab``.
    """
    groups, home, requests = settings["groups"], settings["home"], settings.get("homeRequests")
    steps: list[Step] = []
    if groups:
        steps.append(offer_by_group(c, groups))
    if home is not None:
        steps.append(name_claim(home))
    if requests is not None:
        # After what names the claim: it asks for the home of that name.
        steps.append(ask_before_start(requests))

    async def before_start(spawner: Spawner) -> None:
        """Give the server what is its user's; refuse it where something is missing."""
        for step in steps:
            await step(spawner)

    c.KubeSpawner.pre_spawn_hook = before_start
