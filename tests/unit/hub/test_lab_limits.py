"""The step that keeps limits, on objects with the hub's attributes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, cast

import pytest

from components.hub.files.lab_hub.limits import (
    FIRST_CLEARING,
    GPU_IDLE_ANNOTATION,
    RECORD,
    WALLTIME_ANNOTATION,
    AmountSettings,
    LimitReachedError,
    LimitsSettings,
    ProfileLimits,
    keep_limits,
    record_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.hub.files.lab_hub.objects import Spawner, Step

STARTED = datetime(2026, 11, 23, 10, 0, 30)  # noqa: DTZ001 - as the hub keeps it: UTC, without a zone


class Log:
    """A log that keeps nothing."""

    def info(self, message: str, *arguments: object) -> None:
        """Forget it."""

    def warning(self, message: str, *arguments: object) -> None:
        """Forget it."""


@dataclass
class Named:
    """A group."""

    name: str


@dataclass
class Row:
    """What the database keeps of a server."""

    started: datetime | None = STARTED
    user_options: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(eq=False)
class Person:
    """A user."""

    name: str
    groups: list[Named]
    settings: dict[str, dict[object, Person]]
    spawners: dict[str, Server] = field(default_factory=dict[str, "Server"])


@dataclass(eq=False)
class Server:
    """A user's server that is just starting."""

    user: Person
    name: str = ""
    user_options: Mapping[str, object] = field(default_factory=dict[str, object])
    active: bool = True
    pending: str | None = "spawn"
    namespace: str = "hub-test"
    orm_spawner: Row = field(default_factory=Row)
    extra_annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    log: Log = field(default_factory=Log)

    @property
    def pod_name(self) -> str:
        """As the spawner names it."""
        return f"jupyter-{self.user.name}{self.name}"


class Lab:
    """Users and servers."""

    def __init__(self) -> None:
        self.users: dict[object, Person] = {}

    def server(self, user: str, profile: object = None, *, name: str = "", groups: tuple[str, ...] = ()) -> Server:
        """Return a server that is about to start."""
        person = self.users.get(user)
        if person is None:
            person = Person(user, [Named(group) for group in groups], {"users": self.users})
            self.users[user] = person
        person.spawners[name] = Server(person, name, {} if profile is None else {"profile": profile})
        return person.spawners[name]


def settings(
    *,
    per_user: AmountSettings | None = None,
    groups: Mapping[str, AmountSettings] | None = None,
    walltime: int | None = None,
    gpu_idle: int | None = None,
) -> LimitsSettings:
    """Return a lab's settings."""
    small = ProfileLimits(gpus=0, gpuChoices={})
    if walltime is not None:
        small["walltimeSeconds"] = walltime
    choices = {"one": 1, "two": 2, "none": 0}
    profiles = {
        "small": small,
        "gpu": ProfileLimits(gpus=1, gpuChoices={}),
        "choice": ProfileLimits(gpus=1, gpuChoices=choices),
    }
    made = LimitsSettings(groups=dict(groups or {}), default="small", profiles=profiles)
    if per_user is not None:
        made["perUser"] = per_user
    if gpu_idle is not None:
        made["gpuIdleSeconds"] = gpu_idle
    return made


def most(**bounds: int) -> AmountSettings:
    """Return bounds."""
    return cast("AmountSettings", bounds)


def start(step: Step, server: Server) -> str | None:
    """Start a server; return what its user is told where it is refused."""
    try:
        asyncio.run(step(cast("Spawner", server)))
    except LimitReachedError as refused:
        server.active = False
        return refused.jupyterhub_message
    server.pending = None
    return None


def test_a_user_has_as_many_servers_as_they_may_and_others_too() -> None:
    lab, step = Lab(), keep_limits(settings(per_user=most(servers=2)))
    assert start(step, lab.server("ana")) is None
    assert start(step, lab.server("ana", name="b")) is None
    told = start(step, lab.server("ana", name="c"))
    assert told == (
        "This server was not started: you may have 2 servers at once, and with this one it would be 3. "
        "Stop one that you no longer need, then start this one."
    )
    assert start(step, lab.server("ben")) is None
    lab.users["ana"].spawners["b"].active = False
    assert start(step, lab.server("ana", name="c")) is None


@pytest.mark.parametrize(
    ("options", "gpus"),
    [
        ({}, 0),
        ({"profile": "small"}, 0),
        ({"profile": ""}, 0),
        ({"profile": "gpu"}, 1),
        ({"profile": "choice"}, 1),
        ({"profile": "choice", "gpu": "two"}, 2),
        ({"profile": "choice", "gpu": "none"}, 0),
        ({"profile": "choice", "gpu": ["two"]}, 1),
        ({"profile": "gpu", "gpu": "none"}, 1),
        ({"profile": ["gpu"]}, 0),
        ({"profile": "gone"}, 0),
    ],
)
def test_what_a_choice_takes_is_noted(options: Mapping[str, object], gpus: int) -> None:
    lab = Lab()
    server = lab.server("ana")
    server.user_options = options
    start(keep_limits(settings()), server)
    record = record_of(server.orm_spawner.user_options)
    assert record == {"namespace": "hub-test", "pod": "jupyter-ana", "gpus": gpus, "walltimeEnds": None}
    assert {key: value for key, value in server.user_options.items() if key != RECORD} == options


def test_a_server_without_a_gpu_starts_where_no_gpu_is_left() -> None:
    lab, step = Lab(), keep_limits(settings(per_user=most(gpus=0)))
    told = start(step, lab.server("ana", "gpu"))
    assert told is not None
    assert "you may have no GPU slices at once, and with this one it would be 1" in told
    assert start(step, lab.server("ana", "small")) is None


def test_a_group_is_counted_over_its_members_and_only_them() -> None:
    lab, step = Lab(), keep_limits(settings(groups={"students": most(gpus=2)}))
    assert start(step, lab.server("staff", "gpu", groups=("staff",))) is None
    assert start(step, lab.server("ben", "gpu", groups=("students", "staff"))) is None
    assert start(step, lab.server("cem", "gpu", groups=("students",))) is None
    told = start(step, lab.server("dora", "gpu", groups=("students",)))
    assert told is not None
    assert "all members of the group students together may have 2 GPU slices at once" in told
    assert start(step, lab.server("eve", "gpu", groups=("staff",))) is None


def test_starts_that_run_into_each_other_never_pass_together_and_never_refuse_each_other() -> None:
    lab, step = Lab(), keep_limits(settings(groups={"students": most(servers=1)}))
    first, second = (lab.server(name, groups=("students",)) for name in ("ana", "ben"))

    async def both() -> list[BaseException | None]:
        starts = (step(cast("Spawner", each)) for each in (first, second))
        return await asyncio.gather(*starts, return_exceptions=True)

    outcomes = asyncio.run(both())
    assert [type(outcome) for outcome in outcomes] == [type(None), LimitReachedError]
    # The one that was admitted starts anew, while the other tries once more.
    first.orm_spawner = Row(started=STARTED.replace(hour=11))
    second.active, second.pending = True, "spawn"
    assert sorted(told is None for told in (start(step, second), start(step, first))) == [False, True]


def test_a_hub_that_starts_counts_what_runs_and_not_what_is_starting() -> None:
    lab = Lab()
    for name, pending in (("ana", None), ("ben", "spawn"), ("cem", "stop"), ("dora", "check")):
        server = lab.server(name, "gpu", groups=("students",))
        server.pending = pending
        server.user_options = {RECORD: {"namespace": "n", "pod": "p", "gpus": 1, "walltimeEnds": None}}
    step = keep_limits(settings(groups={"students": most(gpus=4)}))
    assert start(step, lab.server("emil", "gpu", groups=("students",))) is None
    assert start(step, lab.server("finn", "gpu", groups=("students",))) is not None


def test_a_walltime_is_noted_and_announced_from_when_the_server_started() -> None:
    lab, step = Lab(), keep_limits(settings(walltime=8 * 3600))
    server = lab.server("ana")
    server.extra_annotations = {"kept": "yes"}
    start(step, server)
    assert server.extra_annotations == {"kept": "yes", WALLTIME_ANNOTATION: "2026-11-23T18:00:30Z"}
    record = record_of(server.orm_spawner.user_options)
    assert record is not None
    assert record["walltimeEnds"] == "2026-11-23T18:00:30Z"
    # Another profile without one: what was announced before is taken back.
    server.user_options = {**server.user_options, "profile": "gpu"}
    start(step, server)
    assert server.extra_annotations == {"kept": "yes"}


def test_how_long_gpus_may_be_idle_is_announced_to_whom_it_concerns() -> None:
    lab, step = Lab(), keep_limits(settings(gpu_idle=1800))
    with_gpu, without = lab.server("ana", "gpu"), lab.server("ben")
    start(step, with_gpu)
    start(step, without)
    assert with_gpu.extra_annotations == {GPU_IDLE_ANNOTATION: "1800"}
    assert without.extra_annotations == {}


def test_servers_that_have_ended_are_forgotten() -> None:
    lab, step = Lab(), keep_limits(settings(per_user=most(servers=1)))
    for number in range(2 * FIRST_CLEARING):
        server = lab.server("ana", name=str(number))
        assert start(step, server) is None
        server.active = False
    assert start(step, lab.server("ana", name="last")) is None
    assert start(step, lab.server("ana", name="beyond")) is not None
