"""Taking turns: only so many servers start at once, the others wait in line and see their place.

JupyterHub's own limit answers 429 instead, and whoever clicks again soonest comes first.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from .objects import Spawner, Step, User

__all__ = ["TURN_SECONDS", "Line", "Place", "TakesTurns", "take_turns"]

TURN_SECONDS = 30.0
"""The longest a start keeps others waiting. What takes longer pulls an image or waits for a machine, which costs the
hub nothing; an ordinary start takes a second or two."""


@dataclass(eq=False)
class Place:
    """One start: in line at first, then with a turn, then done."""

    user: str
    order: tuple[int, int]
    """How many servers of the same user were there already, and how many of anybody's had come before."""
    turn: asyncio.Future[None]
    handle: asyncio.TimerHandle | None = field(default=None, repr=False)


class Line:
    """Who starts now, and who waits in which order.

    First come, first served, but somebody's second server comes after everybody's first: nobody takes all turns.

    Parameters
    ----------
    at_once
        Starts that may go on at the same time.
    turn_seconds
        After which a turn ends even if its start goes on.
    """

    def __init__(self, at_once: int, *, turn_seconds: float = TURN_SECONDS) -> None:
        self._at_once, self._turn_seconds = at_once, turn_seconds
        self._waiting: list[Place] = []
        self._starting: set[Place] = set()
        self._arrivals = count()
        self._order: dict[Place, int] | None = None

    @property
    def starting(self) -> int:
        """How many have a turn."""
        return len(self._starting)

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    def join(self, user: str) -> Place:
        """Return a place in line; its ``turn`` is done when it has come."""
        own = sum(place.user == user for place in (*self._starting, *self._waiting))
        place = Place(user, (own, next(self._arrivals)), asyncio.get_running_loop().create_future())
        insort(self._waiting, place, key=lambda waiting: waiting.order)
        self._advance()
        return place

    def leave(self, place: Place) -> None:
        """End a turn, or give up a place in line; doing so twice changes nothing."""
        if place.handle is not None:
            place.handle.cancel()
            place.handle = None
        if place in self._starting:
            self._starting.remove(place)
        elif place in self._waiting:
            self._waiting.remove(place)
            place.turn.cancel()
        else:
            return
        self._advance()

    def before(self, place: Place) -> int:
        """Return how many are in line before a place; 0 for one that has its turn."""
        if self._order is None:
            self._order = {found: index for index, found in enumerate(self._waiting)}
        return self._order.get(place, 0)

    def _advance(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and len(self._starting) < self._at_once:
            place = self._waiting.pop(0)
            self._starting.add(place)
            place.handle = loop.call_later(self._turn_seconds, self.leave, place)
            if not place.turn.done():
                place.turn.set_result(None)
        self._order = None


class TakesTurns(Protocol):
    """What is used of a spawner that takes turns."""

    user: User
    place: Place | None
    """In the line, or with a turn; None before and after."""

    def start_done(self) -> asyncio.Future[None] | None:
        """Return what is done when the start is over, however it ends."""
        ...


def take_turns(line: Line) -> Step:
    """Return what lets servers start in turn.

    Waiting happens before JupyterHub counts a server's ``start_timeout``, so that nobody loses time in line. A turn
    ends with the start, however it ends, or when the spawner says that it only waits for a machine.

    Parameters
    ----------
    line
        The hub's line.
    """

    async def step(spawner: Spawner) -> None:
        starting = cast("TakesTurns", spawner)
        place = starting.place = line.join(starting.user.name)
        try:
            await place.turn
        except BaseException:
            # Cancelled, or the hub ends.
            line.leave(place)
            starting.place = None
            raise
        done = starting.start_done()
        if done is not None:
            done.add_done_callback(lambda _: line.leave(place))

    return step
