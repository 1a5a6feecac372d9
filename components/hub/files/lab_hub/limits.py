"""How much may run at once, and how long: per user and per group, counted from the hub's own objects.

A start is admitted here or refused, with nothing awaited between counting and noting it: of two starts at once the
second counts the first. What was admitted is noted beside the user's choice (``user_options``), which the hub keeps
with the server and shows to services that may read it; the user's own words never get there. So a restarted hub
counts on, and `lab_hub.culler` knows each server's pod, its GPUs and its promised end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NotRequired, TypedDict, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from .objects import Spawner, Step

__all__ = [
    "GPU_IDLE_ANNOTATION",
    "RECORD",
    "WALLTIME_ANNOTATION",
    "AmountSettings",
    "LimitReachedError",
    "LimitsSettings",
    "ProfileLimits",
    "Record",
    "keep_limits",
    "record_of",
]

RECORD = "lab-limits"
"""Key of the `Record` in a server's ``user_options``; KubeSpawner looks only at the keys of profiles."""
WALLTIME_ANNOTATION = "lab.internal/walltime-ends"
"""Annotation of a server's pod: when it is ended (RFC 3339, UTC). JupyterLab warns of it."""
GPU_IDLE_ANNOTATION = "lab.internal/gpu-idle-seconds"
"""Annotation of a server's pod: for how long its GPUs may do nothing. JupyterLab says so once."""
FIRST_CLEARING = 1024
"""Servers noted before those that have ended are forgotten for the first time; a server's note is below 1 KiB."""


class AmountSettings(TypedDict):
    """The most that may run at once; what is left out has no bound."""

    servers: NotRequired[int]
    gpus: NotRequired[int]


class ProfileLimits(TypedDict):
    """What a profile takes."""

    gpus: int
    """GPU slices of one server, unless its user chooses."""
    gpuChoices: dict[str, int]
    """The same by the user's choice of a GPU; empty where there is none to choose."""
    walltimeSeconds: NotRequired[int]
    """How long its server runs at most; without end where it is left out."""


class LimitsSettings(TypedDict):
    """What the stack file decides, handed over in the chart's ``custom`` values, in which nothing is null."""

    perUser: NotRequired[AmountSettings]
    """Of each user."""
    groups: dict[str, AmountSettings]
    """Of a group's members together, by the group's name."""
    default: str
    """Slug of the profile a user gets who names none."""
    profiles: dict[str, ProfileLimits]
    """Every profile, by slug."""
    gpuIdleSeconds: NotRequired[int]
    """For how long a server's GPUs may do nothing; left out where nobody looks."""


class Record(TypedDict):
    """What is noted of a server when it starts."""

    namespace: str
    pod: str
    gpus: int
    walltimeEnds: str | None
    """RFC 3339, UTC; None where it may run without end."""


class LimitReachedError(Exception):
    """A start that would go beyond what a user or a group may have at once."""

    log_message = "%s"
    """Has the hub's API say the same as its pages: it fills the arguments in (``APIHandler.write_error``)."""

    def __init__(self, who: str, what: str, running: int, most: int, way_out: str) -> None:
        self.jupyterhub_message = (
            f"This server was not started: {who} may have {_counted(most, what)} at once, and with this one it would "
            f"be {running}. {way_out}"
        )
        super().__init__(self.jupyterhub_message)


@dataclass(frozen=True)
class _Chosen:
    """What a start asks for."""

    gpus: int
    walltime_seconds: int | None


@dataclass(frozen=True)
class _Holding:
    """A server that was admitted, and what it holds as long as it is active."""

    spawner: Spawner
    started: datetime | None
    groups: frozenset[str]
    gpus: int

    @property
    def is_held(self) -> bool:
        # One that was stopped and is starting anew has not been admitted anew.
        return bool(self.spawner.active) and self.spawner.orm_spawner.started == self.started


class _Ledger:
    """What the active servers hold."""

    def __init__(self) -> None:
        self._holdings: dict[tuple[str, str], _Holding] = {}
        self._forgets_at = FIRST_CLEARING
        self._is_read = False

    def read(self, spawner: Spawner) -> None:
        """Know what was admitted before this hub started; does nothing from the second time on."""
        if not self._is_read:
            self._holdings = {_key(each): _holding(each) for each in _running(spawner)}
            self._is_read = True

    def held(self, spawner: Spawner, belongs: Callable[[_Holding], bool]) -> list[_Holding]:
        """Return what other admitted servers hold now, of those that belong to what is counted."""
        own = _key(spawner)
        # Whether one is active is asked last: it costs most, and hundreds start at once.
        return [each for key, each in self._holdings.items() if belongs(each) and key != own and each.is_held]

    def admit(self, spawner: Spawner, gpus: int) -> None:
        """Note that a server holds so many GPUs from now on."""
        self._holdings[_key(spawner)] = _holding(spawner, gpus)
        if len(self._holdings) >= self._forgets_at:
            self._holdings = {key: each for key, each in self._holdings.items() if each.is_held}
            self._forgets_at = max(FIRST_CLEARING, 2 * len(self._holdings))


def keep_limits(settings: LimitsSettings) -> Step:
    """Return what refuses a server beyond a limit, and notes and announces how long an admitted one may run.

    Parameters
    ----------
    settings
        The chart's ``custom.lab.limits``.
    """
    ledger = _Ledger()

    async def step(spawner: Spawner) -> None:
        chosen = _chosen(spawner, settings)
        # Nothing is awaited from here to the end: this is what makes counting and admitting one.
        ledger.read(spawner)
        try:
            _refuse_beyond(spawner, settings, ledger, chosen.gpus)
        except LimitReachedError as refused:
            spawner.log.info("%s/%s refused: %s", spawner.user.name, spawner.name, refused)
            raise
        ledger.admit(spawner, chosen.gpus)
        _note(spawner, chosen, settings.get("gpuIdleSeconds"))

    return step


def record_of(user_options: Mapping[str, object] | None) -> Record | None:
    """Return what was noted of a server when it started, None where nothing was."""
    found = (user_options or {}).get(RECORD)
    return cast("Record", found) if isinstance(found, dict) else None


def _chosen(spawner: Spawner, settings: LimitsSettings) -> _Chosen:
    """Return what the chosen profile takes; KubeSpawner itself refuses a profile or a choice that it does not know."""
    slug = spawner.user_options.get("profile") or settings["default"]
    profile = settings["profiles"].get(slug) if isinstance(slug, str) else None
    if profile is None:
        return _Chosen(0, None)
    choice = spawner.user_options.get("gpu")
    gpus = profile["gpuChoices"].get(choice, profile["gpus"]) if isinstance(choice, str) else profile["gpus"]
    return _Chosen(gpus, profile.get("walltimeSeconds"))


def _refuse_beyond(spawner: Spawner, settings: LimitsSettings, ledger: _Ledger, gpus: int) -> None:
    name = spawner.user.name
    if (mine := settings.get("perUser")) is not None:
        own = ledger.held(spawner, lambda each: each.spawner.user.name == name)
        _refuse(own, mine, gpus, "you", "Stop one that you no longer need, then start this one.")
    for group in (each.name for each in spawner.user.groups):
        if (theirs := settings["groups"].get(group)) is not None:
            of_group = ledger.held(spawner, lambda each, group=group: group in each.groups)
            way_out = "Try again when a member of the group has stopped one, or ask whoever runs the lab."
            _refuse(of_group, theirs, gpus, f"all members of the group {group} together", way_out)


def _refuse(holdings: Sequence[_Holding], most: AmountSettings, gpus: int, who: str, way_out: str) -> None:
    servers, slices = most.get("servers"), most.get("gpus")
    if servers is not None and (running := len(holdings) + 1) > servers:
        raise LimitReachedError(who, "server", running, servers, way_out)
    # A server without a GPU takes nothing from those who have too many.
    if gpus and slices is not None and (taken := sum(holding.gpus for holding in holdings) + gpus) > slices:
        raise LimitReachedError(who, "GPU slice", taken, slices, way_out)


def _note(spawner: Spawner, chosen: _Chosen, gpu_idle_seconds: int | None) -> None:
    """Write beside the user's choice what was admitted, and on the pod what JupyterLab tells its user."""
    ends = _end(spawner.orm_spawner.started, chosen.walltime_seconds)
    record = Record(namespace=spawner.namespace, pod=spawner.pod_name, gpus=chosen.gpus, walltimeEnds=ends)
    # A new dictionary: a changed one would not be written to the database.
    options = {**spawner.user_options, RECORD: record}
    spawner.user_options = spawner.orm_spawner.user_options = options
    told = {key: text for key, text in spawner.extra_annotations.items() if key not in _ANNOTATIONS}
    if ends is not None:
        told[WALLTIME_ANNOTATION] = ends
    if chosen.gpus and gpu_idle_seconds is not None:
        told[GPU_IDLE_ANNOTATION] = str(gpu_idle_seconds)
    spawner.extra_annotations = told


_ANNOTATIONS = (WALLTIME_ANNOTATION, GPU_IDLE_ANNOTATION)


def _end(started: datetime | None, walltime_seconds: int | None) -> str | None:
    if walltime_seconds is None:
        return None
    # The hub keeps times in UTC and without a zone.
    begun = datetime.now(UTC) if started is None else started.replace(tzinfo=UTC)
    return (begun + timedelta(seconds=walltime_seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _running(spawner: Spawner) -> Iterator[Spawner]:
    """Yield every server that was admitted before this hub started: those that are starting are not among them."""
    # All users that have an active server are there (``JupyterHub.users``); a user without one may not be.
    for user in spawner.user.settings["users"].values():
        yield from _admitted(user.spawners.values())


def _admitted(spawners: Iterable[Spawner]) -> Iterator[Spawner]:
    for each in spawners:
        if each.active and each.pending != "spawn":
            yield each


def _holding(spawner: Spawner, gpus: int | None = None) -> _Holding:
    record = record_of(spawner.user_options)
    held = gpus if gpus is not None else (record["gpus"] if record is not None else 0)
    groups = frozenset(group.name for group in spawner.user.groups)
    return _Holding(spawner, spawner.orm_spawner.started, groups, held)


def _key(spawner: Spawner) -> tuple[str, str]:
    return spawner.user.name, spawner.name


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number or 'no'} {noun}s"
