"""The looks at a hub, against one that does as it is told, on a clock of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, cast

import pytest

from labctl.hub_check import Look, Order, State, check_hub
from labctl.hub_check.check import STOP_SECONDS, Stopwatch
from labctl.hub_check.errors import HubAnswerError, UnreachableError
from labctl.hub_check.hub import Answer, Hub, Server, failure_in

if TYPE_CHECKING:
    from labctl.hub_check import Report

ORDER = Order(stack="dev", user="canary", profile="minimal", start_seconds=100)
STARTING, READY, STOPPING = (
    Server(is_ready=False, pending="spawn"),
    Server(is_ready=True, pending=None),
    Server(is_ready=False, pending="stop"),
)

FORBIDDEN = HubAnswerError("the start", 403, "")
GONE = "the server is gone before it was ready; the hub's log says why"
STAYS = "the server may still be there: the stop was answered by 500: pending after 60 s"


@dataclass
class Clock(Stopwatch):
    """A clock that goes on when somebody rests; `interrupt_at` somebody asks to stop."""

    time: float = 0.0
    interrupt_at: float | None = None

    def now(self) -> float:
        return self.time

    def rest(self, seconds: float, cancelled: Event) -> None:
        self.time += seconds
        if self.interrupt_at is not None and self.time >= self.interrupt_at:
            cancelled.set()


@dataclass
class FakeHub:
    """A hub whose server is ready and gone after so many looks at it."""

    ready_after: int = 3
    gone_after: int = 2
    health: int = 200
    server_now: Server | None = None
    token_fails: bool = False
    start_fails: HubAnswerError | None = None
    fails_while_starting: str | None = None
    server_answers: bool = True
    stops_ignored: int = 0
    """How often a stop is answered by an error."""
    url: str = "https://hub.lab.org"
    asked: list[str] = field(default_factory=list[str])
    _looks: int = 0

    def is_well(self) -> Answer:
        if self.health == 0:
            raise UnreachableError(self.url, "refused")
        return Answer(status=self.health, body=b"")

    def version(self) -> str:
        return "5.5.0"

    def name_of_token(self) -> str:
        if self.token_fails:
            what = "the token"
            raise HubAnswerError(what, 500, "Internal Server Error")
        return "health"

    def server(self, user: str) -> Server | None:
        assert user == "canary"
        self._looks += 1
        if self.server_now is STARTING and self.fails_while_starting is not None and self._looks > 1:
            self.server_now = None
        elif self.server_now is STARTING and self._looks > self.ready_after:
            self.server_now = READY
        elif self.server_now is STOPPING and self._looks > self.gone_after:
            self.server_now = None
        return self.server_now

    def start(self, user: str, profile: str) -> None:
        self.asked.append(f"start {profile}")
        if self.start_fails is not None:
            raise self.start_fails
        self.server_now, self._looks = STARTING, 0

    def stop(self, user: str) -> None:
        self.asked.append("stop")
        if self.stops_ignored:
            self.stops_ignored -= 1
            what = "the stop"
            raise HubAnswerError(what, 500, "pending")
        self.server_now, self._looks = STOPPING, 0

    def reason(self, user: str) -> str:
        return self.fails_while_starting or ""

    def ask_server(self, user: str) -> str:
        if not self.server_answers:
            what = "the server's status"
            raise HubAnswerError(what, 403, "")
        return "2.21.1"


def look(hub: FakeHub, order: Order = ORDER, clock: Clock | None = None, cancelled: Event | None = None) -> Report:
    return check_hub(cast("Hub", hub), order, cancelled or Event(), clock or Clock())


def states(report: Report) -> str:
    """Return the states of all looks, a letter each: w, f or s."""
    assert [found.look for found in report.findings] == list(Look)
    return "".join(found.state.value[0] for found in report.findings)


def said(report: Report, which: Look) -> str:
    return next(found.said for found in report.findings if found.look is which)


def test_a_hub_that_is_well() -> None:
    hub, clock = FakeHub(), Clock()
    report = look(hub, clock=clock)
    assert states(report) == "wwwwww"
    assert report.healthy
    assert hub.asked == ["start minimal", "stop"]
    assert [found.seconds for found in report.findings] == [0, 0, 0, 1.5, 0, 1.5]


@pytest.mark.parametrize(
    ("hub", "expected", "which", "why"),
    [
        (FakeHub(health=0), "fsssss", Look.PROXY, "nothing answers at https://hub.lab.org: refused"),
        (FakeHub(health=503), "wfssss", Look.HUB, "the question for its health was answered by 503"),
        (FakeHub(token_fails=True), "wwfsss", Look.DATABASE, "the token was answered by 500: Internal Server Error"),
        (FakeHub(start_fails=FORBIDDEN), "wwwfsw", Look.START, "the start was answered by 403"),
        (FakeHub(fails_while_starting="no room"), "wwwfsw", Look.START, "no room"),
        (FakeHub(fails_while_starting=""), "wwwfsw", Look.START, GONE),
        (FakeHub(ready_after=10**6), "wwwfsw", Look.START, "the server is not ready after 100 s"),
        (FakeHub(server_answers=False), "wwwwfw", Look.SERVER, "the server's status was answered by 403"),
        (FakeHub(gone_after=10**6), "wwwwwf", Look.STOP, "the server is still there after 60 s"),
        (FakeHub(stops_ignored=10**6), "wwwwwf", Look.STOP, STAYS),
    ],
)  # fmt: skip
def test_what_fails_is_named_and_what_needs_it_left_out(hub: FakeHub, expected: str, which: Look, why: str) -> None:
    report = look(hub)
    assert states(report) == expected
    assert said(report, which) == why
    assert not report.healthy
    left_out = [found.said for found in report.findings if found.state is State.SKIPPED]
    assert all(text == f"{which} failed" for text in left_out)


def test_a_stop_that_is_refused_once_is_asked_for_again() -> None:
    hub = FakeHub(stops_ignored=1)
    assert states(look(hub)) == "wwwwww"
    assert hub.asked == ["start minimal", "stop", "stop"]


@pytest.mark.parametrize("left", [READY, STARTING])
def test_a_server_of_an_earlier_look_goes_first(left: Server) -> None:
    hub = FakeHub(server_now=left)
    report = look(hub)
    assert states(report) == "wwwwww"
    assert said(report, Look.START) == "profile minimal, after one of an earlier check was stopped"
    assert hub.asked == ["stop", "start minimal", "stop"]


@pytest.mark.parametrize("at", [0.5, 40.0])
def test_whoever_interrupts_leaves_no_server(at: float) -> None:
    hub, clock = FakeHub(ready_after=10**6), Clock(interrupt_at=at)
    report = look(hub, clock=clock)
    assert states(report) == "wwwssw"
    assert report.is_interrupted
    assert not report.healthy
    assert hub.server_now is None
    assert clock.time == at + 1.5


def test_nothing_is_started_for_somebody_who_has_given_up() -> None:
    hub, cancelled = FakeHub(server_now=READY), Event()
    cancelled.set()
    report = look(hub, cancelled=cancelled)
    assert report.is_interrupted
    assert hub.asked == ["stop"]


def test_stopping_has_an_end() -> None:
    hub, clock = FakeHub(gone_after=10**6), Clock(interrupt_at=1.0)
    look(hub, clock=clock)
    assert clock.time <= 2.5 + STOP_SECONDS


def test_without_a_test_user_the_database_is_not_asked() -> None:
    report = look(FakeHub(), Order(stack="dev"))
    assert states(report) == "wwssss"
    assert report.healthy
    assert said(report, Look.DATABASE) == "the stack has no hub.healthCheck, and so no token to ask with"


def test_without_a_profile_no_server_starts() -> None:
    hub = FakeHub()
    report = look(hub, Order(stack="dev", user="canary"))
    assert states(report) == "wwwsss"
    assert hub.asked == []
    assert said(report, Look.START) == "not asked for"


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ('data: {"progress": 10}\n\ndata: {"failed": true, "message": "no room"}\n', "no room"),
        ('data: {"progress": 100, "ready": true, "message": "Server ready"}\n', ""),
        ("data: {\n\n\n", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_the_reason_is_read_from_the_spawn_pages_events(events: str, message: str) -> None:
    assert failure_in(events) == message
