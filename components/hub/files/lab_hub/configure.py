"""Sets the hub up beyond the chart: which steps a server takes before it starts.

Imported by one line of the chart's ``hub.extraConfig`` (`components.hub.values.CALL`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict

from .health import own_home
from .home_requests import ask_before_start
from .homes import name_claim
from .identities import source_of
from .limits import keep_limits
from .profiles import offer_by_group
from .uid_homes import name_claim_by_uid
from .wear_identity import refuse_without_identity, wear_identity

if TYPE_CHECKING:
    from .health import HealthSettings
    from .home_requests import HomesSettings
    from .homes import HomeSettings
    from .identities import IdentitySettings
    from .limits import LimitsSettings
    from .objects import HubConfiguration, Spawner, Step
    from .spawning import SpawningSettings
    from .tokens import TokenSettings
    from .uid_homes import UidHomesSettings

__all__ = ["LabSettings", "configure"]


class LabSettings(TypedDict):
    """What the stack file decides, handed over in the chart's ``custom`` values."""

    home: HomeSettings | None
    """None where homes belong to user names, which KubeSpawner's template does by itself."""
    groups: dict[str, list[str]]
    """Groups that may see a profile, by its slug; a profile that is missing is for everybody."""
    health: NotRequired[HealthSettings]
    """Only where a test user's server is started to look at the hub's health."""
    homeRequests: NotRequired[HomesSettings]
    """Only where homes have to be asked for."""
    identity: NotRequired[IdentitySettings]
    """Only where users have ids of their own."""
    limits: NotRequired[LimitsSettings]
    """Only where something bounds users' servers."""
    spawning: NotRequired[SpawningSettings]
    """How servers start, and what is said meanwhile."""
    tokens: NotRequired[TokenSettings]
    """Only where a profile hands its servers a token of the sign-in."""
    uidHomes: NotRequired[UidHomesSettings]
    """Only where homes belong to user ids."""


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
    health = settings.get("health")
    _set_up(c, settings)
    steps: list[Step] = [offer_by_group(c, groups)]
    if (limits := settings.get("limits")) is not None:
        steps.append(keep_limits(limits))
    identity, uid_homes = settings.get("identity"), settings.get("uidHomes")
    if identity is not None:
        source = source_of(identity)
        refuse_without_identity(c, identity, source)
        steps.append(wear_identity(identity, source))
    if uid_homes is not None:
        # After what says whom the server runs as.
        steps.append(name_claim_by_uid(uid_homes))
    if home is not None:
        steps.append(name_claim(home) if health is None else own_home(health, name_claim(home)))
    if requests is not None:
        # After what names the claim: it asks for the home of that name.
        steps.append(ask_before_start(requests))
    if (spawning := settings.get("spawning")) is not None:
        from .spawning import use_lab_spawner  # noqa: PLC0415 - it imports the hub, which tests of the rest do without

        # Last: whoever is refused does not wait in line.
        steps.append(use_lab_spawner(c, spawning))

    async def before_start(spawner: Spawner) -> None:
        """Give the server what is its user's; refuse it where something is missing."""
        for step in steps:
            await step(spawner)

    c.KubeSpawner.pre_spawn_hook = before_start


def _set_up(c: HubConfiguration, settings: LabSettings) -> None:
    """Set up what is not about a server's start."""
    if (health := settings.get("health")) is not None:
        c.LabSignIn.own_users = {health["user"]}
    if (tokens := settings.get("tokens")) is not None:
        from .tokens import hand_tokens  # noqa: PLC0415 - as above

        hand_tokens(c, tokens)
