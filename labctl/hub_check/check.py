"""The looks at a hub, in order; whatever happens, no server stays behind."""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Final

from .errors import HubAnswerError, LookError, NotAskedError, StartFailedError, TooSlowError
from .findings import Finding, Look, Report, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from .hub import Hub

__all__ = ["Order", "Stopwatch", "check_hub"]

POLL_SECONDS: Final = 0.5
"""Between two looks at a server that starts or stops: the fastest takes two seconds."""
OK: Final = 200
"""Status code of HTTP (RFC 9110, 15.3.1)."""
STOP_SECONDS: Final = 60.0
"""How long a server may take to stop; a pod gets 30 s to end by itself (Kubernetes' grace period)."""

NEVER: Final = Event()
"""Nobody stops the stopping."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be looked at."""

    stack: str
    user: str | None = None
    """The test user; None where there is none."""
    profile: str | None = None
    """What its server is to be; None for no server."""
    start_seconds: float = 600.0
    """How long it may take to start."""


class _InterruptedError(Exception):
    """Somebody asked to stop."""


class Stopwatch:
    """Time as it is told; a test puts its own here."""

    def now(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def rest(self, seconds: float, cancelled: Event) -> None:
        """Return after so long, or as soon as somebody asks to stop."""
        cancelled.wait(seconds)


def check_hub(hub: Hub, order: Order, cancelled: Event, watch: Stopwatch | None = None) -> Report:
    """Return what came of every look; the test user has no server afterwards.

    Parameters
    ----------
    hub
        The hub.
    order
        What is to be looked at.
    cancelled
        Set when somebody asks to stop: the server is stopped first.
    watch
        Tells the time.
    """
    looks = _Looks(hub, order, cancelled, watch or Stopwatch())
    try:
        looks.outside()
        if order.user is not None and order.profile is not None:
            looks.spawn(order.user, order.profile)
    except _InterruptedError:
        pass
    return Report(stack=order.stack, url=hub.url, findings=looks.all_findings(), is_interrupted=cancelled.is_set())


class _Looks:
    def __init__(self, hub: Hub, order: Order, cancelled: Event, watch: Stopwatch) -> None:
        self._hub, self._order, self._cancelled, self._watch = hub, order, cancelled, watch
        self._found: dict[Look, Finding] = {}

    def outside(self) -> None:
        self._look(Look.PROXY, self._proxy)
        if self._is_well(Look.PROXY):
            self._look(Look.HUB, self._hub_itself)
        if self._is_well(Look.HUB):
            self._look(Look.DATABASE, self._database)

    def spawn(self, user: str, profile: str) -> None:
        if not self._is_well(Look.DATABASE):
            return
        try:
            self._look(Look.START, lambda: self._start(user, profile))
            if self._is_well(Look.START):
                self._look(Look.SERVER, lambda: f"Jupyter Server {self._hub.ask_server(user)}")
        finally:
            # After a start that failed, too, or that nobody waits for any more: the hub may still be about it.
            self._look(Look.STOP, lambda: self._gone(user))

    def all_findings(self) -> tuple[Finding, ...]:
        why = "interrupted" if self._cancelled.is_set() else self._why_not()
        return tuple(self._found.get(look, Finding(look=look, state=State.SKIPPED, said=why)) for look in Look)

    def _why_not(self) -> str:
        for look in Look:
            if look in self._found and self._found[look].state is State.FAILED:
                return f"{look} failed"
        if self._order.profile is None:
            return "not asked for"
        return ""

    def _is_well(self, look: Look) -> bool:
        return look in self._found and self._found[look].state is State.WELL

    def _look(self, look: Look, at: Callable[[], str]) -> None:
        """Note what came of a look."""
        began = self._watch.now()
        state, said = State.WELL, ""
        try:
            said = at()
        except LookError as error:
            state, said = State.FAILED, str(error)
        except NotAskedError as error:
            state, said = State.SKIPPED, str(error)
        self._found[look] = Finding(look=look, state=state, said=said, seconds=self._watch.now() - began)

    def _proxy(self) -> str:
        # Whatever is answered, by the proxy or by the hub, something is there.
        self._hub.is_well()
        return ""

    def _hub_itself(self) -> str:
        answer = self._hub.is_well()
        if answer.status != OK:
            what = "the question for its health"
            raise HubAnswerError(what, answer.status, answer.said)
        return f"JupyterHub {self._hub.version()}"

    def _database(self) -> str:
        if self._order.user is None:
            why = "the stack has no hub.healthCheck, and so no token to ask with"
            raise NotAskedError(why)
        self._hub.name_of_token()
        return ""

    def _start(self, user: str, profile: str) -> str:
        is_left_over = self._hub.server(user) is not None
        if is_left_over:
            self._gone(user)
        self._stop_if_asked()
        self._hub.start(user, profile)
        deadline = self._watch.now() + self._order.start_seconds
        while True:
            server = self._hub.server(user)
            if server is None:
                raise StartFailedError(self._hub.reason(user))
            if server.is_ready:
                break
            if self._watch.now() >= deadline:
                what = "the server is not ready"
                raise TooSlowError(what, self._order.start_seconds)
            self._rest()
        return f"profile {profile}" + (", after one of an earlier check was stopped" if is_left_over else "")

    def _gone(self, user: str) -> str:
        """Return once the user has no server; asked again until it is true, for a start cannot be stopped at once."""
        deadline = self._watch.now() + STOP_SECONDS
        problem: Exception | None = None
        while True:
            try:
                server = self._hub.server(user)
                if server is None:
                    return ""
                if server.pending != "stop":
                    self._hub.stop(user)
            except LookError as error:
                problem = error
            if self._watch.now() >= deadline:
                what = "the server is still there" if problem is None else f"the server may still be there: {problem}"
                raise TooSlowError(what, STOP_SECONDS)
            self._watch.rest(POLL_SECONDS, NEVER)

    def _stop_if_asked(self) -> None:
        if self._cancelled.is_set():
            raise _InterruptedError

    def _rest(self) -> None:
        self._watch.rest(POLL_SECONDS, self._cancelled)
        self._stop_if_asked()
